//! What is to be done about what was seen. Pure.

use crate::{
    event::Severity,
    failure::FailureClass,
    ids::{RunId, ServiceName},
    process_supervisor::messages::Sentence,
};

/// One thing to do. In the order in which they are to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// Tell that something needs attention: as an event, in the history, in the metrics, to whoever is notified.
    Raise(Alert),
    /// Tell that it is over.
    Clear {
        /// The condition.
        alert: &'static str,
        /// Whose.
        service: Option<ServiceName>,
    },
    /// Write a diagnostic bundle, of the state before anything that follows.
    Bundle {
        /// What for.
        occasion: Occasion,
        /// How bad it is: what ends a run at once gets one of its own, however young the last one is.
        severity: Severity,
    },
    /// Have the run of a service ended, and what follows done.
    Condemn {
        /// Whose.
        service: ServiceName,
        /// Which one: another has nothing to do with it.
        run: RunId,
        /// What for, as the class of a failure.
        class: FailureClass,
        /// What for, in a sentence.
        reason: String,
        /// Without grace, as for a runaway tree.
        at_once: bool,
        /// What follows.
        sentence: Sentence,
    },
    /// Have another run take its place as soon as nobody uses it. Asked again with each sample until it is done.
    RecycleWhenIdle {
        /// Whose.
        service: ServiceName,
        /// Which run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// Have another run take its place, also if somebody uses it: after its drain. No failure of it.
    Recycle {
        /// Whose.
        service: ServiceName,
        /// Which run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// Write what everything holds into the memory log.
    NoteMemory,
}

/// What needs attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// A short name of the condition, for example `runaway`.
    pub alert: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Whose.
    pub service: Option<ServiceName>,
    /// What happened and what to do, in a sentence or two.
    pub message: String,
}

/// What a bundle is made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Occasion {
    /// The alert, or the class of the failure: part of its file name.
    pub what: String,
    /// The service it is about.
    pub service: Option<ServiceName>,
    /// What happened, in a sentence or two.
    pub message: String,
}

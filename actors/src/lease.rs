//! What a supervisor and whoever gives out memory say to each other. The supervisor knows the other side only as a
//! [`Lessor`]; that is the resource orchestrator, and in a supervisor's own tests somebody simpler.

use std::sync::Arc;

use actix::{Message, Recipient};

use crate::{
    ids::{RunId, ServiceName},
    memory::{Placement, Refusal},
    spec::ServiceSpec,
};

/// Asks for the memory of a run that is about to begin, or to wake up. Answered by [`LeaseAnswer`]s: any number of
/// pending ones, then one that is not. Asked again for the same run, it takes the place of what was asked before.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct AskLease {
    /// Who.
    pub service: ServiceName,
    /// For which run. Every later word about this lease names it.
    pub run: RunId,
    /// What it would be run as.
    pub spec: Arc<ServiceSpec>,
    /// On whose wish.
    pub wish: Wish,
    /// Where answers go.
    pub answer: Recipient<LeaseAnswer>,
}

/// On whose wish a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// It is to come back because there is room. Pushes out nobody, and goes where it was.
    Reload,
    /// It starts with the runtime. Pushes out nobody.
    Eager,
    /// It ended by itself, or was recycled, and is wanted. Pushes out nobody.
    Restart,
    /// A person, an application or a request wants it now.
    Wanted,
    /// It runs already: an earlier runtime began it. Never refused.
    Adopted,
}

impl Wish {
    /// Whether others may be pushed out for it.
    #[must_use]
    pub fn may_push_out(self) -> bool {
        self == Self::Wanted
    }
}

/// Tells how a run with a lease, or one that asks for one, fares.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct LeaseNews {
    /// Who.
    pub service: ServiceName,
    /// Which run.
    pub run: RunId,
    /// What happened.
    pub fate: Fate,
}

/// What happened to a run with a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nobody wants it any more: the question, or the lease of a run that has not begun, is taken back.
    Withdrawn,
    /// It is ready for the first time, or has woken up.
    Ready,
    /// Its gate is closed and it is being drained or ended.
    Leaving,
    /// It was to be offloaded and stays, since it did not become idle in time; its gate is open again.
    Stays,
    /// It sleeps: what its engine could give back has been given back.
    Asleep,
    /// It ran out of GPU memory before it was ever ready. Its end is told next.
    RanOut,
    /// Its containment is empty. With `failed`, it had not been asked to end.
    Ended {
        /// Whether it ended by itself.
        failed: bool,
    },
}

/// An answer about the lease of a run.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct LeaseAnswer {
    /// Which run.
    pub run: RunId,
    /// What is said.
    pub verdict: LeaseVerdict,
}

/// What is said about the lease of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseVerdict {
    /// Room is being made, or waited for; why, in a sentence: `waits for chat to leave`.
    Pending(String),
    /// It may begin.
    Granted(Placement),
    /// It may not.
    Refused(Arc<Refusal>),
    /// The memory of the ended (or sleeping) run is measured back, or was not in time and is given up; a sentence then.
    Reclaimed(Option<String>),
}

/// Who gives out memory.
#[derive(Debug, Clone)]
pub struct Lessor {
    /// Takes questions.
    pub ask: Recipient<AskLease>,
    /// Takes news.
    pub tell: Recipient<LeaseNews>,
}

//! Somebody who waits for memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    event::Question,
    swap::Course,
    turn::{Turn, after},
};
use crate::{
    ids::ServiceName,
    memory::{Amounts, Placement, Stays},
};

/// A question that has not been answered.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is asked.
    pub question: Question,
    /// Its moments.
    pub course: Course,
    /// Its place among those who wait, as of the last look.
    pub turn: Turn,
    /// When it was asked first.
    pub since: Instant,
    /// Whether it lets others finish who use what it waits for.
    pub held_up: bool,
    /// Those who stay, as was found out by asking them to leave.
    pub spared: BTreeMap<ServiceName, Stays>,
    /// Those for whom it waits now.
    pub awaits: BTreeSet<ServiceName>,
    /// What is kept for it.
    pub claim: Option<Amounts>,
    /// Why it waits, as was told last.
    pub reason: Option<String>,
    /// Where it goes, as was told last.
    pub announced: Option<Placement>,
    /// How long it may wait for each of those that it has ever waited for.
    allowed: BTreeMap<ServiceName, Duration>,
    /// The time that memory may take to come back.
    reclaim: Duration,
    /// How long others may overtake it.
    patience: Duration,
}

impl Ask {
    /// A question that was just asked.
    #[must_use]
    pub fn new(question: Question, now: Instant, reclaim: Duration) -> Self {
        Self {
            question,
            course: Course::new(now),
            turn: Turn { arrival: now, priority: 0, begun: false },
            since: now,
            held_up: false,
            spared: BTreeMap::new(),
            awaits: BTreeSet::new(),
            claim: None,
            reason: None,
            announced: None,
            allowed: BTreeMap::new(),
            reclaim,
            patience: Duration::ZERO,
        }
    }

    /// Others may overtake it for so long.
    pub fn be_patient(&mut self, fairness: Duration) {
        self.patience = self.patience.max(fairness);
    }

    /// It may wait for this service as well, for so long. Each service counts once, so that the wait has an end.
    pub fn allow(&mut self, service: &ServiceName, bound: Duration) {
        let allowed = self.allowed.entry(service.clone()).or_default();
        *allowed = (*allowed).max(bound);
    }

    /// When it is answered at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let always = self.reclaim.saturating_add(self.patience);
        let wait = self.allowed.values().fold(always, |sum, bound| sum.saturating_add(*bound));
        after(self.course.asked, wait)
    }
}

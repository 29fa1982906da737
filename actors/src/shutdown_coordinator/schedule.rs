//! The course of the ordered stop. Pure.
//!
//! [`Schedule::step`] takes what happened and says what to do. Whatever the units do, a schedule that is woken when it
//! asks to be ends no later than its deadline plus [`LAST_BOUND`] after it began.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    graph::{Graph, GraphError, UnitIndex},
    messages::{StopOutcome, StopReport, UnitName, UnitReport},
};

/// What units have once they are told to end by force. Killing a cgroup of many processes takes some milliseconds; a
/// process in an uninterruptible wait takes longer than anyone can wait.
pub const LAST_BOUND: Duration = Duration::from_secs(2);

/// What happens to the schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody wants the stop. Only the first one counts.
    Begin {
        /// Who or what asked.
        reason: String,
    },
    /// A unit has answered.
    Stopped {
        /// Which one.
        unit: UnitName,
        /// What came of it.
        outcome: StopOutcome,
    },
    /// A second signal.
    Force,
    /// The time asked for with [`Effect::WakeAt`] has come.
    Wake,
}

/// What the actor shall do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Tell everybody that the stop has begun.
    Announce(String),
    /// Tell this unit to stop.
    Tell {
        /// Which one.
        unit: UnitIndex,
        /// When its time is over.
        until: Instant,
        /// Without any grace.
        force: bool,
    },
    /// Step again at this time; replaces an earlier wish.
    WakeAt(Instant),
    /// It is over. Comes once, and nothing comes after it.
    Finish(StopReport),
}

/// The state machine.
#[derive(Debug)]
pub struct Schedule {
    graph: Graph,
    units: BTreeMap<UnitIndex, Unit>,
    deadline: Duration,
    phase: Phase,
}

#[derive(Debug)]
struct Unit {
    bound: Duration,
    progress: Progress,
}

#[derive(Debug, Clone, PartialEq)]
enum Progress {
    Running,
    Told { at: Instant, until: Instant },
    Ended { told: Instant, at: Instant, place: usize, outcome: StopOutcome },
}

#[derive(Debug)]
enum Phase {
    Open,
    Stopping(Stop),
    Forced(Stop),
    Over,
}

#[derive(Debug)]
struct Stop {
    reason: String,
    began: Instant,
    /// The deadline, or, once forced, the end of the last bound.
    until: Instant,
    /// Answers so far.
    ended: usize,
}

impl Schedule {
    /// A schedule that takes `deadline` at most, and [`LAST_BOUND`] for what is left then.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self { graph: Graph::default(), units: BTreeMap::new(), deadline, phase: Phase::Open }
    }

    /// Adds a unit whose own stop may take `bound`.
    ///
    /// # Errors
    /// As [`Graph::register`], and once the stop has begun.
    pub fn register(&mut self, name: &str, needs: &[UnitName], bound: Duration) -> Result<UnitIndex, GraphError> {
        if !matches!(self.phase, Phase::Open) {
            return Err(GraphError::Stopping(name.to_owned()));
        }
        let unit = self.graph.register(name, needs)?;
        self.units.insert(unit, Unit { bound, progress: Progress::Running });
        Ok(unit)
    }

    /// Takes a unit out that has stopped by itself.
    ///
    /// # Errors
    /// As [`Graph::unregister`], and once the stop has begun: it is then part of the report.
    pub fn unregister(&mut self, name: &str) -> Result<UnitIndex, GraphError> {
        if !matches!(self.phase, Phase::Open) {
            return Err(GraphError::Stopping(name.to_owned()));
        }
        let unit = self.graph.unregister(name)?;
        self.units.remove(&unit);
        Ok(unit)
    }

    /// Lets a unit need others than before, and take `bound` for its own stop.
    ///
    /// # Errors
    /// As [`Graph::change`], and once the stop has begun.
    pub fn change(&mut self, name: &str, needs: &[UnitName], bound: Duration) -> Result<UnitIndex, GraphError> {
        if !matches!(self.phase, Phase::Open) {
            return Err(GraphError::Stopping(name.to_owned()));
        }
        let index = self.graph.change(name, needs)?;
        if let Some(unit) = self.units.get_mut(&index) {
            unit.bound = bound;
        }
        Ok(index)
    }

    /// The name of a unit.
    #[must_use]
    pub fn name(&self, unit: UnitIndex) -> &str {
        self.graph.name(unit)
    }

    /// What follows from `input` at `now`.
    pub fn step(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Begin { reason } => self.begin(reason, now, &mut effects),
            Input::Stopped { unit, outcome } => self.stopped(&unit, outcome, now),
            Input::Force => {
                self.begin("forced".to_owned(), now, &mut effects);
                self.force(now, &mut effects);
            }
            Input::Wake => {}
        }
        self.advance(now, &mut effects);
        effects
    }

    fn begin(&mut self, reason: String, now: Instant, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Open) {
            effects.push(Effect::Announce(reason.clone()));
            self.phase = Phase::Stopping(Stop { reason, began: now, until: now + self.deadline, ended: 0 });
        }
    }

    /// Answers nobody waits for (of unknown units, unasked, or a second one) change nothing.
    fn stopped(&mut self, name: &str, outcome: StopOutcome, now: Instant) {
        if let Some(unit) = self.graph.find(name) {
            self.end(unit, outcome, now);
        }
    }

    fn end(&mut self, unit: UnitIndex, outcome: StopOutcome, now: Instant) {
        let (Phase::Stopping(stop) | Phase::Forced(stop)) = &mut self.phase else { return };
        if let Some(unit) = self.units.get_mut(&unit)
            && let Progress::Told { at, .. } = unit.progress
        {
            unit.progress = Progress::Ended { told: at, at: now, place: stop.ended, outcome };
            stop.ended += 1;
        }
    }

    /// From here on nobody waits for anybody: all that have not answered are told at once, also those whose time ran
    /// out before.
    fn force(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let until = now + LAST_BOUND;
        self.phase = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Stopping(stop) => Phase::Forced(Stop { until, ..stop }),
            other => {
                self.phase = other;
                return;
            }
        };
        for (&index, unit) in self.units.iter_mut().rev() {
            let told = match unit.progress {
                Progress::Running => now,
                Progress::Told { at, .. } => at,
                Progress::Ended { told, outcome: StopOutcome::TimedOut, .. } => told,
                Progress::Ended { .. } => continue,
            };
            unit.progress = Progress::Told { at: told, until };
            effects.push(Effect::Tell { unit: index, until, force: true });
        }
    }

    /// Lets time do its work, tells whoever may stop, and finds the end.
    fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Phase::Stopping(stop) = &self.phase
            && stop.until <= now
            && !self.all_ended()
        {
            self.force(now, effects);
        }
        self.expire(now);
        if let Phase::Stopping(stop) = &self.phase {
            let deadline = stop.until;
            // A bound of zero is over when it begins, and its unit holds nobody up: hence once more.
            while self.tell(now, deadline, effects) {
                self.expire(now);
            }
        }
        match &self.phase {
            Phase::Open | Phase::Over => {}
            Phase::Stopping(_) | Phase::Forced(_) if self.all_ended() => self.finish(now, effects),
            Phase::Stopping(stop) | Phase::Forced(stop) => {
                let next = self.units.values().filter_map(|u| match u.progress {
                    Progress::Told { until, .. } => Some(until),
                    Progress::Running | Progress::Ended { .. } => None,
                });
                effects.push(Effect::WakeAt(next.min().map_or(stop.until, |n| n.min(stop.until))));
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        let over = |unit: &Unit| matches!(unit.progress, Progress::Told { until, .. } if until <= now);
        let late: Vec<UnitIndex> = self.units.iter().filter(|(_, unit)| over(unit)).map(|(index, _)| *index).collect();
        for unit in late {
            self.end(unit, StopOutcome::TimedOut, now);
        }
    }

    /// Tells those that may stop now; whether there were any.
    fn tell(&mut self, now: Instant, deadline: Instant, effects: &mut Vec<Effect>) -> bool {
        let units = &self.units;
        let has_ended = |unit: &Unit| matches!(unit.progress, Progress::Ended { .. });
        let free = self.graph.may_stop(|unit| units.get(&unit).is_none_or(has_ended));
        let before = effects.len();
        for index in free {
            let Some(unit) = self.units.get_mut(&index) else { continue };
            if unit.progress == Progress::Running {
                let until = now.checked_add(unit.bound).map_or(deadline, |own| own.min(deadline));
                unit.progress = Progress::Told { at: now, until };
                effects.push(Effect::Tell { unit: index, until, force: false });
            }
        }
        effects.len() > before
    }

    fn all_ended(&self) -> bool {
        self.units.values().all(|u| matches!(u.progress, Progress::Ended { .. }))
    }

    fn finish(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let (stop, forced) = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Stopping(stop) => (stop, false),
            Phase::Forced(stop) => (stop, true),
            Phase::Open | Phase::Over => return,
        };
        let mut units: Vec<(usize, UnitReport)> = Vec::with_capacity(self.units.len());
        for (&index, unit) in &self.units {
            if let Progress::Ended { told, at, place, outcome } = &unit.progress {
                let seconds = at.duration_since(*told).as_secs_f64();
                let name = self.graph.name(index).to_owned();
                units.push((*place, UnitReport { name, outcome: outcome.clone(), seconds }));
            }
        }
        units.sort_by_key(|(place, _)| *place);
        effects.push(Effect::Finish(StopReport {
            reason: stop.reason,
            units: units.into_iter().map(|(_, report)| report).collect(),
            forced,
            seconds: now.duration_since(stop.began).as_secs_f64(),
        }));
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;

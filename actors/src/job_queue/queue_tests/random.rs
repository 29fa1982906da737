//! Any sequence of what may happen to jobs.

use std::collections::HashSet;

use proptest::prelude::*;

use super::world::*;
use crate::{
    failure::FailureClass,
    job::{JobOutcome, JobProgress, JobState},
    job_queue::{attempt::AttemptEnd, queue::*},
};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Act {
    Submit(usize, i32),
    Answer(bool),
    News(prop::sample::Index, u8),
    Stale(prop::sample::Index, u8),
    Cancel(prop::sample::Index),
    Pass(u8),
    Define(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0_usize..2, -2_i32..3).prop_map(|(kind, priority)| Act::Submit(kind, priority)),
        6 => prop::bool::weighted(0.9).prop_map(Act::Answer),
        8 => (index(), 0_u8..8).prop_map(|(which, news)| Act::News(which, news)),
        1 => (index(), 0_u8..8).prop_map(|(which, news)| Act::Stale(which, news)),
        1 => index().prop_map(Act::Cancel),
        2 => (0_u8..40).prop_map(Act::Pass),
        1 => (0_u8..4).prop_map(Act::Define),
    ]
}

fn news(which: u8) -> AttemptNews {
    match which {
        0 => AttemptNews::Waiting("for memory".to_owned()),
        1 | 2 => AttemptNews::Running,
        3 => AttemptNews::Progress(JobProgress::of(1, 2, None)),
        4 => AttemptNews::Ended(done()),
        5 => AttemptNews::Ended(failed(FailureClass::Exit)),
        6 => AttemptNews::Ended(AttemptEnd::Stopped),
        _ => AttemptNews::Over,
    }
}

impl World {
    /// `is_sure`: every write succeeds, so that the disk is never behind what was told.
    fn act(&mut self, act: Act, is_sure: bool) {
        match act {
            Act::Submit(kind, priority) => {
                let kind = ["image", "video"][kind];
                self.submit(kind, priority);
            }
            Act::Answer(ok) => {
                self.answer(if ok || is_sure { Ok(()) } else { Err("full".to_owned()) });
            }
            Act::News(which, kind) => {
                let doing: Vec<JobId> = self.doing.keys().copied().collect();
                if !doing.is_empty() {
                    self.tell(*which.get(&doing), news(kind));
                }
            }
            Act::Stale(which, kind) if !self.submitted.is_empty() => {
                let id = *which.get(&self.submitted);
                let number = self.doing.get(&id).map_or(0, |(number, _, _)| *number).wrapping_sub(1);
                self.step(Event::News { id, number, news: news(kind) });
            }
            Act::Cancel(which) if !self.submitted.is_empty() => {
                let id = *which.get(&self.submitted);
                if self.queue.may_cancel(id).is_ok() {
                    self.step(Event::Cancel(id));
                }
            }
            Act::Stale(..) | Act::Cancel(_) => {}
            Act::Pass(seconds) => {
                self.seconds += f64::from(seconds);
                self.step(Event::Wake);
            }
            Act::Define(kinds) => {
                let kept = self.kinds.iter().enumerate().filter(|(place, _)| kinds & (1 << place) != 0);
                let kept = kept.map(|(_, kind)| Arc::clone(kind)).collect();
                self.step(Event::Defined(kept));
            }
        }
        for id in &self.submitted {
            assert!(self.queue.get(*id).is_some(), "none is lost");
        }
    }
}

fn kinds() -> Vec<JobDefinition> {
    vec![kind("image", 1, 1, 5), kind("video", 2, 0, 0)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_job_comes_to_its_end(acts in prop::collection::vec(act(), 0..120)) {
        let mut world = World::new(kinds());
        for act in acts {
            world.act(act, false);
        }
        world.finish();
        for id in &world.submitted {
            prop_assert!(world.state(*id).is_final(), "{:?}", world.view(*id));
            prop_assert!(world.shown[id].state.is_final(), "its followers know");
        }
        prop_assert_eq!(world.queue.open(), (0, 0));
        prop_assert!(world.queue.next_wake().is_none() && world.queue.is_idle());
    }

    #[test]
    fn whenever_the_runtime_is_killed_no_job_is_lost_or_done_over(acts in prop::collection::vec(act(), 0..120)) {
        let mut world = World::new(kinds());
        for act in acts {
            world.act(act, true);
        }
        // What was told is on disk, so it is true also after a kill.
        let told: HashMap<JobId, Option<JobOutcome>> =
            world.submitted.iter().map(|id| (*id, world.view(*id).outcome)).collect();
        let mut next = World::after(world.kinds, world.disk, world.submitted);
        let known: HashSet<JobId> = next.submitted.iter().copied().collect();
        prop_assert_eq!(known.len(), next.submitted.len());
        for id in next.submitted.clone() {
            let (disk, live) = (&next.disk[&id], next.queue.is_open(id));
            prop_assert!(live || disk.state.is_final() || disk.outcome.is_some() || disk.state == JobState::Running);
            if let Some(outcome) = told[&id] {
                prop_assert!(!live, "what has ended is not begun again");
                prop_assert_eq!(disk.outcome, Some(outcome));
            }
        }
        next.finish();
        for id in &next.submitted {
            prop_assert!(next.disk[id].state.is_final());
            if let Some(outcome) = told[id] {
                prop_assert_eq!(next.disk[id].outcome, Some(outcome));
            }
        }
    }

    #[test]
    fn an_ordered_end_leaves_nobody_at_work(acts in prop::collection::vec(act(), 0..80), cancel in any::<bool>()) {
        let mut world = World::new(kinds());
        for act in acts {
            world.act(act, true);
        }
        let running = if cancel { RunningJobs::Cancel } else { RunningJobs::Drain };
        world.step(Event::Stop { drain: Duration::from_secs(5), running });
        world.pass(6.0);
        for id in world.doing.keys().copied().collect::<Vec<_>>() {
            world.end(id, AttemptEnd::Stopped);
            world.tell(id, AttemptNews::Over);
        }
        world.write_all();
        prop_assert!(world.queue.is_idle());
        for (id, row) in &world.disk {
            prop_assert!(row.state == JobState::Queued || row.state.is_final(), "{:?}", row);
            prop_assert_eq!(row.state, world.state(*id));
        }
    }
}

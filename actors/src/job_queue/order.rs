//! Whose turn it is. Pure.
//!
//! Each kind of job has a line and as many slots as may be done at a time. A job's place follows from when it was submitted
//! and from its priority alone: a step of priority counts as much as a minute of waiting. So those that wait overtake
//! newcomers of a higher priority in time, without a clock, and nobody's place has to be reckoned again.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    job::{JobId, JobName},
    time::Timestamp,
};

/// What one step of priority is worth, in microseconds of waiting: a minute.
const STEP: i64 = 60_000_000;

/// A job's place among all: the lowest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// The time of its submission less what its priority is worth, in microseconds.
    at: i64,
    /// Tells apart those of the same moment: first come, first served.
    number: u64,
}

/// Everybody who waits for a slot, and the slots.
#[derive(Debug, Default)]
pub struct Lines {
    kinds: BTreeMap<JobName, Kind>,
    drawn: u64,
}

#[derive(Debug, Default)]
struct Kind {
    waiting: BTreeMap<Turn, JobId>,
    /// As many may be taken; 0 for a kind that is not there.
    slots: u32,
    taken: BTreeSet<u32>,
}

impl Kind {
    /// The lowest slot that is free, if another one may be taken.
    fn free(&self) -> Option<u32> {
        let may = u32::try_from(self.taken.len()).is_ok_and(|taken| taken < self.slots);
        may.then(|| (1..).find(|slot| !self.taken.contains(slot))).flatten()
    }
}

impl Lines {
    /// The turn of a job that comes now. Kept for its whole life.
    pub fn draw(&mut self, submitted: Timestamp, priority: i32) -> Turn {
        self.drawn += 1;
        Turn { at: submitted.as_micros().saturating_sub(i64::from(priority) * STEP), number: self.drawn }
    }

    /// A job lines up.
    pub fn join(&mut self, job: &JobName, turn: Turn, id: JobId) {
        self.kind(job).waiting.insert(turn, id);
    }

    /// A job leaves the line, if it stands in it.
    pub fn leave(&mut self, job: &JobName, turn: Turn) {
        self.kind(job).waiting.remove(&turn);
    }

    /// The next one that can be begun, with the slot that is its own until it is [given back](Self::give_back). Of all kinds
    /// that have a slot free, the one whose turn is first.
    pub fn begin_next(&mut self) -> Option<(JobId, u32)> {
        let first = |kind: &Kind| Some((*kind.waiting.first_key_value()?.0, kind.free()?));
        let ready = self.kinds.values_mut().filter_map(|kind| Some((first(kind)?, kind)));
        let ((turn, slot), kind) = ready.min_by_key(|((turn, _), _)| *turn)?;
        kind.taken.insert(slot);
        Some((kind.waiting.remove(&turn)?, slot))
    }

    /// A slot is free again.
    pub fn give_back(&mut self, job: &JobName, slot: u32) {
        self.kind(job).taken.remove(&slot);
    }

    /// Sets how many of each kind may be done at a time. Those that are not named are not there: nothing of them is begun.
    /// Slots that are taken stay so.
    pub fn set_slots<'a>(&mut self, slots: impl IntoIterator<Item = (&'a JobName, u32)>) {
        self.kinds.values_mut().for_each(|kind| kind.slots = 0);
        for (job, slots) in slots {
            self.kind(job).slots = slots.max(1);
        }
        self.kinds.retain(|_, kind| kind.slots > 0 || !kind.waiting.is_empty() || !kind.taken.is_empty());
    }

    /// Those in line, of this kind or of all, in the order of their turns.
    pub fn waiting<'a>(&'a self, job: Option<&'a JobName>) -> impl Iterator<Item = JobId> + 'a {
        let of = move |name: &JobName| job.is_none_or(|job| job == name);
        let lines = self.kinds.iter().filter(move |(name, _)| of(name));
        let mut lines: Vec<_> = lines.map(|(_, kind)| kind.waiting.iter().peekable()).collect();
        std::iter::from_fn(move || {
            let heads = lines.iter_mut().enumerate();
            let (_, first) = heads.filter_map(|(line, all)| Some((*all.peek()?.0, line))).min()?;
            lines.get_mut(first)?.next().map(|(_, id)| *id)
        })
    }

    fn kind(&mut self, job: &JobName) -> &mut Kind {
        self.kinds.entry(job.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> JobName {
        text.parse().expect("a name")
    }

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    /// Lines with these slots and those who wait, as kind, seconds and priority; their ids in that order.
    fn lines(slots: &[(&str, u32)], jobs: &[(&str, i64, i32)]) -> (Lines, Vec<JobId>) {
        let mut lines = Lines::default();
        let names: Vec<(JobName, u32)> = slots.iter().map(|(job, slots)| (name(job), *slots)).collect();
        lines.set_slots(names.iter().map(|(job, slots)| (job, *slots)));
        let ids: Vec<JobId> = jobs.iter().map(|_| JobId::fresh()).collect();
        for (id, (job, at, priority)) in ids.iter().zip(jobs) {
            let turn = lines.draw(seconds(*at), *priority);
            lines.join(&name(job), turn, *id);
        }
        (lines, ids)
    }

    #[test]
    fn first_come_first_served_and_a_step_of_priority_is_worth_a_minute() {
        let jobs = [("image", 0, 0), ("image", 0, 0), ("image", 59, 1), ("image", 61, 1), ("image", 61, -1)];
        let (mut lines, ids) = lines(&[("image", 9)], &jobs);
        let expected: Vec<JobId> = [2, 0, 1, 3, 4].map(|place| ids[place]).into();
        assert_eq!(lines.waiting(None).collect::<Vec<_>>(), expected);
        let begun: Vec<JobId> = std::iter::from_fn(|| lines.begin_next()).map(|(id, _)| id).collect();
        assert_eq!(begun, expected);
    }

    #[test]
    fn a_kind_has_its_own_slots_and_the_lowest_free_one_is_given() {
        let jobs = [("image", 0, 0), ("image", 1, 0), ("video", 2, 0), ("video", 3, 0), ("image", 4, 0)];
        let (mut lines, ids) = lines(&[("image", 2), ("video", 1)], &jobs);
        let begun: Vec<(JobId, u32)> = std::iter::from_fn(|| lines.begin_next()).collect();
        assert_eq!(begun, [(ids[0], 1), (ids[1], 2), (ids[2], 1)]);
        lines.give_back(&name("image"), 1);
        assert_eq!((lines.begin_next(), lines.begin_next()), (Some((ids[4], 1)), None));
    }

    #[test]
    fn of_a_kind_that_is_gone_nothing_is_begun_and_fewer_slots_count_once_they_are_free() {
        let jobs = [("image", 0, 0), ("image", 1, 0), ("image", 2, 0), ("image", 3, 0)];
        let (mut lines, ids) = lines(&[("image", 3)], &jobs);
        while lines.begin_next().is_some() {}
        let image = name("image");
        lines.set_slots([(&image, 1)]);
        lines.give_back(&image, 1);
        assert_eq!(lines.begin_next(), None, "two are at work");
        lines.give_back(&image, 2);
        lines.set_slots([]);
        lines.give_back(&image, 3);
        assert_eq!(lines.begin_next(), None, "it is gone");
        lines.set_slots([(&image, 1)]);
        assert_eq!(lines.begin_next(), Some((ids[3], 1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn all_are_begun_in_the_order_of_what_they_waited_and_slots_are_never_exceeded(
            jobs in prop::collection::vec((0_usize..3, 0_i64..400, -3_i32..4), 0..60),
            slots in prop::collection::vec(1_u32..4, 3),
            free in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let kinds = ["a", "b", "c"];
            let given: Vec<_> = jobs.iter().map(|(kind, at, priority)| (kinds[*kind], *at, *priority)).collect();
            let slots: Vec<_> = kinds.into_iter().zip(slots).collect();
            let (mut lines, ids) = lines(&slots, &given);
            let place = |id: &JobId| ids.iter().position(|other| other == id).expect("one of them");
            let (mut at_work, mut begun) = (Vec::<(usize, u32)>::new(), Vec::new());
            for pick in free {
                while let Some((id, slot)) = lines.begin_next() {
                    let job = place(&id);
                    let beside: Vec<u32> =
                        at_work.iter().filter(|(other, _)| given[*other].0 == given[job].0).map(|(_, s)| *s).collect();
                    prop_assert!(!beside.contains(&slot), "one slot for each");
                    let most = slots.iter().find(|(kind, _)| *kind == given[job].0).expect("a kind").1;
                    prop_assert!(u32::try_from(beside.len()).expect("few") < most);
                    at_work.push((job, slot));
                    begun.push(job);
                }
                if !at_work.is_empty() {
                    let (job, slot) = at_work.swap_remove(pick.index(at_work.len()));
                    lines.give_back(&name(given[job].0), slot);
                }
            }
            prop_assert_eq!(begun.len(), given.len());
            for kind in kinds {
                let keys: Vec<_> = begun.iter().filter(|job| given[**job].0 == kind)
                    .map(|job| (given[*job].1 - 60 * i64::from(given[*job].2), *job)).collect();
                prop_assert!(keys.is_sorted());
            }
        }
    }
}

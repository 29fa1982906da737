//! The gate itself.

use std::sync::{Arc, atomic::Ordering};

use super::{
    guards::{Drained, Hold, Needed, Permit, Shut},
    line::{LineFull, Ticket, Waiting},
    place::Place,
    shared::Shared,
    word::{self, MOST_PERMITS, OPEN, SHUT, holds, is_open, permits},
};

/// A service's gate. Clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Shared>);

/// The service is held, so it is not offloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is held ({holds} of the application's holds are not dropped), and so it stays in memory")]
pub struct Held {
    /// How many holds there are.
    pub holds: u32,
}

impl Gate {
    /// A closed gate with nobody in and no limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters; `None` when it is closed, as many are in as may be, or somebody stands in line.
    #[must_use]
    pub fn enter(&self) -> Option<Permit> {
        self.0.go_in(word::enter).then(|| Permit(Arc::clone(&self.0)))
    }

    /// A place in the line; its turn has come at once where nobody is before it and there is room.
    ///
    /// # Errors
    /// When `most` stand in line already.
    pub fn line_up(&self, ticket: Ticket, most: u32) -> Result<Place, LineFull> {
        let turn = self.0.with_line(|line| {
            if line.is_empty() && self.0.go_in(word::let_in) {
                return Ok(None);
            }
            let waiting = line.len();
            if waiting < most { Ok(Some(line.join(ticket, None))) } else { Err(LineFull { waiting }) }
        });
        turn.map(|turn| Place::new(&self.0, turn))
    }

    /// Who stands in line.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.0.line().waiting()
    }

    /// How many may be in at a time from now on; `None` (or 0): as many as come. Whoever is in stays in.
    pub fn limit(&self, most: Option<u32>) {
        let most = most.filter(|most| *most > 0).unwrap_or(MOST_PERMITS);
        self.0.with_line(|_| self.0.limit.store(most, Ordering::Release));
    }

    /// Counts as a service that depends on this one and is up, or on its way, until it is dropped.
    pub fn need(&self) -> Needed {
        self.0.needed.fetch_add(1, Ordering::AcqRel);
        Needed(Arc::clone(&self.0))
    }

    /// How many services need this one.
    #[must_use]
    pub fn needed(&self) -> u32 {
        self.0.needed.load(Ordering::Acquire)
    }

    /// How often somebody has entered, ever: whoever looks twice sees whether it was used in between.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.0.entries.load(Ordering::Relaxed)
    }

    /// How often anything came out of it, ever: a piece of an answer, or the end of somebody's stay. Whoever looks twice sees
    /// whether it got on in between.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.0.moves.load(Ordering::Relaxed)
    }

    /// Objects to the service's being offloaded. Stopping and restarting it are not hindered.
    pub fn hold(&self) -> Hold {
        // An error means that the count is at its end, where it stays.
        self.0.change(word::hold).ok();
        Hold(Arc::clone(&self.0))
    }

    /// Lets nobody in until what this gives is dropped, also if the gate is opened meanwhile. For whoever is in and wants
    /// the service to himself; he keeps his permit.
    pub fn shut(&self) -> Shut {
        // An error means that the count is at its end, where it stays.
        if let Ok(before) = self.0.change(word::shut) {
            // Others who shut it wait for everybody but him from here on.
            self.0.tell_if_quiet(before + SHUT);
        }
        Shut(Arc::clone(&self.0))
    }

    /// Lets in those in line, and everybody from now on, as soon as nobody shuts it.
    pub fn open(&self) {
        let before = self.0.word.fetch_or(OPEN, Ordering::AcqRel);
        if word::has_line(before) {
            self.0.advance();
        }
    }

    /// Lets nobody in any more. Those in line stay in line.
    pub fn close(&self) {
        let before = self.0.word.fetch_and(!OPEN, Ordering::AcqRel);
        self.0.tell_if_quiet(before & !OPEN);
    }

    /// Closes it if nobody holds the service.
    ///
    /// # Errors
    /// When somebody does; the gate stays as it was.
    pub fn close_unless_held(&self) -> Result<(), Held> {
        let closed = self.0.change(|word| (holds(word) == 0).then_some(word & !OPEN));
        let before = closed.map_err(|word| Held { holds: holds(word) })?;
        self.0.tell_if_quiet(before & !OPEN);
        Ok(())
    }

    /// Whether the service can be used: it lets anybody in as soon as nobody shuts it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        is_open(self.0.word())
    }

    /// How many are in.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        permits(self.0.word())
    }

    /// How many hold the service.
    #[must_use]
    pub fn holds(&self) -> u32 {
        holds(self.0.word())
    }

    /// Waits until it is closed and nobody is in.
    pub fn drained(&self) -> Drained {
        Drained(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;
    use crate::os::clock;

    fn ticket(priority: i32) -> Ticket {
        Ticket { arrival: clock::now(), priority }
    }

    fn line_up(gate: &Gate, priority: i32) -> Place {
        gate.line_up(ticket(priority), u32::MAX).expect("there is room")
    }

    #[test]
    fn those_in_line_and_those_who_ever_came_in_are_counted() {
        let gate = Gate::new();
        let (one, two) = (line_up(&gate, 0), line_up(&gate, 0));
        assert_eq!((gate.waiting().count, gate.entries()), (2, 0));
        drop(one);
        gate.open();
        assert_eq!((gate.waiting().count, gate.entries(), gate.in_flight()), (0, 1, 1));
        assert_eq!(gate.moves(), 0);
        drop((gate.enter(), two));
        assert_eq!((gate.waiting().count, gate.entries(), gate.in_flight(), gate.moves()), (0, 2, 0, 2));
        gate.enter().expect("it is open").moves();
        assert_eq!(gate.moves(), 4);
        let needed = gate.need();
        assert_eq!((gate.needed(), gate.waiting().count), (1, 0));
        drop(needed);
        assert_eq!(gate.needed(), 0);
    }

    #[test]
    fn no_more_are_in_than_may_be_and_nobody_passes_those_in_line() {
        let gate = Gate::new();
        gate.limit(Some(1));
        gate.open();
        let inside = gate.enter().expect("open");
        assert!(gate.enter().is_none());
        let (mut low, mut high) = (line_up(&gate, 0), line_up(&gate, 1));
        assert_eq!((high.position(), low.position(), gate.waiting().priority), (Some(1), Some(2), 1));
        drop(inside);
        assert!(low.take().is_none() && gate.enter().is_none());
        let inside = high.take().expect("its turn has come");
        assert!(high.take().is_none() && high.now_or_never().is_none(), "a permit is given once");
        gate.limit(None);
        let other = low.take();
        assert_eq!((other.is_some(), gate.in_flight()), (true, 2));
        drop((inside, other));
        assert!(gate.enter().is_some() && gate.in_flight() == 0);
    }

    #[test]
    fn a_line_has_an_end_and_nobody_who_can_come_in_needs_a_place_in_it() {
        let gate = Gate::new();
        assert_eq!(gate.line_up(ticket(0), 0).map(drop), Err(LineFull { waiting: 0 }));
        let one = gate.line_up(ticket(0), 1).expect("there is room");
        assert_eq!(gate.line_up(ticket(9), 1).map(drop), Err(LineFull { waiting: 1 }));
        drop(one);
        gate.open();
        assert!(gate.line_up(ticket(0), 0).is_ok_and(|mut place| place.take().is_some()));
    }

    #[test]
    fn one_whose_turn_has_come_and_who_is_not_there_makes_room_for_the_next() {
        let gate = Gate::new();
        gate.limit(Some(1));
        let (first, mut second) = (line_up(&gate, 0), line_up(&gate, 0));
        gate.open();
        assert_eq!((first.position(), second.position(), gate.in_flight()), (None, Some(1), 1));
        gate.close();
        drop(first);
        assert!(gate.drained().now_or_never().is_some(), "it was in, and is no more");
        assert!(second.take().is_none(), "a closed gate lets nobody in");
        gate.open();
        assert!(second.take().is_some());
    }

    #[test]
    fn a_closed_gate_lets_nobody_in_and_is_drained_with_the_last_one_out() {
        let gate = Gate::new();
        assert!(gate.enter().is_none() && gate.drained().now_or_never().is_some());
        gate.open();
        let (one, two) = (gate.enter().expect("open"), gate.enter().expect("open"));
        assert_eq!((gate.in_flight(), gate.drained().now_or_never()), (2, None));
        gate.close();
        assert!(gate.enter().is_none() && gate.drained().now_or_never().is_none());
        drop(one);
        assert!(gate.drained().now_or_never().is_none());
        drop(two);
        assert!(gate.drained().now_or_never().is_some());
    }

    #[test]
    fn whoever_shuts_it_is_alone_once_the_others_have_left_and_nobody_comes_in() {
        let gate = Gate::new();
        gate.open();
        let (own, other) = (gate.enter().expect("open"), gate.enter().expect("open"));
        let shut = gate.shut();
        assert!(gate.enter().is_none() && shut.alone().now_or_never().is_none());
        let mut waits = line_up(&gate, 0);
        gate.close();
        gate.open();
        gate.limit(Some(9));
        assert!(waits.take().is_none() && gate.enter().is_none(), "also if it is opened again");
        drop(other);
        assert!(shut.alone().now_or_never().is_some());
        gate.close();
        assert!(gate.drained().now_or_never().is_none(), "a drain waits for whoever shuts it");
        gate.open();
        drop(own);
        assert!(waits.take().is_none() && gate.is_open());
        drop(shut);
        assert!(waits.take().is_some() && gate.enter().is_some());
    }

    #[test]
    fn two_who_shut_it_do_not_wait_for_each_other_and_the_last_one_lets_the_line_in() {
        let gate = Gate::new();
        gate.open();
        let (one, two) = (gate.enter().expect("open"), gate.enter().expect("open"));
        let (first, waits) = (gate.shut(), line_up(&gate, 0));
        let mut alone = Box::pin(first.alone());
        assert!((&mut alone).now_or_never().is_none());
        let second = gate.shut();
        assert!(alone.now_or_never().is_some() && second.alone().now_or_never().is_some());
        drop((one, first));
        assert!(waits.position().is_some() && second.alone().now_or_never().is_some());
        drop((second, two));
        assert_eq!((waits.position(), gate.in_flight()), (None, 1));
    }

    #[test]
    fn a_closed_gate_stays_closed_when_nobody_shuts_it_any_more() {
        let gate = Gate::new();
        drop(gate.shut());
        let mut waits = line_up(&gate, 0);
        drop(gate.shut());
        assert!(waits.take().is_none() && !gate.is_open() && gate.drained().now_or_never().is_some());
    }

    #[test]
    fn a_hold_hinders_an_offload_and_nothing_else() {
        let gate = Gate::new();
        gate.open();
        let (one, two) = (gate.hold(), gate.hold());
        assert_eq!(gate.close_unless_held(), Err(Held { holds: 2 }));
        assert!(gate.is_open() && gate.in_flight() == 0);
        drop(one);
        gate.close();
        assert_eq!((gate.holds(), gate.is_open()), (1, false));
        gate.open();
        drop(two);
        assert_eq!((gate.close_unless_held(), gate.is_open()), (Ok(()), false));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_word_counts_what_is_there(steps in prop::collection::vec(0u8..9, 0..200)) {
            let gate = Gate::new();
            let (mut open, mut permits, mut holds, mut shuts) = (false, Vec::new(), Vec::new(), Vec::new());
            for step in steps {
                match step {
                    0 => { gate.open(); open = true }
                    1 => { gate.close(); open = false }
                    2 => {
                        let entered = gate.enter();
                        prop_assert_eq!(entered.is_some(), open && shuts.is_empty());
                        permits.extend(entered);
                    }
                    7 => shuts.push(gate.shut()),
                    8 => drop(shuts.pop()),
                    3 => drop(permits.pop()),
                    4 => holds.push(gate.hold()),
                    5 => drop(holds.pop()),
                    _ => {
                        prop_assert_eq!(gate.close_unless_held().is_ok(), holds.is_empty());
                        open &= !holds.is_empty();
                    }
                }
                prop_assert_eq!((gate.is_open(), gate.in_flight() as usize, gate.holds() as usize),
                    (open, permits.len(), holds.len()));
                let drained = gate.drained().now_or_never().is_some();
                prop_assert_eq!(drained, !open && permits.is_empty());
                for shut in &shuts {
                    prop_assert_eq!(shut.alone().now_or_never().is_some(), permits.len() <= shuts.len());
                }
            }
        }

        /// Against a model without threads: after each step, whoever can be in is in, in the order of the line.
        #[test]
        fn whoever_can_be_in_is_in(steps in prop::collection::vec((0u8..10, 0u32..4), 0..120)) {
            let gate = Gate::new();
            let (mut open, mut limit, mut inside, mut shuts) = (false, 0, 0, Vec::new());
            // Of one priority alone, so that the order is that of coming; orders are the line's own matter.
            let (mut places, mut permits): (VecDeque<Place>, Vec<Permit>) = Default::default();
            for (step, number) in steps {
                match step {
                    0 => { gate.open(); open = true }
                    1 => { gate.close(); open = false }
                    2 => { gate.limit(Some(number)); limit = number }
                    3 | 4 => places.push_back(line_up(&gate, 0)),
                    // Somebody in the line gives up, or one whose turn has come.
                    5 => drop(places.remove(number as usize)),
                    6 => drop(permits.pop()),
                    8 => shuts.push(gate.shut()),
                    9 => drop(shuts.pop()),
                    _ => {
                        let free = open && shuts.is_empty() && (limit == 0 || inside < limit as usize);
                        let nobody_waits = places.iter().all(|place| place.position().is_none());
                        let entered = gate.enter();
                        prop_assert_eq!(entered.is_some(), free && nobody_waits);
                        permits.extend(entered);
                    }
                }
                // What the gate has done by itself: those before are in, the others are not.
                let has_come: Vec<bool> = places.iter().map(|place| place.position().is_none()).collect();
                let come = has_come.iter().filter(|come| **come).count();
                prop_assert!(has_come.is_sorted_by(|before, after| before >= after), "{:?}", has_come);
                inside = permits.len() + come;
                let waiting = places.len() - come;
                prop_assert_eq!((gate.in_flight() as usize, gate.waiting().count as usize), (inside, waiting));
                let free = open && shuts.is_empty() && (limit == 0 || inside < limit as usize);
                prop_assert!(!free || waiting == 0, "there is room, and {waiting} wait");
                // Some of those whose turn has come go in.
                for place in places.iter_mut().take(number as usize) {
                    permits.extend(place.take());
                }
                places.retain(|place| !place.is_over());
            }
        }
    }
}

//! Who waits for a gate, and in which order: higher priority first, then who came first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// What somebody brings who stands in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// When he came. Whoever has to line up again keeps it, and with it his place.
    pub arrival: Instant,
    /// Higher goes first.
    pub priority: i32,
}

/// Who waits for a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// How many.
    pub count: u32,
    /// Since when the first of them waits, where somebody does.
    pub oldest: Option<Instant>,
    /// The highest of their priorities; 0 for nobody.
    pub priority: i32,
}

/// There is no room in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} wait already")]
pub struct LineFull {
    /// How many stand in it.
    pub waiting: u32,
}

/// One in the line: its order is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    priority: Reverse<i32>,
    arrival: Instant,
    /// Tells apart those who came at the same moment.
    number: u64,
}

/// The line. With each of those in it goes something of the kind `T`.
#[derive(Debug)]
pub(super) struct Line<T> {
    standing: BTreeMap<Turn, T>,
    /// The same ones by their arrival.
    arrivals: BTreeSet<(Instant, u64)>,
    /// How many have ever stood in it.
    joined: u64,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { standing: BTreeMap::new(), arrivals: BTreeSet::new(), joined: 0 }
    }
}

impl<T> Line<T> {
    /// Somebody joins.
    pub fn join(&mut self, ticket: Ticket, with: T) -> Turn {
        let Ticket { arrival, priority } = ticket;
        self.joined += 1;
        let turn = Turn { priority: Reverse(priority), arrival, number: self.joined };
        self.standing.insert(turn, with);
        self.arrivals.insert((arrival, turn.number));
        turn
    }

    /// The first one leaves it.
    pub fn pop(&mut self) -> Option<T> {
        let (turn, with) = self.standing.pop_first()?;
        self.arrivals.remove(&(turn.arrival, turn.number));
        Some(with)
    }

    /// This one leaves it; `None` where he has left before.
    pub fn leave(&mut self, turn: &Turn) -> Option<T> {
        let with = self.standing.remove(turn)?;
        self.arrivals.remove(&(turn.arrival, turn.number));
        Some(with)
    }

    /// What goes with this one; `None` where he has left.
    pub fn of(&mut self, turn: &Turn) -> Option<&mut T> {
        self.standing.get_mut(turn)
    }

    /// The place of this one, from 1; `None` where he has left.
    pub fn position(&self, turn: &Turn) -> Option<u32> {
        let before = || self.standing.range(..turn).count();
        self.standing.contains_key(turn).then(|| count(before()).saturating_add(1))
    }

    pub fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    pub fn len(&self) -> u32 {
        count(self.standing.len())
    }

    /// All of them at a glance.
    pub fn waiting(&self) -> Waiting {
        Waiting {
            count: self.len(),
            oldest: self.arrivals.first().map(|(arrival, _)| *arrival),
            priority: self.standing.first_key_value().map_or(0, |(turn, _)| turn.priority.0),
        }
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::os::clock;

    #[test]
    fn the_oldest_is_known_also_where_others_go_first() {
        let (mut line, now) = (Line::default(), clock::now());
        assert_eq!(line.waiting(), Waiting::default());
        let later = now + Duration::from_secs(1);
        let patient = line.join(Ticket { arrival: now, priority: -1 }, "patient");
        let urgent = line.join(Ticket { arrival: later, priority: 7 }, "urgent");
        assert_eq!(line.waiting(), Waiting { count: 2, oldest: Some(now), priority: 7 });
        assert_eq!((line.position(&urgent), line.position(&patient)), (Some(1), Some(2)));
        assert_eq!((line.pop(), line.position(&urgent)), (Some("urgent"), None));
        assert_eq!(line.waiting(), Waiting { count: 1, oldest: Some(now), priority: -1 });
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a list that is sorted anew at each step.
        #[test]
        fn it_goes_by_priority_and_then_by_arrival(
            steps in prop::collection::vec((0u8..4, 0u64..5, -2i32..3, any::<prop::sample::Index>()), 0..60)
        ) {
            let (mut line, begin) = (Line::default(), clock::now());
            let mut model: Vec<(Ticket, Turn, usize)> = Vec::new();
            for (n, (step, seconds, priority, index)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => {
                        let ticket = Ticket { arrival: begin + Duration::from_secs(seconds), priority };
                        model.push((ticket, line.join(ticket, n), n));
                        // Stable: of those who are alike, the one that joined first stays first.
                        model.sort_by_key(|(ticket, ..)| (Reverse(ticket.priority), ticket.arrival));
                    }
                    2 => {
                        let first = (!model.is_empty()).then(|| model.remove(0).2);
                        prop_assert_eq!(line.pop(), first);
                    }
                    _ if model.is_empty() => prop_assert!(line.is_empty()),
                    _ => {
                        let (_, turn, what) = model.remove(index.index(model.len()));
                        prop_assert_eq!(line.leave(&turn), Some(what));
                        prop_assert_eq!((line.leave(&turn), line.of(&turn)), (None, None));
                    }
                }
                for (place, (_, turn, what)) in model.iter().enumerate() {
                    prop_assert_eq!(line.position(turn), Some(place as u32 + 1));
                    prop_assert_eq!(line.of(turn), Some(&mut what.clone()));
                }
                let told = Waiting {
                    count: model.len() as u32,
                    oldest: model.iter().map(|(ticket, ..)| ticket.arrival).min(),
                    priority: model.first().map_or(0, |(ticket, ..)| ticket.priority),
                };
                prop_assert_eq!(line.waiting(), told);
            }
        }
    }
}

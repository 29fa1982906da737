//! Which URL of a remote is asked.

use crate::spec::Balance;

/// A URL, as far as the choice goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may be asked: it is well, and has not refused this very request.
    pub may_be_asked: bool,
    /// Requests on their way to it.
    pub in_flight: u32,
}

/// The place of the URL to ask; `None` where none may be. `turn` counts the choices that were made before: the search
/// begins there, so that those that are alike take turns.
#[must_use]
pub fn choose(balance: Balance, turn: usize, urls: &[Standing]) -> Option<usize> {
    let from_turn = (0..urls.len()).map(|step| (turn % urls.len() + step) % urls.len());
    let mut able = from_turn.filter(|place| urls[*place].may_be_asked);
    match balance {
        Balance::RoundRobin => able.next(),
        Balance::LeastBusy => able.min_by_key(|place| urls[*place].in_flight),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn urls(in_flight: &[Option<u32>]) -> Vec<Standing> {
        let url = |n: &Option<u32>| Standing { may_be_asked: n.is_some(), in_flight: n.unwrap_or(0) };
        in_flight.iter().map(url).collect()
    }

    #[test]
    fn the_least_busy_one_is_asked_and_those_that_are_alike_take_turns() {
        let choose = |turn, of: &[Option<u32>]| choose(Balance::LeastBusy, turn, &urls(of));
        assert_eq!(choose(0, &[Some(2), Some(1), Some(3)]), Some(1));
        assert_eq!(choose(0, &[Some(2), None, Some(3)]), Some(0));
        assert_eq!([0, 1, 2, 3].map(|turn| choose(turn, &[Some(1), Some(1), Some(1)])), [0, 1, 2, 0].map(Some));
        assert_eq!(choose(7, &[None, None]), None);
        assert_eq!(choose(usize::MAX, &[]), None);
    }

    #[test]
    fn one_after_the_other_whatever_they_have_to_do() {
        let choose = |turn, of: &[Option<u32>]| choose(Balance::RoundRobin, turn, &urls(of));
        let busy = [Some(9), Some(0), Some(5)];
        assert_eq!([0, 1, 2, 3].map(|turn| choose(turn, &busy)), [0, 1, 2, 0].map(Some));
        assert_eq!(choose(1, &[Some(9), None, Some(5)]), Some(2));
        assert_eq!(choose(2, &[Some(9), None, None]), Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn somebody_is_chosen_exactly_if_somebody_may_be(
            of in prop::collection::vec(prop::option::of(0_u32..4), 0..6),
            turn in any::<usize>(),
        ) {
            for balance in [Balance::LeastBusy, Balance::RoundRobin] {
                let chosen = choose(balance, turn, &urls(&of));
                prop_assert_eq!(chosen.is_some(), of.iter().any(Option::is_some));
                prop_assert!(chosen.is_none_or(|place| of[place].is_some()));
                if let (Balance::LeastBusy, Some(place)) = (balance, chosen) {
                    prop_assert_eq!(of[place], of.iter().flatten().min().copied());
                }
            }
        }
    }
}

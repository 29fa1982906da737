//! A first set that does, found in one pass: what the search starts from, and what it falls back to.

use std::cmp::Ordering;

use super::problem::Problem;

/// Puts leavers into the order in which they are tried: the lowest priority first, and there those that cost least for
/// what they give, each pool counted by the share of what is missing.
pub(super) fn sort(problem: &mut Problem) {
    let missing: Vec<u128> = problem.missing.iter().map(|(missing, _)| *missing).collect();
    #[allow(clippy::cast_precision_loss, reason = "an order, no amount")]
    let rate = |weight: u128, helps: &[u128]| {
        let share: f64 = helps.iter().zip(&missing).map(|(helps, missing)| *helps as f64 / *missing as f64).sum();
        weight as f64 / share
    };
    problem.leavers.sort_by_cached_key(|c| (c.priority, Rate(rate(c.weight, &c.helps)), c.item));
}

/// A cost per share; all of them are finite or plain infinite, so the total order is the usual one.
#[derive(Debug, PartialEq)]
struct Rate(f64);

impl Eq for Rate {}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Takes leavers in their order as long as they give something that is still missing, then spares those that were not
/// needed. `None`: all of them do not suffice.
pub(super) fn set(problem: &Problem) -> Option<Vec<usize>> {
    let mut gained = vec![0; problem.headroom.len()];
    let mut chosen = Vec::new();
    for (at, leaver) in problem.leavers.iter().enumerate() {
        let mut lacking = (0..problem.missing.len()).filter(|r| problem.lacks(*r, &gained) > 0).peekable();
        if lacking.peek().is_none() {
            break;
        }
        if lacking.any(|requirement| leaver.helps[requirement] > 0) {
            gained.iter_mut().zip(&leaver.gives).for_each(|(sum, gives)| *sum += gives);
            chosen.push(at);
        }
    }
    problem.is_met(&gained).then(|| spare(problem, chosen))
}

/// Takes everybody out of a set that does without whom it does as well, the dearest first.
pub(super) fn spare(problem: &Problem, mut chosen: Vec<usize>) -> Vec<usize> {
    let mut gained = vec![0; problem.headroom.len()];
    for at in &chosen {
        gained.iter_mut().zip(&problem.leavers[*at].gives).for_each(|(sum, gives)| *sum += gives);
    }
    chosen.sort_by_key(|at| (problem.leavers[*at].priority, problem.leavers[*at].weight, *at));
    for place in (0..chosen.len()).rev() {
        let gives = &problem.leavers[chosen[place]].gives;
        let without: Vec<u128> = gained.iter().zip(gives).map(|(sum, gives)| sum - gives).collect();
        if problem.is_met(&without) {
            gained = without;
            chosen.remove(place);
        }
    }
    chosen
}

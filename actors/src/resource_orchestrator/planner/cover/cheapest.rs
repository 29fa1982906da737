//! From the question to the answer.

use super::{
    first,
    problem::{Item, Problem, Requirement},
    search::Search,
};

/// Up to so many leavers the answer is the best there is.
const EXACT: usize = 20;

/// Never more than so many are searched: the first of those in the order of [`first`]. Sets of them are one word.
pub(super) const WIDEST: usize = 64;

/// How far a search may go: sets that it looks at.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Steps {
    /// With up to [`EXACT`] leavers of any use, of which there are 2^21 sets and parts of sets.
    pub(in super::super) few: usize,
    /// With more.
    pub(in super::super) many: usize,
}

/// The items of least cost with which every requirement is met, in ascending order; `None` where all of them do not
/// suffice. No proper subset of them suffices. `free` is raised by what items give, at most up to `capacity`.
pub(in super::super) fn cheapest(
    free: &[u64],
    capacity: &[u64],
    requirements: &[Requirement],
    items: &[Item<'_>],
    steps: Steps,
) -> Option<Vec<usize>> {
    let mut problem = Problem::new(free, capacity, requirements, items);
    if problem.missing.is_empty() {
        return Some(Vec::new());
    }
    first::sort(&mut problem);
    let mut chosen = first::set(&problem)?;
    if problem.leavers.len() > WIDEST {
        if chosen.len() >= WIDEST {
            return Some(numbers(&problem, &chosen));
        }
        chosen = narrow(&mut problem, &chosen);
    }
    let steps = if problem.leavers.len() <= EXACT { steps.few } else { steps.many };
    let best = Search::new(&problem, &chosen, steps).run();
    Some(numbers(&problem, &first::spare(&problem, best)))
}

/// Leaves the chosen ones and the first of the others, [`WIDEST`] together. Returns where the chosen ones are now.
fn narrow(problem: &mut Problem, chosen: &[usize]) -> Vec<usize> {
    let mut others = WIDEST - chosen.len();
    let mut at = 0;
    let mut now = Vec::new();
    let mut kept = 0;
    problem.leavers.retain(|_| {
        let is_chosen = chosen.contains(&at);
        at += 1;
        let keep = is_chosen || others > 0;
        others -= usize::from(keep && !is_chosen);
        if is_chosen {
            now.push(kept);
        }
        kept += usize::from(keep);
        keep
    });
    now
}

fn numbers(problem: &Problem, chosen: &[usize]) -> Vec<usize> {
    let mut numbers: Vec<usize> = chosen.iter().map(|at| problem.leavers[*at].item).collect();
    numbers.sort_unstable();
    numbers
}

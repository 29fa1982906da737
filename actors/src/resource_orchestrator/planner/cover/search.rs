//! Branch and bound over sets of leavers, each set a word.

use super::{cheapest::WIDEST, problem::Problem};

/// One search. Costs are by priority, the highest first, so that they compare as lists do.
#[derive(Debug)]
pub(super) struct Search<'a> {
    problem: &'a Problem,
    /// Which place in a cost the priority of each leaver has.
    level: Vec<usize>,
    /// Of each leaver, those that leave only together with it: they give no more of anything and cost no less. Of two that
    /// are alike, the one that is tried first decides.
    followers: Vec<u64>,
    /// For each requirement, those who help, in the order in which the bound takes them.
    helpers: Vec<Vec<usize>>,
    steps: usize,
    chosen: u64,
    gained: Vec<u128>,
    cost: Vec<u128>,
    /// What is at least to be paid on top; kept to spare allocations.
    on_top: Vec<u128>,
    best: u64,
    best_cost: Vec<u128>,
}

impl<'a> Search<'a> {
    /// Starts from a set that does. There are at most [`WIDEST`] leavers.
    pub(super) fn new(problem: &'a Problem, first: &[usize], steps: usize) -> Self {
        let leavers = &problem.leavers;
        debug_assert!(leavers.len() <= WIDEST);
        let mut priorities: Vec<i32> = leavers.iter().map(|leaver| leaver.priority).collect();
        priorities.sort_unstable_by_key(|priority| std::cmp::Reverse(*priority));
        priorities.dedup();
        let level = |priority: i32| priorities.partition_point(|known| *known > priority);
        let mut search = Self {
            problem,
            level: leavers.iter().map(|leaver| level(leaver.priority)).collect(),
            followers: followers(problem),
            helpers: (0..problem.missing.len()).map(|requirement| helpers(problem, requirement)).collect(),
            steps,
            chosen: 0,
            gained: vec![0; problem.headroom.len()],
            cost: vec![0; priorities.len()],
            on_top: vec![0; priorities.len()],
            best: 0,
            best_cost: vec![0; priorities.len()],
        };
        for &at in first {
            search.best |= 1 << at;
            search.best_cost[search.level[at]] += leavers[at].weight;
        }
        search
    }

    /// The best set that was found.
    pub(super) fn run(mut self) -> Vec<usize> {
        let all = u64::MAX >> (WIDEST - self.problem.leavers.len());
        self.descend(all);
        members(self.best).collect()
    }

    /// Tries every set that has the chosen ones and, of the others, only some that are `open`.
    fn descend(&mut self, open: u64) {
        if self.steps == 0 {
            return;
        }
        self.steps -= 1;
        if self.problem.is_met(&self.gained) {
            if self.cost < self.best_cost {
                self.best = self.chosen;
                self.best_cost.clone_from(&self.cost);
            }
            return;
        }
        if open == 0 || !self.may_be_better(open) {
            return;
        }
        let at = open.trailing_zeros() as usize;
        let open = open & (open - 1);
        let leaver = &self.problem.leavers[at];
        self.chosen |= 1 << at;
        self.cost[self.level[at]] += leaver.weight;
        self.gained.iter_mut().zip(&leaver.gives).for_each(|(sum, gives)| *sum += gives);
        self.descend(open);
        self.gained.iter_mut().zip(&leaver.gives).for_each(|(sum, gives)| *sum -= gives);
        self.cost[self.level[at]] -= leaver.weight;
        self.chosen &= !(1 << at);
        self.descend(open & !self.followers[at]);
    }

    /// Whether the open ones can meet every requirement at all, and at less than the best cost.
    fn may_be_better(&mut self, open: u64) -> bool {
        (0..self.helpers.len()).all(|requirement| {
            let lacks = self.problem.lacks(requirement, &self.gained);
            lacks == 0 || self.bound(requirement, lacks, open)
        })
    }

    fn bound(&mut self, requirement: usize, mut lacks: u128, open: u64) -> bool {
        self.on_top.fill(0);
        for &at in self.helpers[requirement].iter().filter(|at| open >> **at & 1 == 1) {
            let (level, leaver) = (self.level[at], &self.problem.leavers[at]);
            let helps = leaver.helps[requirement];
            if helps < lacks {
                lacks -= helps;
                self.on_top[level] += leaver.weight;
                continue;
            }
            let part = leaver.weight * lacks;
            self.on_top[level] += part.div_ceil(helps);
            if !part.is_multiple_of(helps) {
                // Whole costs: with the part rounded up, the lower priorities may be spared.
                self.on_top[level + 1..].fill(0);
            }
            let least = self.cost.iter().zip(&self.on_top).map(|(now, on_top)| now + on_top);
            return least.lt(self.best_cost.iter().copied());
        }
        false
    }
}

fn members(set: u64) -> impl Iterator<Item = usize> {
    (0..WIDEST).filter(move |at| set >> at & 1 == 1)
}

fn helpers(problem: &Problem, requirement: usize) -> Vec<usize> {
    let leavers = &problem.leavers;
    let mut helpers: Vec<usize> = (0..leavers.len()).filter(|at| leavers[*at].helps[requirement] > 0).collect();
    helpers.sort_by(|a, b| {
        let (a, b) = (&leavers[*a], &leavers[*b]);
        // Cost for what is given, without a division: both factors are below 2^64.
        let rates = || (a.weight * b.helps[requirement]).cmp(&(b.weight * a.helps[requirement]));
        a.priority.cmp(&b.priority).then_with(rates)
    });
    helpers
}

fn followers(problem: &Problem) -> Vec<u64> {
    let leavers = &problem.leavers;
    let follows = |leader: usize, other: usize| {
        let (one, two) = (&leavers[leader], &leavers[other]);
        let cheaper = (one.priority, one.weight) <= (two.priority, two.weight);
        let gives = one.gives.iter().zip(&two.gives).all(|(one, two)| one >= two);
        leader != other && cheaper && gives
    };
    let set = |leader: usize| (0..leavers.len()).filter(|at| follows(leader, *at)).fold(0, |set, at| set | 1 << at);
    (0..leavers.len()).map(set).collect()
}

//! The search against one that tries every set. The numbers are small, so that many sets cost the same.

use std::{cmp::Reverse, collections::BTreeMap};

use proptest::prelude::*;

use super::{Item, Requirement, Steps, cheapest};

const POOLS: usize = 3;

#[derive(Debug, Clone)]
struct Leaver {
    gives: Vec<u64>,
    priority: i32,
    weight: u64,
}

#[derive(Debug)]
struct Question {
    free: Vec<u64>,
    capacity: Vec<u64>,
    requirements: Vec<Requirement>,
    leavers: Vec<Leaver>,
}

impl Question {
    fn cheapest(&self, steps: Steps) -> Option<Vec<usize>> {
        let items = self.leavers.iter().map(|Leaver { gives, priority, weight }| Item {
            gives,
            priority: *priority,
            weight: *weight,
        });
        cheapest(&self.free, &self.capacity, &self.requirements, &items.collect::<Vec<_>>(), steps)
    }

    fn does(&self, set: &[usize]) -> bool {
        let gives = |pool: usize| {
            let gained: u64 = set.iter().map(|at| self.leavers[*at].gives[pool]).sum();
            self.capacity[pool].min(self.free[pool] + gained)
        };
        self.requirements.iter().all(|r| r.pools.iter().map(|pool| gives(*pool)).sum::<u64>() >= r.needed)
    }

    /// By priority, the highest first.
    fn price(&self, set: &[usize]) -> Vec<(i32, u64)> {
        let mut sums: BTreeMap<Reverse<i32>, u64> = BTreeMap::new();
        for Leaver { priority, weight, .. } in set.iter().map(|at| &self.leavers[*at]) {
            *sums.entry(Reverse(*priority)).or_default() += weight;
        }
        sums.into_iter().map(|(Reverse(priority), sum)| (priority, sum)).collect()
    }

    fn least(&self) -> Option<Vec<(i32, u64)>> {
        let all = self.leavers.len();
        let sets = (0..1_u32 << all).map(|set| (0..all).filter(|at| set >> at & 1 == 1).collect::<Vec<_>>());
        sets.filter(|set| self.does(set)).map(|set| self.price(&set)).min()
    }

    fn is_minimal(&self, set: &[usize]) -> bool {
        set.iter().all(|spared| !self.does(&set.iter().copied().filter(|at| at != spared).collect::<Vec<_>>()))
    }
}

fn questions(count: impl Strategy<Value = usize>) -> impl Strategy<Value = Question> {
    let leaver = (prop::collection::vec(0..6_u64, POOLS), 0..3_i32, 1..6_u64)
        .prop_map(|(gives, priority, weight)| Leaver { gives, priority, weight });
    let leavers = count.prop_flat_map(move |count| prop::collection::vec(leaver.clone(), count));
    let pools = prop::collection::vec((0..4_u64, 0..60_u64), POOLS);
    let requirement = (prop::sample::subsequence((0..POOLS).collect::<Vec<_>>(), 1..=POOLS), 0..=100_u64);
    (leavers, pools, prop::collection::vec(requirement, 1..4)).prop_map(|(leavers, pools, requirements)| {
        let (free, more): (Vec<u64>, Vec<u64>) = pools.into_iter().unzip();
        let capacity: Vec<u64> = free.iter().zip(more).map(|(free, more)| free + more).collect();
        let most = |pool: usize| {
            let gives: u64 = leavers.iter().map(|leaver: &Leaver| leaver.gives[pool]).sum();
            capacity[pool].min(free[pool] + gives)
        };
        let part = |(pools, percent): (Vec<usize>, u64)| {
            let most: u64 = pools.iter().map(|pool| most(*pool)).sum();
            // Now and then a little more than there is.
            Requirement { pools, needed: (most * percent).div_ceil(95) }
        };
        let requirements = requirements.into_iter().map(part).collect();
        Question { free, capacity, requirements, leavers }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_cheaper(question in questions(0..=11_usize)) {
        let found = question.cheapest(Steps { few: usize::MAX, many: 0 });
        prop_assert_eq!(found.as_ref().map(|set| question.price(set)), question.least());
        if let Some(set) = found {
            prop_assert!(question.does(&set) && question.is_minimal(&set), "{set:?}");
        }
    }

    #[test]
    fn with_few_steps_it_still_does_and_nobody_leaves_in_vain(
        question in questions(1..=150_usize),
        steps in 0..400_usize,
    ) {
        let found = question.cheapest(Steps { few: steps, many: steps });
        let all: Vec<usize> = (0..question.leavers.len()).collect();
        prop_assert_eq!(found.is_some(), question.does(&all));
        if let Some(set) = found {
            prop_assert!(question.does(&set) && question.is_minimal(&set), "{set:?}");
        }
    }
}

/// A first set that takes the best rate is not always the cheapest: the search has to correct it.
#[test]
fn the_best_rate_is_not_always_cheapest() {
    let leaver = |gives: u64, weight| Leaver { gives: vec![gives, 0, 0], priority: 0, weight };
    let question = Question {
        free: vec![0; POOLS],
        capacity: vec![100; POOLS],
        requirements: vec![Requirement { pools: vec![0], needed: 10 }],
        leavers: vec![leaver(9, 9), leaver(4, 5), leaver(10, 13)],
    };
    assert_eq!(question.cheapest(Steps { few: usize::MAX, many: 0 }), Some(vec![2]));
    assert_eq!(question.cheapest(Steps { few: 0, many: 0 }), Some(vec![0, 1]));
}

/// Of more leavers than one search holds, those stay in it without whom there is no answer.
#[test]
fn the_only_one_who_can_help_is_not_lost_among_many() {
    let common = (0..99).map(|n| Leaver { gives: vec![5, 0, 0], priority: 0, weight: 1 + n });
    let rare = Leaver { gives: vec![0, 5, 0], priority: 2, weight: 1_000 };
    let question = Question {
        free: vec![0; POOLS],
        capacity: vec![1_000; POOLS],
        requirements: [0, 1].map(|pool| Requirement { pools: vec![pool], needed: 5 }).into(),
        leavers: common.chain([rare]).collect(),
    };
    assert_eq!(question.cheapest(Steps { few: 0, many: 1_000 }), Some(vec![0, 99]));
}

//! What must be met, and what is missing of it.

/// Some pools that must have so much together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Requirement {
    /// Which, by number.
    pub(in super::super) pools: Vec<usize>,
    /// How much.
    pub(in super::super) needed: u64,
}

/// Somebody who may leave.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Item<'a> {
    /// What that frees, pool by pool.
    pub(in super::super) gives: &'a [u64],
    /// Higher leaves later.
    pub(in super::super) priority: i32,
    /// What it costs; at least 1.
    pub(in super::super) weight: u64,
}

/// What is still missing, and who can give it: only the pools and leavers that matter.
#[derive(Debug)]
pub(super) struct Problem {
    /// What each requirement lacks, more than nothing, and of which pools (numbers of this problem).
    pub(super) missing: Vec<(u128, Vec<usize>)>,
    /// By how much each pool may grow with any use.
    pub(super) headroom: Vec<u128>,
    pub(super) leavers: Vec<Candidate>,
}

/// A leaver that gives something of what is missing.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Its number outside.
    pub(super) item: usize,
    /// By pool, never more than the pool may grow.
    pub(super) gives: Vec<u128>,
    /// By requirement, never more than is missing.
    pub(super) helps: Vec<u128>,
    pub(super) priority: i32,
    pub(super) weight: u128,
}

impl Problem {
    pub(super) fn new(free: &[u64], capacity: &[u64], requirements: &[Requirement], items: &[Item<'_>]) -> Self {
        let now = |pool: usize| u128::from(free[pool].min(capacity[pool]));
        let mut pools: Vec<usize> = Vec::new();
        let mut missing = Vec::new();
        for Requirement { pools: of, needed } in requirements {
            let there: u128 = of.iter().map(|pool| now(*pool)).sum();
            let lacks = u128::from(*needed).saturating_sub(there);
            if lacks > 0 {
                pools.extend(of);
                missing.push((lacks, of.clone()));
            }
        }
        pools.sort_unstable();
        pools.dedup();
        for pool in missing.iter_mut().flat_map(|(_, of)| of) {
            *pool = pools.partition_point(|known| *known < *pool);
        }
        let mut headroom = vec![0; pools.len()];
        for (lacks, of) in &missing {
            for &pool in of {
                // More than what is missing helps nobody, and what is equally good should look so.
                headroom[pool] = (u128::from(capacity[pools[pool]]) - now(pools[pool])).min(headroom[pool].max(*lacks));
            }
        }
        let mut leavers = Vec::new();
        for (number, item) in items.iter().enumerate() {
            let give = |(pool, headroom): (&usize, &u128)| u128::from(item.gives[*pool]).min(*headroom);
            let gives: Vec<u128> = pools.iter().zip(&headroom).map(give).collect();
            let help = |(lacks, of): &(u128, Vec<usize>)| of.iter().map(|pool| gives[*pool]).sum::<u128>().min(*lacks);
            let helps: Vec<u128> = missing.iter().map(help).collect();
            if helps.iter().any(|help| *help > 0) {
                let (priority, weight) = (item.priority, u128::from(item.weight));
                leavers.push(Candidate { item: number, gives, helps, priority, weight });
            }
        }
        Self { missing, headroom, leavers }
    }

    /// What a requirement still lacks with so much gained, pool by pool.
    pub(super) fn lacks(&self, requirement: usize, gained: &[u128]) -> u128 {
        let (missing, of) = &self.missing[requirement];
        let has: u128 = of.iter().map(|pool| gained[*pool].min(self.headroom[*pool])).sum();
        missing.saturating_sub(has)
    }

    pub(super) fn is_met(&self, gained: &[u128]) -> bool {
        (0..self.missing.len()).all(|requirement| self.lacks(requirement, gained) == 0)
    }
}

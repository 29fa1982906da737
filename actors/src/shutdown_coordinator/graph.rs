//! The dependency graph of the ordered stop, and the order of the start. Pure.
//!
//! A registration names only what was registered before it, so no circle can come into being here. Configurations are
//! written in any order: [`order`] sorts them, or names the circle.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    fmt::{self, Display},
    hash::Hash,
};

use super::messages::UnitName;

/// Why a registration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A unit of that name is there already.
    #[error("`{0}` is registered already")]
    Duplicate(String),
    /// It depends on something that is not registered (so also on itself, or in a circle).
    #[error("`{unit}` depends on `{missing}`, which is not registered before it")]
    Unknown {
        /// The new unit.
        unit: String,
        /// What it depends on.
        missing: String,
    },
    /// The ordered stop has begun: what starts now would be stopped by nobody.
    #[error("`{0}` comes too late: the runtime is stopping")]
    Stopping(String),
}

/// A unit's place in the order of registration.
pub type UnitIndex = usize;

/// Who needs whom, in the order of registration.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    names: Vec<UnitName>,
    index: HashMap<UnitName, UnitIndex>,
    /// For each unit, those that need it.
    dependents: Vec<Vec<UnitIndex>>,
}

impl Graph {
    /// Adds a unit that needs `depends_on`. A refused unit leaves the graph as it was.
    ///
    /// # Errors
    /// When the name is taken, or a dependency is not registered yet.
    pub fn register(&mut self, name: &str, depends_on: &[UnitName]) -> Result<UnitIndex, GraphError> {
        if self.index.contains_key(name) {
            return Err(GraphError::Duplicate(name.to_owned()));
        }
        let needs = depends_on.iter().map(|needed| {
            let missing = || GraphError::Unknown { unit: name.to_owned(), missing: needed.clone() };
            self.index.get(needed).copied().ok_or_else(missing)
        });
        let mut needs = needs.collect::<Result<Vec<_>, _>>()?;
        needs.sort_unstable();
        needs.dedup();
        let new = self.names.len();
        for needed in needs {
            self.dependents[needed].push(new);
        }
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), new);
        self.dependents.push(Vec::new());
        Ok(new)
    }

    /// How many units there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The place of a unit.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<UnitIndex> {
        self.index.get(name).copied()
    }

    /// The name of a unit, empty for a place that does not exist.
    #[must_use]
    pub fn name(&self, unit: UnitIndex) -> &str {
        self.names.get(unit).map_or("", String::as_str)
    }

    /// The units that may stop: those not yet `ended` whose dependents all are, in reverse order of registration.
    pub fn may_stop(&self, ended: impl Fn(UnitIndex) -> bool) -> Vec<UnitIndex> {
        let free = |unit: &UnitIndex| !ended(*unit) && self.dependents[*unit].iter().all(|&d| ended(d));
        (0..self.len()).rev().filter(free).collect()
    }
}

/// Names that need each other in a circle, the first one again at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(pub Vec<String>);

impl Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a circle of dependencies: {}", self.0.join(" -> "))
    }
}

impl std::error::Error for Cycle {}

/// The order in which to start: each after everything it needs, and otherwise as given (of all that may come next,
/// the one that was given first comes first). Needed names that are not in the list are left out of account.
///
/// # Errors
/// When some need each other in a circle: `a -> b -> a` reads "a needs b, which needs a".
pub fn order<N: Clone + Eq + Hash + Display>(services: &[(N, Vec<N>)]) -> Result<Vec<N>, Cycle> {
    let index: HashMap<&N, usize> = services.iter().enumerate().map(|(i, (name, _))| (name, i)).collect();
    let needs: Vec<Vec<usize>> =
        services.iter().map(|(_, needs)| needs.iter().filter_map(|n| index.get(n).copied()).collect()).collect();
    let mut needed_by = vec![Vec::new(); services.len()];
    for (unit, needs) in needs.iter().enumerate() {
        for &needed in needs {
            needed_by[needed].push(unit);
        }
    }

    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut free: BinaryHeap<Reverse<usize>> = (0..services.len()).filter(|&i| open[i] == 0).map(Reverse).collect();
    let mut placed = Vec::with_capacity(services.len());
    while let Some(Reverse(next)) = free.pop() {
        placed.push(next);
        for &unit in &needed_by[next] {
            open[unit] -= 1;
            if open[unit] == 0 {
                free.push(Reverse(unit));
            }
        }
    }

    match (0..services.len()).find(|&i| open[i] > 0) {
        None => Ok(placed.into_iter().map(|i| services[i].0.clone()).collect()),
        Some(start) => Err(circle(start, &needs, &open, |i| services[i].0.to_string())),
    }
}

/// Walks from a unit that could not be placed to one that it needs and that could not be placed either, until a unit
/// comes up again: that stretch of the walk is a circle.
fn circle(start: usize, needs: &[Vec<usize>], open: &[usize], name: impl Fn(usize) -> String) -> Cycle {
    let mut walk = vec![start];
    let mut seen = HashMap::from([(start, 0)]);
    let mut at = start;
    while let Some(&next) = needs[at].iter().find(|&&n| open[n] > 0) {
        walk.push(next);
        if let Some(&first) = seen.get(&next) {
            return Cycle(walk[first..].iter().map(|&i| name(i)).collect());
        }
        seen.insert(next, walk.len() - 1);
        at = next;
    }
    // Not reached: what could not be placed needs something else that could not be placed.
    Cycle(walk.into_iter().map(name).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&s| s.to_owned()).collect()
    }

    fn services(list: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        list.iter().map(|(name, needs)| ((*name).to_owned(), names(needs))).collect()
    }

    #[test]
    fn a_name_twice_and_an_unknown_dependency_are_refused_and_change_nothing() {
        let mut graph = Graph::default();
        assert_eq!(graph.register("a", &[]), Ok(0));
        assert_eq!(graph.register("a", &[]), Err(GraphError::Duplicate("a".into())));
        let unknown = GraphError::Unknown { unit: "b".into(), missing: "c".into() };
        assert_eq!(graph.register("b", &names(&["a", "c"])), Err(unknown));
        let itself = GraphError::Unknown { unit: "b".into(), missing: "b".into() };
        assert_eq!(graph.register("b", &names(&["b"])), Err(itself));
        assert_eq!(graph.len(), 1);
        assert_eq!(graph.may_stop(|_| false), [0], "the refused unit does not hold `a`");
    }

    #[test]
    fn the_start_order_is_stable() {
        let given =
            services(&[("web", &["db", "cache"]), ("log", &[]), ("db", &["disk"]), ("disk", &[]), ("cache", &[])]);
        assert_eq!(order(&given), Ok(names(&["log", "disk", "db", "cache", "web"])));
        assert_eq!(order(&services(&[("a", &["elsewhere"])])), Ok(names(&["a"])));
    }

    #[test]
    fn a_circle_is_named_whole() {
        let given = services(&[("x", &["a"]), ("a", &["b"]), ("b", &["c"]), ("c", &["a"])]);
        let cycle = order(&given).expect_err("a circle");
        assert_eq!(cycle.to_string(), "a circle of dependencies: a -> b -> c -> a");
        assert_eq!(order(&services(&[("a", &["a"])])), Err(Cycle(names(&["a", "a"]))));
    }

    #[test]
    fn a_very_long_chain_does_not_exhaust_the_stack() {
        let chain: Vec<_> = (0..50_000).map(|i| (i, vec![i + 1])).collect();
        assert_eq!(order(&chain).map(|o| o[0]), Ok(49_999));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_order_respects_every_need_or_a_true_circle_is_named(
            needs in prop::collection::vec(prop::collection::vec(0_usize..12, 0..4), 1..12)
        ) {
            let given: Vec<(usize, Vec<usize>)> = needs.into_iter().enumerate().collect();
            match order(&given) {
                Ok(order) => {
                    let place = |n: usize| order.iter().position(|&o| o == n);
                    prop_assert_eq!(order.len(), given.len());
                    for (unit, needs) in &given {
                        for &needed in needs.iter().filter(|&&n| n < given.len()) {
                            prop_assert!(place(needed) < place(*unit));
                        }
                    }
                }
                Err(Cycle(path)) => {
                    prop_assert!(path.len() > 1 && path.first() == path.last());
                    for pair in path.windows(2) {
                        let of: usize = pair[0].parse().expect("a number");
                        let to: usize = pair[1].parse().expect("a number");
                        prop_assert!(given[of].1.contains(&to));
                    }
                }
            }
        }

        #[test]
        fn whoever_may_stop_has_no_dependent_left(
            needs in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..12),
            ended in prop::collection::vec(any::<bool>(), 12),
        ) {
            let mut graph = Graph::default();
            let mut edges = Vec::new();
            for (unit, picks) in needs.iter().enumerate() {
                let needed: Vec<usize> = if unit == 0 { vec![] } else { picks.iter().map(|p| p.index(unit)).collect() };
                edges.extend(needed.iter().map(|&n| (unit, n)));
                let needed: Vec<String> = needed.iter().map(ToString::to_string).collect();
                prop_assert_eq!(graph.register(&unit.to_string(), &needed), Ok(unit));
            }
            let free = graph.may_stop(|u| ended[u]);
            prop_assert!(free.windows(2).all(|w| w[0] > w[1]), "reverse order of registration");
            for unit in 0..graph.len() {
                let held = edges.iter().any(|&(dependent, needed)| needed == unit && !ended[dependent]);
                prop_assert_eq!(free.contains(&unit), !ended[unit] && !held);
            }
        }
    }
}

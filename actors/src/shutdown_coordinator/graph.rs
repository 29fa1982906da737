//! The dependency graph of the ordered stop, and the order of the start. Pure.
//!
//! A registration names only what was registered before it, and a change of what a unit needs is refused where it would
//! close a circle, so none can come into being here. Configurations are written in any order: [`order`] sorts them, or
//! names the circle.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
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
    /// There is no such unit.
    #[error("`{0}` is not registered")]
    NotThere(String),
    /// It cannot go while another needs it.
    #[error("`{unit}` is needed by `{by}`")]
    Needed {
        /// The unit that is to go.
        unit: String,
        /// One that needs it.
        by: String,
    },
    /// Two would need each other.
    #[error("`{unit}` cannot depend on `{by}`, which depends on it")]
    Circle {
        /// The unit that is to need another.
        unit: String,
        /// That other one.
        by: String,
    },
    /// The ordered stop has begun: what starts now would be stopped by nobody.
    #[error("`{0}` comes too late: the runtime is stopping")]
    Stopping(String),
}

/// A unit's place in the order of registration. Never given twice.
pub type UnitIndex = usize;

/// Who needs whom, in the order of registration.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    units: BTreeMap<UnitIndex, Node>,
    index: HashMap<UnitName, UnitIndex>,
    next: UnitIndex,
}

#[derive(Debug, Clone)]
struct Node {
    name: UnitName,
    needs: Vec<UnitIndex>,
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
        let needs = self.needs(name, depends_on)?;
        let new = self.next;
        self.next += 1;
        self.index.insert(name.to_owned(), new);
        self.units.insert(new, Node { name: name.to_owned(), needs });
        Ok(new)
    }

    /// Takes a unit out.
    ///
    /// # Errors
    /// When it is not there, or another unit needs it.
    pub fn unregister(&mut self, name: &str) -> Result<UnitIndex, GraphError> {
        let unit = self.find(name).ok_or_else(|| GraphError::NotThere(name.to_owned()))?;
        if let Some(other) = self.units.values().find(|node| node.needs.contains(&unit)) {
            return Err(GraphError::Needed { unit: name.to_owned(), by: other.name.clone() });
        }
        self.index.remove(name);
        self.units.remove(&unit);
        Ok(unit)
    }

    /// Lets a unit need others than before.
    ///
    /// # Errors
    /// When it, or one of them, is not there, or one of them needs it in turn. The graph stays as it was then.
    pub fn change(&mut self, name: &str, depends_on: &[UnitName]) -> Result<UnitIndex, GraphError> {
        let unit = self.find(name).ok_or_else(|| GraphError::NotThere(name.to_owned()))?;
        let needs = self.needs(name, depends_on)?;
        if let Some(by) = needs.iter().copied().find(|&needed| self.leads_to(needed, unit)) {
            return Err(GraphError::Circle { unit: name.to_owned(), by: self.name(by).to_owned() });
        }
        if let Some(node) = self.units.get_mut(&unit) {
            node.needs = needs;
        }
        Ok(unit)
    }

    fn needs(&self, name: &str, depends_on: &[UnitName]) -> Result<Vec<UnitIndex>, GraphError> {
        let find = |needed: &UnitName| {
            let missing = || GraphError::Unknown { unit: name.to_owned(), missing: needed.clone() };
            self.find(needed).ok_or_else(missing)
        };
        depends_on.iter().map(find).collect()
    }

    /// Whether `from` is `to`, or needs it, directly or not.
    fn leads_to(&self, from: UnitIndex, to: UnitIndex) -> bool {
        let (mut seen, mut open) = (HashSet::new(), vec![from]);
        while let Some(unit) = open.pop() {
            if unit == to {
                return true;
            }
            if seen.insert(unit) {
                open.extend(self.units.get(&unit).into_iter().flat_map(|node| node.needs.iter().copied()));
            }
        }
        false
    }

    /// How many units there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The place of a unit.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<UnitIndex> {
        self.index.get(name).copied()
    }

    /// The name of a unit, empty for a place that does not exist.
    #[must_use]
    pub fn name(&self, unit: UnitIndex) -> &str {
        self.units.get(&unit).map_or("", |node| &node.name)
    }

    /// The units that may stop: those not yet `ended` whose dependents all are, in reverse order of registration.
    pub fn may_stop(&self, ended: impl Fn(UnitIndex) -> bool) -> Vec<UnitIndex> {
        let running = || self.units.iter().filter(|(unit, _)| !ended(**unit));
        let needed: HashSet<UnitIndex> = running().flat_map(|(_, node)| node.needs.iter().copied()).collect();
        running().map(|(unit, _)| *unit).filter(|unit| !needed.contains(unit)).rev().collect()
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
    fn a_unit_goes_only_when_nobody_needs_it_and_needs_change_without_a_circle() {
        let mut graph = Graph::default();
        for (name, needs) in [("a", &[][..]), ("b", &["a"]), ("c", &["b"])] {
            graph.register(name, &names(needs)).expect("registered");
        }
        assert_eq!(graph.unregister("b"), Err(GraphError::Needed { unit: "b".into(), by: "c".into() }));
        let circle = GraphError::Circle { unit: "a".into(), by: "c".into() };
        assert_eq!(graph.change("a", &names(&["c"])), Err(circle));
        assert_eq!(graph.change("c", &names(&["a"])), Ok(2));
        assert_eq!(graph.may_stop(|_| false), [2, 1]);
        assert_eq!(graph.unregister("b"), Ok(1));
        assert_eq!(graph.unregister("b"), Err(GraphError::NotThere("b".into())));
        assert_eq!(graph.register("b", &names(&["c"])), Ok(3), "a place is never given twice");
        assert_eq!((graph.may_stop(|_| false), graph.name(1), graph.len()), (vec![3], "", 3));
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

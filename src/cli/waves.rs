//! In which waves several services are told something. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Splits `names` (each once) into waves, each to be begun when the one before has ended: whoever depends on another of
/// them, by however many steps, comes in an earlier wave. `depends_on` holds the direct dependencies of every service.
#[must_use]
pub fn dependents_first(names: &[String], depends_on: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    let mut left = once(names);
    let mut waves = Vec::new();
    while !left.is_empty() {
        let needed: BTreeSet<&String> = left.iter().flat_map(|name| needs(name, depends_on)).collect();
        let (later, now): (Vec<String>, Vec<String>) = left.iter().cloned().partition(|name| needed.contains(name));
        if now.is_empty() {
            // A circle, which no runtime has: side by side is as good as any order.
            waves.push(later);
            break;
        }
        waves.push(now);
        left = later;
    }
    waves
}

/// Each name once, in the order in which they came.
#[must_use]
pub fn once(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| seen.insert(*name)).cloned().collect()
}

/// Everything that a service depends on.
fn needs<'a>(name: &str, depends_on: &'a BTreeMap<String, Vec<String>>) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = depends_on.get(name).into_iter().flatten().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(depends_on.get(next).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn waves(names: &str) -> Vec<Vec<String>> {
        let edges = [("e", "d"), ("d", "b c"), ("b", "a"), ("c", "a")];
        let depends_on = edges.iter().map(|(name, needs)| ((*name).to_owned(), words(needs))).collect();
        dependents_first(&words(names), &depends_on)
    }

    #[test]
    fn independent_ones_go_side_by_side_and_each_once() {
        assert_eq!(waves("b c x b"), [words("b c x")]);
        assert_eq!(waves(""), Vec::<Vec<String>>::new());
    }

    #[test]
    fn whoever_depends_on_another_comes_first_also_over_one_that_is_not_named() {
        assert_eq!(waves("a b c d"), [words("d"), words("b c"), words("a")]);
        assert_eq!(waves("a e"), [words("e"), words("a")]);
    }
}

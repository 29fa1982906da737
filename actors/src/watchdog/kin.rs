//! Whose newborns are whose. Pure.

use std::collections::{BTreeSet, HashMap};

use crate::ids::{Pid, RunId};

/// The runs to whose trees somebody has come. `trees` are the members of all trees that were known, and those who take
/// their orphans; `newborns` are processes that may have begun since, each with its parent. A newborn's parent may be a
/// newborn as well; where that one is over already, its children have fallen to a process that is known.
#[must_use]
pub fn parents_of(trees: &HashMap<Pid, RunId>, newborns: &HashMap<Pid, Pid>) -> BTreeSet<RunId> {
    let kin = |newborn: &Pid| {
        let mut ancestor = *newborn;
        // A line of more steps than there are newborns goes round in a circle: ids were given away anew meanwhile.
        for _ in 0..=newborns.len() {
            if let Some(run) = trees.get(&ancestor) {
                return Some(*run);
            }
            ancestor = *newborns.get(&ancestor)?;
        }
        None
    };
    newborns.keys().filter_map(kin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newborn_belongs_to_the_tree_of_its_nearest_known_ancestor() {
        let [chat, image] = [RunId::fresh(), RunId::fresh()];
        let trees = HashMap::from([(Pid(10), chat), (Pid(11), chat), (Pid(20), image)]);
        let touched = |newborns: &[(u32, u32)]| {
            let newborns = newborns.iter().map(|(pid, parent)| (Pid(*pid), Pid(*parent))).collect();
            parents_of(&trees, &newborns)
        };
        assert_eq!(touched(&[(30, 11)]), [chat].into());
        assert_eq!(touched(&[(31, 30), (30, 20), (32, 31)]), [image].into(), "a newborn of a newborn");
        assert_eq!(touched(&[(30, 10), (40, 20)]), [chat, image].into());
        assert!(touched(&[(30, 1), (31, 30), (50, 51), (51, 50)]).is_empty(), "strangers, and a circle");
        assert_eq!(touched(&[(20, 1)]), [image].into(), "an id that was given away anew");
    }
}

//! Groups and matrices: who was allowed beside whom. Pure.
//!
//! Greenroom knows how much memory each service needs and lets run together what fits, so there is nothing to write
//! for the usual case. A rule that is not about memory is a pool of one unit that each member needs; it is offered as
//! a comment. The rules of the original: `routing.router.settings` and, older, `groups` and `matrix` at the top
//! (`internal/config/config.go`, `load.go`).

use std::collections::HashMap;

use super::{notes::Notes, yaml::Item};
use crate::config::tree::Value;

/// What is known of a member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// What to say at its section.
    pub(super) remark: String,
    /// The pool that keeps the members apart, if they took turns.
    pub(super) pool: Option<String>,
    /// Whether nothing else may push it out.
    pub(super) pinned: bool,
}

/// All groups of a file.
#[derive(Debug, Default)]
pub(super) struct Groups {
    members: HashMap<String, Member>,
    /// Pools that can be put in force, in the order of the file.
    pub(super) pools: Vec<String>,
}

impl Groups {
    /// What is known of this model.
    pub(super) fn of(&self, model: &str) -> Option<&Member> {
        self.members.get(model)
    }
}

/// Reads the groups or the matrix that were in use, and tells what becomes of them.
pub(super) fn groups(notes: &mut Notes<'_>, root: &Item<'_>) -> Groups {
    let router = root.below(&["routing", "router"]);
    let settings = router.as_ref().and_then(|router| router.field("settings"));
    let uses_matrix = router.as_ref().and_then(|router| router.field("use")).and_then(|item| notes.text(&item));
    let place = |key: &str| root.field(key).or_else(|| settings.as_ref()?.field(key));
    let (listed, matrix) = (place("groups"), place("matrix"));
    // As in the original: `use` decides; without it the matrix at the top does.
    let by_matrix = uses_matrix.map_or(root.field("matrix").is_some(), |uses| uses == "matrix");
    let mut groups = Groups::default();
    match (listed, matrix) {
        (Some(listed), Some(_)) if by_matrix => notes.tell(&listed, "not in use beside `matrix`: nothing to do"),
        (Some(listed), other) => {
            for group in notes.entries(&listed) {
                one(notes, &mut groups, &group);
            }
            if let Some(other) = other {
                notes.tell(&other, "not in use beside `groups`: nothing to do");
            }
            return groups;
        }
        (None, _) => {}
    }
    if let Some(matrix) = place("matrix") {
        tell_matrix(notes, &matrix);
    }
    groups
}

fn one(notes: &mut Notes<'_>, groups: &mut Groups, group: &Item<'_>) {
    let mut flag = |key: &str, default: bool| group.field(key).and_then(|item| notes.flag(&item)).unwrap_or(default);
    let (swap, exclusive, persistent) = (flag("swap", true), flag("exclusive", true), flag("persistent", false));
    let members: Vec<String> = match group.field("members") {
        Some(list) => notes.texts(&list).into_iter().map(|(_, text)| text).collect(),
        None => Vec::new(),
    };
    let all = members.join(", ");
    let takes_turns = swap && members.len() > 1;
    let pool = takes_turns.then(|| pool_name(group.key(), &groups.pools));
    let mut said = if takes_turns {
        format!("one of {all} at a time. Here what fits in memory runs together")
    } else {
        format!("{all} ran together. Here they do as long as they fit in memory")
    };
    if let Some(pool) = &pool {
        said.push_str(&format!(
            "; to keep it as it was, put `needs = {{ {pool} = 1 }}` of each and `{pool} = 1` of [resources.custom] in force"
        ));
    }
    if exclusive {
        said.push_str(". Loading one unloaded all other groups; here only what has to make room leaves");
    }
    let pinned = persistent && !takes_turns;
    if persistent {
        said.push_str(if pinned {
            ". No other group pushed them out: they are `pinned`"
        } else {
            ". No other group pushed them out: `pinned = true` would keep the first one for ever, so set a `priority` instead"
        });
    }
    notes.tell(group, said);
    for item in group.entries().iter().filter(|i| !["swap", "exclusive", "persistent", "members"].contains(&i.key())) {
        notes.tell(item, "not a key of groups; left out");
    }
    for member in &members {
        let remark = if takes_turns {
            format!(
                "Was in the group `{}`, one of {all} at a time. What fits in memory runs together now; to keep it as it was:",
                group.key()
            )
        } else {
            format!("Was in the group `{}`, together with {all}.", group.key())
        };
        groups.members.entry(member.clone()).or_insert(Member { remark, pool: pool.clone(), pinned });
    }
    groups.pools.extend(pool);
}

/// A key for the group's pool that needs no quotes and is no other's.
fn pool_name(group: &str, taken: &[String]) -> String {
    let plain: String = group.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    let base = format!("group-{plain}");
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(base)
}

fn tell_matrix(notes: &mut Notes<'_>, matrix: &Item<'_>) {
    for part in notes.entries(matrix) {
        match part.key() {
            "vars" => notes.tell(&part, "short names for the sets: not needed, as the sets are not"),
            "sets" => {
                for set in notes.entries(&part) {
                    let Some(text) = notes.text(&set) else { continue };
                    notes.tell(
                        &set,
                        format!(
                            "`{text}` could run together: here whatever fits in memory does. For two that must not, make \
                             a pool `x = 1` in [resources.custom] and give both `needs = {{ x = 1 }}`"
                        ),
                    );
                }
            }
            "evict_costs" => {
                for cost in notes.entries(&part) {
                    notes.tell(
                        &cost,
                        "what losing it costs: Greenroom measures how long each service takes to load and lets the \
                         cheapest leave; a higher `priority` keeps one longer still",
                    );
                }
            }
            _ => notes.tell(&part, "not a key of a matrix; left out"),
        }
    }
    if !matches!(matrix.node.value, Value::Table(_)) {
        notes.tell(matrix, "left out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_named_after_its_group_and_never_twice() {
        assert_eq!(pool_name("big ones", &[]), "group-big-ones");
        assert_eq!(pool_name("big-ones", &["group-big-ones".to_owned()]), "group-big-ones-2");
    }
}

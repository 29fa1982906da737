//! What no two may have: names of sections, names that clients use, ports. Pure.

use std::collections::{HashMap, HashSet};

use greenroom_actors::ids::MAX_NAME;

/// What is given away already.
#[derive(Debug, Default)]
pub(super) struct Taken {
    sections: HashSet<String>,
    clients: HashMap<String, String>,
    ports: HashMap<u16, String>,
}

impl Taken {
    /// A name for a section, made of `id` and nobody else's: letters, digits, `.`, `_` and `-`, the first one a letter
    /// or digit.
    pub(super) fn section(&mut self, id: &str) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let plain: String = id.chars().map(|c| if fits(c) { c } else { '-' }).collect();
        let plain = plain.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let base = if plain.is_empty() { "model" } else { plain };
        let numbered = (2..).map(|n| {
            let end = format!("-{n}");
            format!("{}{end}", cut(base, MAX_NAME - end.len()))
        });
        let mut names = std::iter::once(cut(base, MAX_NAME).to_owned()).chain(numbered);
        names.find(|name| self.sections.insert(name.clone())).unwrap_or_default()
    }

    /// Gives a client's name to `owner`; else says whose it is.
    pub(super) fn client(&mut self, name: &str, owner: &str) -> Result<(), String> {
        claim(&mut self.clients, name.to_owned(), owner)
    }

    /// Gives a port to `owner`; else says whose it is.
    pub(super) fn port(&mut self, port: u16, owner: &str) -> Result<(), String> {
        claim(&mut self.ports, port, owner)
    }

    /// Whether a service has this port.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ports.contains_key(&port)
    }
}

fn claim<K: std::hash::Hash + Eq>(all: &mut HashMap<K, String>, key: K, owner: &str) -> Result<(), String> {
    match all.get(&key) {
        Some(other) if other != owner => Err(other.clone()),
        _ => {
            all.insert(key, owner.to_owned());
            Ok(())
        }
    }
}

/// The first `most` bytes of a text of ASCII.
fn cut(text: &str, most: usize) -> &str {
    text.get(..most).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use greenroom_actors::ids::ServiceName;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_is_none_becomes_one() {
        let mut taken = Taken::default();
        let mut name = |id: &str| taken.section(id);
        assert_eq!(name("Qwen/Qwen3:8b"), "Qwen-Qwen3-8b");
        assert_eq!(name("Qwen Qwen3 8b"), "Qwen-Qwen3-8b-2");
        assert_eq!((name("日本"), name("_x.y")), ("model".to_owned(), "x.y".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn every_name_is_one_and_nobody_elses(ids in prop::collection::vec("\\PC{0,70}|a{60,70}", 0..12)) {
            let mut taken = Taken::default();
            let names: Vec<String> = ids.iter().map(|id| taken.section(id)).collect();
            prop_assert!(names.iter().all(|name| name.parse::<ServiceName>().is_ok()), "{names:?}");
            prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        }
    }
}

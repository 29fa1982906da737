//! Places in a JSON document, as `request.set` names them: `6.inputs.text`. Pure.

use serde_json::Value as Json;

use crate::config::suggest::nearest;

/// What is found at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A value.
    There,
    /// Nothing, in an object that may have it; `near` is a place of it with a name much like that.
    New { near: Option<String> },
    /// The document has no such place.
    Nowhere { why: String, help: String },
}

/// Follows `place` from key to key; in a list, a key is an index from 0.
pub(super) fn reach(document: &Json, place: &str) -> Place {
    let names: Vec<&str> = place.split('.').collect();
    if names.iter().any(|name| name.is_empty()) {
        let why = "a name is missing between its dots".to_owned();
        return Place::Nowhere { why, help: "write it like `6.inputs.text`".to_owned() };
    }
    let mut value = document;
    for (depth, name) in names.iter().enumerate() {
        let so_far = names[..depth].join(".");
        let here = if so_far.is_empty() { "the file".to_owned() } else { format!("`{so_far}`") };
        let at = |name: &str| if so_far.is_empty() { name.to_owned() } else { format!("{so_far}.{name}") };
        let next = match value {
            Json::Object(members) => {
                let near = || nearest(name, members.keys().map(String::as_str)).map(at);
                match members.get(*name) {
                    Some(next) => next,
                    None if depth + 1 == names.len() => return Place::New { near: near() },
                    None => {
                        let help = match near() {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("{here} has: {}", listed(members.keys().map(String::as_str))),
                        };
                        return Place::Nowhere { why: format!("{here} has no `{name}`"), help };
                    }
                }
            }
            Json::Array(items) => match name.parse::<usize>().ok().and_then(|index| items.get(index)) {
                Some(next) => next,
                None => {
                    let why = format!("{here} is a list of {} and has no `{name}`", items.len());
                    return Place::Nowhere { why, help: "name a member by its index, from 0".to_owned() };
                }
            },
            _ => {
                let why = format!("{here} is neither an object nor a list");
                return Place::Nowhere { why, help: format!("`{so_far}` itself can be set") };
            }
        };
        value = next;
    }
    Place::There
}

/// The first few of them.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<&str> = names.take(SHOWN + 1).collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nowhere(place: &str) -> (String, String) {
        match reach(&json!({ "6": { "inputs": { "text": "x", "clip": ["4", 1] } } }), place) {
            Place::Nowhere { why, help } => (why, help),
            found => panic!("{place}: {found:?}"),
        }
    }

    #[test]
    fn places_are_followed_through_objects_and_lists() {
        let document = json!({ "6": { "inputs": { "text": "x", "clip": ["4", 1] } } });
        assert_eq!(reach(&document, "6.inputs.text"), Place::There);
        assert_eq!(reach(&document, "6.inputs.clip.1"), Place::There);
        assert_eq!(reach(&document, "6.inputs.txt"), Place::New { near: Some("6.inputs.text".to_owned()) });
        assert_eq!(reach(&document, "seed"), Place::New { near: None });
    }

    #[test]
    fn what_is_no_place_says_where_the_way_ends() {
        assert_eq!(nowhere("7.inputs.text"), ("the file has no `7`".into(), "did you mean `6`?".into()));
        assert_eq!(nowhere("6.values.text").0, "`6` has no `values`");
        assert_eq!(nowhere("6.inputs.clip.2").0, "`6.inputs.clip` is a list of 2 and has no `2`");
        let (why, help) = nowhere("6.inputs.text.x");
        assert_eq!(why, "`6.inputs.text` is neither an object nor a list");
        assert_eq!(help, "`6.inputs.text` itself can be set");
        assert_eq!(nowhere("6..text").0, "a name is missing between its dots");
        assert_eq!(nowhere("").0, "a name is missing between its dots");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_place_makes_it_panic(place in "(6|inputs|text|clip|\\.|-1|99999999999999999999|\\PC){0,8}") {
            let document = json!({ "6": { "inputs": { "text": "x", "clip": ["4", 1] } } });
            let _reached = reach(&document, &place);
        }
    }
}

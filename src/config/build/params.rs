//! `job.NAME.params`: what a job is given. Pure.

use std::collections::BTreeSet;

use greenroom_actors::{
    spec::{ParamKind, ParamSpec},
    template::{Part, Template},
};
use serde_json::Value as Json;

use super::read::Reader;
use crate::config::{
    source::Span,
    tree::{Node, Value},
};

/// Longest name of a param, in bytes.
const LONGEST: usize = 64;

/// The params of a job, in the order of the configuration. A wrong one is reported, and there all the same, so that what
/// uses it is not reported too.
pub(super) fn params(reader: &mut Reader<'_>, j: &str) -> Vec<ParamSpec> {
    let mut params = Vec::new();
    for (name, node) in reader.effective.below(&["job", j, "params"]) {
        let who = format!("job `{j}`: `params.{name}`");
        if !is_name(name) {
            let help = format!("use at most {LONGEST} letters, digits, `_` and `-`, and begin with a letter or `_`");
            reader.error(place(reader, j, name), format!("job `{j}`: `{name}` cannot name a param"), help);
        }
        let default = node.field("default");
        let given = node.field("type").and_then(Node::text).and_then(kind);
        let kind = given.unwrap_or_else(|| default.map_or(ParamKind::Text, kind_of));
        let flag = node.field("flag").and_then(Node::text).map(str::to_owned);
        let default = default.and_then(|default| match value(kind, default) {
            Ok(value) => Some(value),
            Err(wrong) => {
                reader.error(default.span, format!("{who}: {}", wrong.message), wrong.help);
                None
            }
        });
        params.push(ParamSpec { name: name.to_owned(), kind, default, flag });
    }
    params
}

/// Where the configuration names a param.
pub(super) fn place(reader: &Reader<'_>, j: &str, name: &str) -> Span {
    reader.effective.mention(&["job", j, "params", name]).unwrap_or_default()
}

/// The params that stand in these texts.
pub(super) fn used<'a>(templates: impl IntoIterator<Item = &'a Template>) -> BTreeSet<String> {
    let name = |part: &Part| if let Part::Param(name) = part { Some(name.clone()) } else { None };
    templates.into_iter().flat_map(|template| template.0.iter().filter_map(name)).collect()
}

/// A name that fits `${param.NAME}`, a key of JSON and a field of a form.
fn is_name(name: &str) -> bool {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    name.len() <= LONGEST && name.starts_with(start) && name.chars().all(rest)
}

fn kind(word: &str) -> Option<ParamKind> {
    Some(match word {
        "text" => ParamKind::Text,
        "int" => ParamKind::Int,
        "float" => ParamKind::Float,
        "bool" => ParamKind::Bool,
        "file" => ParamKind::File,
        _ => return None,
    })
}

/// The type that a default has.
fn kind_of(default: &Node) -> ParamKind {
    match default.value {
        Value::Int(_) => ParamKind::Int,
        Value::Float(_) => ParamKind::Float,
        Value::Bool(_) => ParamKind::Bool,
        _ => ParamKind::Text,
    }
}

/// Why a default is none.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    message: String,
    help: &'static str,
}

/// A default as a job of this type is given it.
fn value(kind: ParamKind, default: &Node) -> Result<Json, Wrong> {
    let refuse = |message: String, help| Err(Wrong { message, help });
    let (what, help) = match (kind, &default.value) {
        (ParamKind::Text, Value::Text(text)) => return Ok(text.as_str().into()),
        (ParamKind::Int, Value::Int(number)) => return Ok((*number).into()),
        (ParamKind::Bool, Value::Bool(value)) => return Ok((*value).into()),
        (ParamKind::Float, Value::Float(number)) if !number.is_finite() => {
            return refuse(format!("the default {number} is no number that JSON has"), "write a finite number");
        }
        (ParamKind::Float, Value::Float(number)) => return Ok((*number).into()),
        #[allow(clippy::cast_precision_loss, reason = "past 2^53 a fraction has no whole numbers of its own")]
        (ParamKind::Float, Value::Int(number)) => return Ok((*number as f64).into()),
        (ParamKind::File, _) => {
            let help = "leave the default out; with a `flag` it need not be sent along";
            return refuse("a file has no default".to_owned(), help);
        }
        (ParamKind::Text, _) => ("a text", "put it into quotes, or name another `type`"),
        (ParamKind::Int, _) => ("a whole number", "write one without quotes, or name another `type`"),
        (ParamKind::Float, _) => ("a number", "write one without quotes, or name another `type`"),
        (ParamKind::Bool, _) => ("true or false", "write one of them without quotes, or name another `type`"),
    };
    refuse(format!("the default {} is not {what}", default.to_toml()), help)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn default(kind: ParamKind, written: Value) -> Result<Json, String> {
        value(kind, &Node::new(written, Span::default())).map_err(|wrong| wrong.message)
    }

    #[test]
    fn a_default_is_of_its_type() {
        assert_eq!(default(ParamKind::Int, Value::Int(20)), Ok(20.into()));
        assert_eq!(default(ParamKind::Float, Value::Int(7)), Ok(7.0.into()));
        assert_eq!(default(ParamKind::Text, Value::Text(String::new())), Ok("".into()));
        assert_eq!(default(ParamKind::Bool, Value::Bool(true)), Ok(true.into()));
        for (kind, written, told) in [
            (ParamKind::Int, Value::Text("20".into()), "the default \"20\" is not a whole number"),
            (ParamKind::Int, Value::Float(1.5), "the default 1.5 is not a whole number"),
            (ParamKind::Text, Value::Int(20), "the default 20 is not a text"),
            (ParamKind::Float, Value::Float(f64::NAN), "the default NaN is no number that JSON has"),
            (ParamKind::Float, Value::Text("7".into()), "the default \"7\" is not a number"),
            (ParamKind::Bool, Value::Int(1), "the default 1 is not true or false"),
            (ParamKind::File, Value::Text("x".into()), "a file has no default"),
        ] {
            assert_eq!(default(kind, written), Err(told.to_owned()));
        }
    }

    #[test]
    fn names_fit_where_they_stand() {
        for good in ["prompt", "_x", "cfg-scale", "n2", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "2n", "a.b", "a b", "a}", "ä", "-x", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_used_is_found_wherever_it_stands() {
        let param = |name: &str| Part::Param(name.to_owned());
        let templates = [Template(vec![param("a"), Part::Output, param("b")]), Template::text("${param.c}")];
        assert_eq!(used(&templates), ["a", "b"].map(str::to_owned).into());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_name_survives_its_hole(name in "\\PC{0,12}") {
            if is_name(&name) {
                let text = format!("${{param.{name}}}");
                let hole = format!("param.{name}");
                prop_assert_eq!(crate::config::holes::pieces(&text), Ok(vec![crate::config::holes::Piece::Hole(&hole)]));
            }
        }
    }
}

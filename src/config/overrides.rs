//! The layers beside the files: environment variables `GREENROOM__SECTION__KEY`, arguments `--set key=value`, and settings
//! made in code.
//!
//! Each becomes a small tree that the same walker checks. A value is read as TOML; what is not TOML is plain text.

use std::path::Path;

use super::{
    in_code::{CODE, Setting, SettingKey},
    parse::{parse_key, parse_value},
    problem::Problem,
    schema::children,
    source::{SourceId, SourceKind, SourceMap, Span},
    tree::{Entry, Node, Value, dotted},
    walk::KeyPath,
};

/// Variables that begin with this set keys.
const PREFIX: &str = "GREENROOM__";

/// The trees of the variables that set keys, in the order of their names. `named` are the paths that the files mention:
/// a variable's name cannot hold the dots, dashes and capitals that a service's name may have.
pub fn variables(sources: &mut SourceMap, all: &[(String, String)], named: &[KeyPath], base: &Path) -> Vec<Node> {
    let mut ours: Vec<_> = all.iter().filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value))).collect();
    ours.sort_unstable();
    let trees = ours.into_iter().map(|(name, value)| {
        let id = sources.add(SourceKind::Variable, format!("env {PREFIX}{name}"), value.clone(), base.to_owned());
        tree(sources, id, &path_of(name, named), value)
    });
    trees.collect()
}

/// The tree of one `--set key=value`.
pub fn argument(sources: &mut SourceMap, text: &str, base: &Path) -> Result<Node, Box<Problem>> {
    let help = "write it like --set service.chat.port=8081; a name with a dot is quoted: service.\"qwen2.5\".port=8081";
    let bad = |message: String| Box::new(Problem::whole("--set", message).help(help));
    let (key, value) = text.split_once('=').ok_or_else(|| bad(format!("`{text}` has no `=`")))?;
    let path = parse_key(key.trim()).ok_or_else(|| bad(format!("`{key}` is not a key")))?;
    // The value is left out of the name: it may be a secret.
    let id = sources.add(SourceKind::Argument, format!("--set {}", key.trim()), value.to_owned(), base.to_owned());
    Ok(tree(sources, id, &path, value))
}

/// The tree of `--state-dir`.
pub fn state_dir(sources: &mut SourceMap, path: &Path, base: &Path) -> Node {
    let text = path.display().to_string();
    let id = sources.add(SourceKind::Argument, "--state-dir", text.clone(), base.to_owned());
    // An argument's path is one as it stands: the shell has done what it had to.
    let escaped = Value::Text(text.replace("${", "$${"));
    nested(id, &["runtime".to_owned(), "state_dir".to_owned()], Node::new(escaped, whole(id, &text)))
}

/// The tree of one setting made in code.
pub fn setting(sources: &mut SourceMap, setting: &Setting, base: &Path) -> Result<Node, Box<Problem>> {
    let path = match &setting.key {
        SettingKey::Path(path) => path.clone(),
        SettingKey::Dotted(key) => parse_key(key.trim()).ok_or_else(|| {
            let help = "write it as in TOML: service.chat.port; a name with a dot is quoted: service.\"qwen2.5\".port";
            Box::new(Problem::whole(CODE, format!("`{key}` is not a key")).help(help))
        })?,
    };
    let id = sources.add(SourceKind::Code, CODE, String::new(), base.to_owned());
    let node = setting.value.to_node(whole(id, "")).map_err(|not_text| {
        Box::new(Problem::whole(CODE, format!("`{}`: the path {not_text:?} is not UTF-8", dotted(&path))))
    })?;
    Ok(nested(id, &path, node))
}

fn tree(sources: &SourceMap, id: SourceId, path: &[String], value: &str) -> Node {
    let node =
        parse_value(sources, id, value).unwrap_or_else(|| Node::new(Value::Text(value.to_owned()), whole(id, value)));
    nested(id, path, node)
}

fn nested(id: SourceId, path: &[String], node: Node) -> Node {
    let span = Span { source: id, ..node.span };
    path.iter()
        .rev()
        .fold(node, |node, key| Node::new(Value::Table(vec![Entry { key: key.clone(), key_span: span, node }]), span))
}

fn whole(source: SourceId, text: &str) -> Span {
    Span { source, start: 0, end: text.len() }
}

/// The path that a variable's name means: parts in lower case, names as the files write them.
fn path_of(name: &str, named: &[KeyPath]) -> KeyPath {
    let mut path = KeyPath::new();
    for part in name.split("__") {
        let chosen = children(&path) == ["*"];
        let next = match known_name(part, &path, named) {
            Some(known) if chosen => known,
            // Variables and macros keep their case; `env` and `macros` are where names are not services'.
            None if chosen && matches!(path.last().map(String::as_str), Some("env" | "macros")) => part.to_owned(),
            _ => part.to_ascii_lowercase(),
        };
        path.push(next);
    }
    path
}

fn known_name(part: &str, section: &[String], named: &[KeyPath]) -> Option<String> {
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_ascii_lowercase();
    let below = named.iter().filter(|path| path.len() == section.len() + 1 && path.starts_with(section));
    below.filter_map(|path| path.last()).find(|name| plain(name) == plain(part)).cloned()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_variable_finds_the_service_that_the_file_names() {
        let named = [vec!["service".to_owned(), "Qwen2.5-x".to_owned()]];
        assert_eq!(path_of("SERVICE__QWEN2_5_X__PORT", &named).join("/"), "service/Qwen2.5-x/port");
        assert_eq!(path_of("SERVICE__NEW__ENV__HF_TOKEN", &named).join("/"), "service/new/env/HF_TOKEN");
        assert_eq!(path_of("RUNTIME__SHUTDOWN__GRACE", &named).join("/"), "runtime/shutdown/grace");
    }

    #[test]
    fn values_are_toml_or_plain_text() {
        let mut sources = SourceMap::new(PathBuf::from("/"));
        for (text, value) in [("8081", Value::Int(8081)), ("10s", Value::Text("10s".to_owned()))] {
            let node = argument(&mut sources, &format!("a.b={text}"), Path::new("/")).unwrap();
            assert_eq!(node.field("a").and_then(|a| a.field("b")).map(|b| &b.value), Some(&value));
        }
        assert!(argument(&mut sources, "a.b", Path::new("/")).is_err());
        assert!(argument(&mut sources, "a b=1", Path::new("/")).is_err());
    }
}

//! What every program has that is run: command, engine, model file, environment. Services and the processes of jobs say it in
//! the same words.

use std::{collections::BTreeMap, path::PathBuf};

use greenroom_actors::{
    engines::EngineRef,
    spec::{FailureAction, FailureClass, FailureRule, GpuLayers, InheritEnv},
    template::{Part, Template},
};

use super::{
    command::command,
    owner::Owner,
    read::{Reader, word},
    scope::Scope,
    template,
};
use crate::config::{
    source::Span,
    tree::{Node, Value, dotted},
};

/// Program and arguments of `command`; `span` is the place of the whole. Empty where it was reported.
pub(super) fn main_command(reader: &mut Reader<'_>, who: Owner<'_>, scope: &Scope<'_>, span: Span) -> Vec<Template> {
    let path = who.key(&["command"]);
    let Some(node) = reader.node(&path) else {
        if !reader.effective.is_faulty(&path) && !reader.effective.is_faulty(&["defaults", "service", "command"]) {
            let section = dotted(&[who.section, who.name]);
            let help = format!("add command = [\"program\", \"argument\"] to [{section}]");
            reader.error(span, format!("{who} has no `command`"), help);
        }
        return Vec::new();
    };
    let what = who.to_string();
    let before = reader.errors();
    let parts = command(reader, scope, node, &what);
    if reader.errors() > before {
        // A program that stands in a variable which is not set is not missing as well.
        return parts;
    }
    let is_blank = |template: &Template| template.0.iter().all(|part| *part == Part::Text(String::new()));
    let empty = match &node.value {
        Value::List(items) => items.is_empty() || parts.first().is_some_and(is_blank),
        Value::Text(text) => text.trim().is_empty() || parts.first().is_some_and(is_blank),
        _ => false,
    };
    if empty {
        reader.error(node.span, format!("{what}: `command` names no program"), "name the program first");
    }
    parts
}

/// The engine of that name; `auto`: the one that recognises the command.
pub(super) fn engine(reader: &mut Reader<'_>, who: Owner<'_>, command: &[Template]) -> EngineRef {
    let named = reader.text(&who.key(&["engine"]));
    reader.engines.named(&named).unwrap_or_else(|| {
        let words: Vec<String> = command.iter().map(Template::plain).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.split_first().map_or_else(EngineRef::generic, |(program, rest)| reader.engines.recognise(program, rest))
    })
}

/// The model file and its size in bytes, 0 without one.
pub(super) fn model_file(reader: &mut Reader<'_>, who: Owner<'_>) -> (Option<PathBuf>, u64) {
    let key = who.key(&["model_file"]);
    let Some(path) = template::path(reader, &key, &[("name", who.name)]) else { return (None, 0) };
    match reader.outside.size(&path) {
        Ok(size) => (Some(path), size),
        Err(why) => {
            let span = reader.node(&key).map(|node| node.span).unwrap_or_default();
            let message = format!("{who}: the model file `{}` cannot be read: {why}", path.display());
            reader.error(span, message, "a relative path is relative to the config file");
            (Some(path), 0)
        }
    }
}

/// Where it runs.
pub(super) fn working_dir(reader: &mut Reader<'_>, who: Owner<'_>) -> PathBuf {
    let key = who.key(&["working_dir"]);
    let span = reader.node(&key).map(|node| node.span).unwrap_or_default();
    let Some(path) = template::path(reader, &key, &[("name", who.name)]) else {
        return reader.effective.sources().base(span).to_owned();
    };
    // The default, the config file's own folder, is there.
    if span != Span::default()
        && let Err(why) = reader.outside.size(&path)
    {
        let message = format!("{who}: the working_dir `{}` cannot be read: {why}", path.display());
        reader.warn(span, message, format!("it must be there when the {} starts", who.section));
    }
    path
}

/// What is set on top of what is inherited.
pub(super) fn env(reader: &mut Reader<'_>, who: Owner<'_>, scope: &Scope<'_>) -> BTreeMap<String, Template> {
    let mut env = BTreeMap::new();
    for (name, node) in reader.effective.below(&who.key(&["env"])) {
        if name.is_empty() || name.contains(['=', '\0']) {
            reader.error(node.span, format!("{who}: `{name}` cannot name a variable"), "leave out `=`");
            continue;
        }
        env.insert(name.to_owned(), template::template(reader, scope, node.text().unwrap_or_default(), node.span));
    }
    env
}

/// What `${gpu_layers}` becomes.
pub(super) fn gpu_layers(reader: &mut Reader<'_>, who: Owner<'_>) -> GpuLayers {
    match reader.node(&who.key(&["gpu_layers"])).map(|node| &node.value) {
        Some(Value::Int(count)) => GpuLayers::Count(u32::try_from(*count).unwrap_or(u32::MAX)),
        Some(Value::Text(word)) if word == "all" => GpuLayers::All,
        _ => GpuLayers::Auto,
    }
}

/// What of the runtime's environment is passed on.
pub(super) fn inherit_env(reader: &mut Reader<'_>, who: Owner<'_>) -> InheritEnv {
    match reader.node(&who.key(&["inherit_env"])).map(|node| &node.value) {
        Some(Value::Bool(false)) => InheritEnv::Nothing,
        Some(Value::List(_)) => InheritEnv::Only(reader.texts(&who.key(&["inherit_env"]))),
        _ => InheritEnv::All,
    }
}

/// Lines of output that name the cause of a failure.
pub(super) fn failure(reader: &Reader<'_>, who: Owner<'_>) -> Vec<FailureRule> {
    let rule = |rule: &Node| {
        let text = |key| rule.field(key).and_then(Node::text);
        let class = word::<FailureClass>(text("class")?)?;
        let action = text("action").and_then(word::<FailureAction>);
        // Its own rules come before the engine's, and must not take from a class what is done about it there.
        let action = action.unwrap_or_else(|| class.action());
        Some(FailureRule { pattern: text("pattern")?.to_owned(), class, action })
    };
    let rules = reader.node(&who.key(&["failure"])).map(Node::items).unwrap_or_default();
    rules.iter().filter_map(rule).collect()
}

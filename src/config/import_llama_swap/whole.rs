//! The whole file, from a tree to a text. Pure.

use super::{
    global::{Globals, deadline, top},
    group::{Groups, groups},
    macros::{Macros, growth, translate},
    notes::{Notes, Told},
    peer::remote,
    section::{Section, comment},
    service::service,
    taken::Taken,
    yaml::{Item, merged},
};
use crate::config::{
    problem::{ConfigErrors, printable},
    source::{SourceMap, Span},
    tree::{Entry, Node, Value},
};

/// The gateway's port, unless a service has it: Greenroom's default.
const PORT: u16 = 8484;

const HEAD: &str = "llama-swap ran one model at a time unless its configuration said otherwise. Greenroom knows how much \
    memory each service needs (measured in earlier runs, else estimated, else as `vram` says), lets run together what \
    fits, and makes room by who costs least to bring back. `greenroom check` looks this file over, `greenroom run` \
    starts it. docs/migrating-from-llama-swap.md says what is different.";

const GATEWAY: &str = "llama-swap listens on every address of the machine, port 8080, unless told otherwise by -listen. \
    This is open to this machine alone; for others listen = \"0.0.0.0:8080\", which wants a key in api_keys.";

const POOLS: &str = "For groups whose members must take turns even where they fit together: remove the `#` here and at \
    `needs` of the members.";

const ONE_AT_A_TIME: &str = "To run one model at a time as llama-swap did, whatever fits: remove the `#` here and at \
    `needs` of [defaults.service].";

/// The pool that every service needs if one model shall run at a time.
const ONE: &str = "one-at-a-time";

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The configuration, as TOML.
    pub config: String,
    /// What has no counterpart or means something else now, in the order of the lines.
    pub told: Vec<Told>,
    /// How many services it has.
    pub services: usize,
    /// How many remotes it has.
    pub remotes: usize,
}

/// What is passed along while the parts are made.
pub(super) struct Work<'a> {
    pub(super) notes: Notes<'a>,
    pub(super) taken: Taken,
    pub(super) globals: Globals,
    pub(super) groups: Groups,
    /// Whether this model file, a path with `${env.NAME}` in it, is there.
    pub(super) is_file: &'a dyn Fn(&str) -> bool,
}

impl Work<'_> {
    /// A text for a key whose value is known before a start; what stands for nothing in it is told.
    pub(super) fn text(&mut self, item: &Item<'_>) -> Option<String> {
        let translated = translate(&self.notes.text(item)?);
        let strange = translated.strange.iter().map(String::as_str).chain(translated.has_port.then_some("${PORT}"));
        let strange: Vec<&str> = strange.collect();
        if strange.is_empty() {
            return Some(translated.text);
        }
        self.notes.tell(item, format!("`{}` stands for nothing here; left out", strange.join("`, `")));
        None
    }
}

/// The configuration that `root`, the tree of a file, means.
pub(super) fn whole(
    sources: &SourceMap,
    root: &Node,
    name: &str,
    is_file: &dyn Fn(&str) -> bool,
) -> Result<Imported, ConfigErrors> {
    let root = merged(root);
    let has =
        |key: &str| root.field(key).is_some_and(|node| matches!(&node.value, Value::Table(list) if !list.is_empty()));
    if !has("models") && !has("peers") {
        let start = Span { end: root.span.start + 1, ..root.span };
        let problem =
            sources.error(start, "this is no configuration of llama-swap: it has neither `models` nor `peers`");
        return Err(ConfigErrors(vec![problem.help("name the file that llama-swap is started with: -config FILE")]));
    }
    let left = growth();
    let filled = filled(&root, &left);
    let root = Item::root(&filled);
    let mut notes = Notes::new(sources);
    let (mut top, globals) = top(&mut notes, &root);
    let groups = groups(&mut notes, &root);
    let mut work = Work { notes, taken: Taken::default(), globals, groups, is_file };

    let models = root.field("models").map(|models| work.notes.entries(&models)).unwrap_or_default();
    for model in &models {
        // Every id is its own model's name before any alias is looked at.
        drop(work.taken.client(model.key(), model.key()));
    }
    let services: Vec<Section> = models.iter().filter_map(|model| service(&mut work, model)).collect();
    let peers = root.field("peers").map(|peers| work.notes.entries(&peers)).unwrap_or_default();
    let remotes: Vec<Section> = peers.iter().filter_map(|peer| remote(&mut work, peer)).collect();

    deadline(&mut top.shutdown, work.globals.grace);
    let port = (PORT..=u16::MAX).find(|port| !work.taken.has_port(*port)).unwrap_or(PORT);
    top.gateway.say("listen", &format!("127.0.0.1:{port}"));
    top.gateway.remark(GATEWAY);

    let mut text = comment(&format!("Made from {} by `greenroom import llama-swap`.", printable(name))).join("\n");
    text.push_str(&format!("\n#\n{}\n", comment(HEAD).join("\n")));
    let sections = [top.runtime, top.shutdown, top.log].into_iter().filter(|section| !section.is_empty());
    for section in sections.chain([top.gateway]) {
        text.push_str(&format!("\n{}", section.text()));
    }
    text.push_str(&pools(&work.groups, &mut top.defaults));
    for section in std::iter::once(&top.defaults).chain(&services).chain(&remotes) {
        text.push_str(&format!("\n{}", section.text()));
    }
    Ok(Imported { config: text, told: work.notes.into_told(), services: services.len(), remotes: remotes.len() })
}

/// The tree with its macros filled in; a model's own are put above those of the file.
fn filled(root: &Node, left: &std::cell::Cell<usize>) -> Node {
    let global = Macros::new(root.field("macros"), left);
    let Value::Table(entries) = &root.value else { return root.clone() };
    let model = |model: &Entry| {
        let own = global.clone().with(model.node.field("macros")).for_model(&model.key, &model.node);
        Entry { node: own.fill(&model.node), ..model.clone() }
    };
    let entry = |entry: &Entry| match (entry.key.as_str(), &entry.node.value) {
        ("macros", _) => entry.clone(),
        ("models", Value::Table(models)) => {
            let models = Value::Table(models.iter().map(model).collect());
            Entry { node: Node { value: models, ..entry.node.clone() }, ..entry.clone() }
        }
        _ => Entry { node: global.fill(&entry.node), ..entry.clone() },
    };
    Node { value: Value::Table(entries.iter().map(entry).collect()), ..root.clone() }
}

/// The pools that can be put in force, as comments.
fn pools(groups: &Groups, defaults: &mut Section) -> String {
    let (names, why) = if groups.pools.is_empty() {
        defaults.offer("needs", &format!("{{ {ONE} = 1 }}"));
        (vec![ONE.to_owned()], ONE_AT_A_TIME)
    } else {
        (groups.pools.clone(), POOLS)
    };
    let lines = names.iter().map(|name| format!("# {name} = 1\n")).collect::<String>();
    format!("\n{}\n# [resources.custom]\n{lines}", comment(why).join("\n"))
}

//! One model as a service. Pure.

use greenroom_actors::{
    engines::{EngineRef, Engines},
    units::format_duration,
};

use super::{
    command::Words,
    global::seconds,
    macros::translate,
    place::{place, port, ready},
    section::Section,
    whole::Work,
    yaml::Item,
};
use crate::config::tree::{Value, quote, quote_key};

/// Keys that Greenroom has nothing for, and what to do instead.
const WITHOUT: &[(&str, &str)] = &[
    ("unlisted", "was left out of /v1/models; here every service is listed"),
    ("metadata", "was shown in /v1/models and nowhere else"),
    ("capabilities", "was shown in /v1/models and nowhere else"),
    ("timeouts", "an answer may take as long as the client waits for it; `alive` finds a server that hangs"),
    ("healthCheckTimeout", "llama-swap has it at the top of the file; `ready.timeout` of the service is the like"),
];

/// Keys that are read.
const KNOWN: &[&str] = &[
    "cmd",
    "cmdStop",
    "proxy",
    "aliases",
    "env",
    "checkEndpoint",
    "ttl",
    "unloadTimeout",
    "useModelName",
    "name",
    "description",
    "concurrencyLimit",
    "filters",
    "macros",
    "sendLoadingState",
    "compat",
];

/// One model; `None`, and told, if nothing could be started for it.
pub(super) fn service(work: &mut Work<'_>, model: &Item<'_>) -> Option<Section> {
    let (mut words, cmd) = command(work, model)?;
    let name = work.taken.section(model.key());
    let mut section = Section::new(&["service", &name]);
    about(work, model, &mut section);
    let engine = recognised(&words);
    let port = port(work, model, &cmd, &mut words);
    let is_model = |file: &&str| !words.is_container() && (engine.name() == "llama-server" || file.ends_with(".gguf"));
    let file = words.model_file().filter(is_model).map(str::to_owned);
    let is_there = file.as_deref().is_some_and(|file| (work.is_file)(file));
    if is_there {
        words.name_model_file();
    }
    section.command("command", &words.words);
    match file {
        Some(file) if is_there => section.say("model_file", &file),
        Some(file) => {
            section.aside("For the estimate of its memory; the file was not there when this was made.");
            section.offer("model_file", &quote(&file));
        }
        None => {}
    }
    names(work, model, &name, &mut section);
    place(work, port, &words, &engine, &cmd, &mut section);
    ready(work, model, port, &engine, &mut section);
    life(work, model, &mut section);
    stop(work, model, &mut section);
    environment(work, model, &mut section);
    group(work, model, &mut section);
    without(work, model);
    Some(section)
}

fn command<'t>(work: &mut Work<'_>, model: &Item<'t>) -> Option<(Words, Item<'t>)> {
    let Some(cmd) = model.field("cmd") else {
        work.notes.tell(model, "has no `cmd`; left out");
        return None;
    };
    let text = work.notes.text(&cmd)?;
    let Some(words) = Words::of(&text) else {
        work.notes.tell(&cmd, "it names no program, or a quote is not closed; the model is left out");
        return None;
    };
    for strange in &words.strange {
        work.notes.tell(&cmd, format!("`{strange}` stands for nothing; passed on as it is written"));
    }
    Some((words, cmd))
}

fn about(work: &mut Work<'_>, model: &Item<'_>, section: &mut Section) {
    for key in ["name", "description"] {
        let Some(item) = model.field(key) else { continue };
        let Some(text) = work.notes.text(&item).filter(|text| !text.is_empty()) else { continue };
        section.remark(&text);
        work.notes.tell(&item, "was shown in /v1/models and nowhere else; kept as a comment");
    }
}

fn recognised(words: &Words) -> EngineRef {
    let words: Vec<&str> = words.words.iter().map(String::as_str).collect();
    words.split_first().map_or_else(EngineRef::generic, |(program, rest)| Engines::built_in().recognise(program, rest))
}

/// The names that clients use: its id, and the aliases that are nobody else's.
fn names(work: &mut Work<'_>, model: &Item<'_>, name: &str, section: &mut Section) {
    let id = model.key();
    let mut serves = vec![translate(id).text];
    for (item, alias) in model.field("aliases").map(|list| work.notes.texts(&list)).unwrap_or_default() {
        if alias.is_empty() || alias.contains("${") {
            work.notes.tell(&item, format!("`{alias}` is no name; left out"));
        } else if let Err(other) = work.taken.client(&alias, id) {
            work.notes
                .tell(&item, format!("`{alias}` is a name of `{other}` too, and a name means one; left out here"));
        } else if !serves.contains(&alias) {
            serves.push(alias);
        }
    }
    if serves.len() > 1 || id != name {
        section.list("serves", &serves);
    }
    if let Some(upstream) =
        model.field("useModelName").and_then(|item| work.text(&item)).filter(|text| !text.is_empty())
    {
        section.say("upstream_model", &upstream);
    }
}

fn life(work: &mut Work<'_>, model: &Item<'_>, section: &mut Section) {
    if work.globals.preload.contains(model.key()) {
        section.say("start", "eager");
    }
    let ttl = model.field("ttl").and_then(|item| work.notes.number(&item)).filter(|ttl| *ttl >= 0);
    if let Some(ttl) = ttl.filter(|ttl| *ttl != work.globals.ttl) {
        section.say("idle_timeout", &format_duration(seconds(ttl)));
    }
    let limit = model.field("concurrencyLimit").and_then(|item| work.notes.number(&item)).filter(|limit| *limit > 0);
    if let Some(limit) = limit {
        section.set("max_concurrency", limit.min(1_000_000).to_string());
    }
    if let Some(item) = model.field("sendLoadingState")
        && work.notes.flag(&item).is_some_and(|flag| flag != work.globals.loading)
    {
        work.notes.tell(&item, "`gateway.loading_comments` holds for all models");
    }
}

fn stop(work: &mut Work<'_>, model: &Item<'_>, section: &mut Section) {
    let grace = model.field("unloadTimeout").and_then(|item| work.notes.number(&item)).filter(|grace| *grace > 0);
    if let Some(grace) = grace.map(seconds) {
        work.globals.grace = work.globals.grace.max(grace);
        section.say("stop.grace", &format_duration(grace));
    }
    let Some(item) = model.field("cmdStop") else { return };
    let Some(words) = work.notes.text(&item).filter(|text| !text.trim().is_empty()).and_then(|text| Words::of(&text))
    else {
        return;
    };
    if words.strange.is_empty() {
        section.command("stop.exec", &words.words);
    } else {
        let message = format!(
            "`{}` stands for nothing here, and every process of a service gets the signal by itself; left out",
            words.strange.join("`, `")
        );
        work.notes.tell(&item, message);
    }
}

fn environment(work: &mut Work<'_>, model: &Item<'_>, section: &mut Section) {
    let mut variables: Vec<(String, String)> = Vec::new();
    for (item, text) in model.field("env").map(|list| work.notes.texts(&list)).unwrap_or_default() {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty() && !name.contains("${"))
        else {
            work.notes.tell(&item, "a variable is NAME=value; left out");
            continue;
        };
        let translated = translate(value);
        if !translated.strange.is_empty() {
            work.notes.tell(
                &item,
                format!("`{}` stands for nothing; passed on as it is written", translated.strange.join("`, `")),
            );
        }
        if ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"].contains(&name) {
            work.notes.tell(
                &item,
                format!("kept; Greenroom chooses a card by itself and does not read this: say `gpu = ...` and {name} = \"${{gpu}}\""),
            );
        }
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), translated.text));
    }
    if !variables.is_empty() {
        let all: Vec<String> =
            variables.iter().map(|(name, value)| format!("{} = {}", quote_key(name), quote(value))).collect();
        section.set("env", format!("{{ {} }}", all.join(", ")));
    }
}

fn group(work: &mut Work<'_>, model: &Item<'_>, section: &mut Section) {
    let Some(member) = work.groups.of(model.key()) else { return };
    if member.pinned {
        section.set("pinned", "true");
    }
    section.aside(&member.remark);
    if let Some(pool) = &member.pool {
        section.offer("needs", &format!("{{ {pool} = 1 }}"));
    }
}

fn without(work: &mut Work<'_>, model: &Item<'_>) {
    for item in model.entries() {
        match item.key() {
            "filters" => filters(work, model.key(), &item),
            "compat" => {
                for part in work.notes.entries(&item) {
                    if !matches!(part.node.value, Value::Bool(false)) {
                        work.notes.tell(
                            &part,
                            "a WebSocket never counts as work; which requests load the service says `wake_on`",
                        );
                    }
                }
            }
            key => match WITHOUT.iter().find(|(known, _)| *known == key) {
                Some(_) if matches!(item.node.value, Value::Bool(false)) => {}
                Some((_, instead)) => work.notes.tell(&item, instead),
                None if KNOWN.contains(&key) => {}
                None => work.notes.tell(&item, "not a key of llama-swap's models; left out"),
            },
        }
    }
}

fn filters(work: &mut Work<'_>, model: &str, filters: &Item<'_>) {
    for filter in work.notes.entries(filters) {
        match filter.key() {
            "setParamsByID" => {
                for id in work.notes.entries(&filter) {
                    let name = id.key().replace("${MODEL_ID}", model);
                    let message = format!(
                        "`{name}` was a name with parameters of its own; requests are passed on as they come, so it is \
                         left out: let the client send them, or make a service of it"
                    );
                    work.notes.tell(&id, message);
                }
            }
            "stripParams" | "strip_params" | "setParams" => work.notes.tell(
                &filter,
                "requests are passed on as they come: set the engine's own options in `command`, or let the client \
                 leave it out or add it",
            ),
            _ => work.notes.tell(&filter, "not a filter that llama-swap has; left out"),
        }
    }
}

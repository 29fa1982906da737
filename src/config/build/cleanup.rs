//! `cleanup`: what is done after each job, in the forms that a service, a remote, and a job of either kind take. Pure.

use std::path::{Path, PathBuf};

use greenroom_actors::spec::{CleanupAction, CleanupSpec, CleanupWhen, OnCleanupFailure};

use super::{
    command::command,
    memory::{is_said, span},
    owner::Owner,
    purge::{Around, purge},
    read::Reader,
    scope::Scope,
    template,
};
use crate::config::{
    kind::http_call,
    tree::{Node, dotted},
};

/// What the clean-up of one owner can do.
struct Place<'a> {
    /// Whose keys they are.
    who: Owner<'a>,
    /// Whom they are about: the same, or what a job's request asks.
    on: Owner<'a>,
    scope: Scope<'a>,
    /// `runtime.state_dir`.
    state_dir: &'a Path,
}

/// After each job on a service.
pub(super) fn of_service(reader: &mut Reader<'_>, s: &str, state_dir: &Path) -> CleanupSpec {
    let who = Owner::service(s);
    build(reader, &Place { who, on: who, scope: Scope::SERVICE, state_dir })
}

/// After each job on a remote.
pub(super) fn of_remote(reader: &mut Reader<'_>, r: &str, state_dir: &Path) -> CleanupSpec {
    let who = Owner::remote(r);
    build(reader, &Place { who, on: who, scope: Scope::SERVICE, state_dir })
}

/// After each run of a job's own process, whose texts mean what `scope` says.
pub(super) fn of_process(reader: &mut Reader<'_>, j: &str, scope: Scope<'_>, state_dir: &Path) -> CleanupSpec {
    let who = Owner::job(j);
    build(reader, &Place { who, on: who, scope, state_dir })
}

/// After each request of a job to `on`. What is cleaned up is that, perhaps also before a job, after somebody else: so what one
/// job was given has no meaning there.
pub(super) fn of_request(reader: &mut Reader<'_>, j: &str, on: Owner<'_>, state_dir: &Path) -> CleanupSpec {
    build(reader, &Place { who: Owner::job(j), on, scope: Scope::SERVICE, state_dir })
}

fn build(reader: &mut Reader<'_>, place: &Place<'_>) -> CleanupSpec {
    let key = |name| place.who.key(&["cleanup", name]);
    let items = reader.node(&key("actions")).map(Node::items).unwrap_or_default();
    let actions: Vec<_> = items.iter().filter_map(|item| action(reader, place, item)).collect();
    CleanupSpec {
        actions,
        delay: reader.duration(&key("delay")),
        when: when(reader, place, &key("when")),
        on_failure: on_failure(reader, place, &key("on_failure")),
        last_resort_after: last_resort_after(reader, place.who),
    }
}

/// One action; `None` if it was reported.
fn action(reader: &mut Reader<'_>, place: &Place<'_>, node: &Node) -> Option<CleanupAction> {
    let Place { who, on, scope, state_dir } = place;
    if let Some(call) = node.field("http") {
        if on.section == "job" {
            let help = "use `purge` or `exec`; a service that a job asks by `request` can be asked to clean up as well";
            let message = format!("{who}: `cleanup.actions`: `http` asks a process that has ended by then");
            reader.error(call.span, message, help);
            return None;
        }
        let (method, path) = http_call(call.text()?)?;
        return Some(CleanupAction::Http { method: method.to_owned(), path: path.to_owned() });
    }
    let here = node.field("purge").map(|node| ("purge", node)).or_else(|| Some(("exec", node.field("exec")?)))?;
    if on.section == "remote" {
        let message =
            format!("{who}: `cleanup.actions`: `{}` is done on this machine, and {on} runs elsewhere", here.0);
        reader.error(here.1.span, message, "ask it by `http`");
        return None;
    }
    let ("exec", program) = here else {
        let working_dir = own_folder(reader, *on);
        let around = Around { working_dir: working_dir.as_deref(), state_dir };
        return purge(reader, *who, *on, scope, here.1, around).map(CleanupAction::Purge);
    };
    let before = reader.errors();
    let what = format!("{who}: `cleanup.actions`: `exec`");
    let words = command(reader, scope, program, &what);
    if words.is_empty() && reader.errors() == before {
        let message = format!("{what} names no program");
        reader.error(program.span, message, "name the program first");
    }
    (!words.is_empty()).then_some(CleanupAction::Exec(words))
}

/// The folder that the configuration gives it by name. The one that it has without a word, that of the configuration, is
/// not its own.
fn own_folder(reader: &mut Reader<'_>, on: Owner<'_>) -> Option<PathBuf> {
    let key = on.key(&["working_dir"]);
    reader.node(&key).filter(|node| is_said(node))?;
    template::path(reader, &key, &[("name", on.name)])
}

fn when(reader: &mut Reader<'_>, place: &Place<'_>, key: &[&str]) -> CleanupWhen {
    let text = reader.text(key);
    let Some(when) = condition(&text) else { return CleanupWhen::Always };
    if place.on.section == "remote" {
        let message = format!("{}: `cleanup.when`: the memory of another machine is not measured", place.who);
        reader.error(span(reader, key), message, "write \"always\"");
    }
    when
}

/// `"vram > 0.8"`; `None`: always.
fn condition(text: &str) -> Option<CleanupWhen> {
    let (what, share) = text.split_once('>')?;
    let share: f64 = share.trim().parse().ok()?;
    match what.trim() {
        "vram" => Some(CleanupWhen::Vram(share)),
        "ram" => Some(CleanupWhen::Ram(share)),
        _ => None,
    }
}

fn on_failure(reader: &mut Reader<'_>, place: &Place<'_>, key: &[&str]) -> OnCleanupFailure {
    let text = reader.text(key);
    if text == "restart" {
        let at = span(reader, key);
        let why = match place.on.section {
            "service" => return OnCleanupFailure::Restart,
            "remote" => format!("{} is not started here, so nothing can restart it", place.on),
            _ => "its process has ended by then, and there is nothing to restart".to_owned(),
        };
        reader.error(at, format!("`{}`: {why}", dotted(key)), "write \"warn\"");
    }
    OnCleanupFailure::Warn
}

/// Jobs in a row. A job's own process ends with each, and what a request asks counts for whoever is asked.
fn last_resort_after(reader: &mut Reader<'_>, who: Owner<'_>) -> u32 {
    if who.section == "job" { 0 } else { reader.number(&who.key(&["cleanup", "last_resort_after"])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_with_blanks_and_without() {
        assert_eq!(condition("vram > 0.8"), Some(CleanupWhen::Vram(0.8)));
        assert_eq!(condition("ram>1"), Some(CleanupWhen::Ram(1.0)));
        assert_eq!(condition("always"), None);
        assert_eq!(condition("disk > 0.8"), None);
    }
}

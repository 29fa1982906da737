//! Peers: servers that something else runs. Pure.

use super::{section::Section, whole::Work, yaml::Item};
use crate::config::build::is_server;

/// One peer as a remote; `None`, and told, if there is nothing to ask.
pub(super) fn remote(work: &mut Work<'_>, peer: &Item<'_>) -> Option<Section> {
    let id = peer.key();
    let Some(url) = peer.field("proxy").and_then(|item| work.text(&item)) else {
        work.notes.tell(peer, "has no `proxy`; left out");
        return None;
    };
    if !is_server(&url) && !url.contains("${env.") {
        // Not shown: it may hold a password.
        work.notes
            .tell(peer, "its `proxy` is not the URL of a server (scheme, host, and perhaps port and path); left out");
        return None;
    }
    let name = work.taken.section(id);
    let mut section = Section::new(&["remote", &name]);
    section.list("urls", &[url]);
    let mut serves = Vec::new();
    for (item, model) in peer.field("models").map(|list| work.notes.texts(&list)).unwrap_or_default() {
        if model.is_empty() || model.contains("${") {
            work.notes.tell(&item, format!("`{model}` is no name; left out"));
            continue;
        }
        match work.taken.client(&model, &format!("peers.{id}")) {
            Ok(()) if serves.contains(&model) => {}
            Ok(()) => serves.push(model),
            Err(other) => work
                .notes
                .tell(&item, format!("`{model}` is a name of `{other}` too, and a name means one: left out here")),
        }
    }
    if serves.is_empty() {
        work.notes.tell(peer, "serves no model under a name of its own; left out");
        return None;
    }
    section.list("serves", &serves);
    if let Some((item, key)) = peer.field("apiKey").and_then(|item| Some((item.clone(), work.text(&item)?))) {
        if key.chars().all(|c| c.is_ascii_graphic()) {
            section.say("api_key", &key);
        } else {
            work.notes.tell(&item, "no header can hold this key; left out");
        }
    }
    work.notes.tell(peer, format!("clients name its models as they are in `serves`, without `{id}/` before them"));
    for item in peer.entries() {
        match item.key() {
            "proxy" | "models" | "apiKey" => {}
            "filters" => {
                for filter in work.notes.entries(&item) {
                    work.notes
                        .tell(&filter, "requests are passed on as they come; let the client leave it out or add it");
                }
            }
            "timeouts" => work.notes.tell(&item, "an answer may take as long as the client waits for it"),
            _ => work.notes.tell(&item, "not a key of peers; left out"),
        }
    }
    Some(section)
}

//! Where the service of a model answers, and whether it is ready. Pure.

use greenroom_actors::engines::EngineRef;

use super::{command::Words, section::Section, whole::Work, yaml::Item};
use crate::config::kind::http_path;

/// Where llama-swap asks whether a server is ready, unless told otherwise (`internal/config/model_config.go`).
const HEALTH: &str = "/health";

/// The port of a URL that names none.
const HTTP: u16 = 80;

/// Where a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// Where Greenroom tells it to.
    Assigned,
    /// Always there.
    Fixed(u16),
    /// Nobody says.
    Unknown,
}

/// Where it answers, by `proxy` and the command.
pub(super) fn port(work: &mut Work<'_>, model: &Item<'_>, cmd: &Item<'_>, words: &mut Words) -> Port {
    let Some(item) = model.field("proxy") else {
        if !words.has_port {
            work.notes.tell(cmd, "neither `${PORT}` nor `proxy` says where it listens: set `port` of the service");
        }
        return if words.has_port { Port::Assigned } else { Port::Unknown };
    };
    let Some(url) = work.notes.text(&item) else { return Port::Unknown };
    let (host, port, path) = address(&url);
    if url.starts_with("https:") {
        work.notes.tell(
            &item,
            "services are asked by plain http; for https put a proxy before it, or make it a [remote.NAME]",
        );
    }
    if !is_local(host) {
        let message =
            format!("`{host}` is asked at 127.0.0.1 instead; a server that something else runs is a [remote.NAME]");
        work.notes.tell(&item, message);
    }
    if !["", "/"].contains(&path) {
        work.notes.tell(
            &item,
            format!("the path `{path}` is not put before those of requests; let the server listen at `/`"),
        );
    }
    match port {
        Some("${PORT}") if words.has_port => Port::Assigned,
        _ if words.has_port => {
            work.notes
                .tell(&item, format!("`{url}` is not where `${{PORT}}` in `cmd` lets it listen; the latter is taken"));
            Port::Assigned
        }
        Some("${PORT}") => {
            work.notes
                .tell(&item, "`${PORT}` is not in `cmd`, so nothing tells the program: set `port` of the service");
            Port::Unknown
        }
        port => match port.map_or(Some(HTTP), |port| port.parse().ok().filter(|port| *port > 0)) {
            Some(port) => fixed(work, model, &item, words, port),
            None => {
                work.notes.tell(&item, format!("`{url}` has no port that is one: set `port` of the service"));
                Port::Unknown
            }
        },
    }
}

fn fixed(work: &mut Work<'_>, model: &Item<'_>, item: &Item<'_>, words: &mut Words, port: u16) -> Port {
    let Err(other) = work.taken.port(port, model.key()) else { return Port::Fixed(port) };
    if words.assign_port(port) {
        work.notes.tell(
            item,
            format!("port {port} is also that of `{other}`, and both may run at once: Greenroom assigns one"),
        );
        return Port::Assigned;
    }
    let message =
        format!("port {port} is also that of `{other}`, and both may run at once: give it another and set `port`");
    work.notes.tell(item, message);
    Port::Unknown
}

/// Host, port and path of a URL; what is not there is empty.
fn address(url: &str) -> (&str, Option<&str>, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    // `${PORT}` has no colon, an IPv6 address in brackets has.
    match place.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) => (host, Some(port), path),
        None => (place, None, path),
    }
}

fn is_local(host: &str) -> bool {
    ["localhost", "0.0.0.0", "[::1]", "[::]"].contains(&host) || host.starts_with("127.")
}

/// Writes where it answers, and what follows from a container.
pub(super) fn place(
    work: &mut Work<'_>,
    port: Port,
    words: &Words,
    engine: &EngineRef,
    cmd: &Item<'_>,
    section: &mut Section,
) {
    match port {
        Port::Fixed(port) => section.set("port", port.to_string()),
        Port::Unknown if !engine.is_generic() => {
            section.aside("Set `port` to where it listens and remove the next line.");
            section.say("engine", "generic");
        }
        Port::Assigned | Port::Unknown => {}
    }
    if words.is_container() {
        section
            .aside("In a container: its processes are not held by Greenroom, so say what memory it needs: vram, ram.");
        section.set("owner_check", "false");
        work.notes.tell(cmd, "a container is not in Greenroom's hold: nothing measures its memory (set `vram`) and `stop.exec` has to end it");
    }
}

/// Writes how it is seen that it is ready.
pub(super) fn ready(work: &mut Work<'_>, model: &Item<'_>, port: Port, engine: &EngineRef, section: &mut Section) {
    let asked = model.field("checkEndpoint").and_then(|item| Some((work.text(&item)?, item)));
    match asked {
        Some((path, _)) if path == "none" => section.say("ready.probe", "none"),
        Some((_, item)) if port == Port::Unknown => {
            work.notes.tell(&item, "nobody says at which port: set `port` and `ready.probe` of the service");
        }
        Some((path, item)) => {
            let path = if path.starts_with('/') { path } else { format!("/{path}") };
            if http_path(&path) {
                section.say("ready.probe", &path);
            } else {
                work.notes.tell(&item, format!("`{path}` is no path; left out"));
            }
        }
        None if engine.is_generic() && port != Port::Unknown => section.say("ready.probe", HEALTH),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        assert_eq!(address("http://127.0.0.1:${PORT}"), ("127.0.0.1", Some("${PORT}"), ""));
        assert_eq!(address("http://localhost:8999/v1"), ("localhost", Some("8999"), "/v1"));
        assert_eq!(address("http://[::1]"), ("[::1]", None, ""));
        assert_eq!(address("http://[::1]:80/"), ("[::1]", Some("80"), "/"));
        assert_eq!(address("box"), ("box", None, ""));
    }
}

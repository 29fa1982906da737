//! `ready.probe` and `alive.probe`.

use greenroom_actors::{spec::Probe, units::parse_duration};

use super::{command::command, read::Reader, scope::Scope};
use crate::config::tree::{Node, Value, dotted};

/// The probe at `key`; `auto` is the engine's.
pub(super) fn probe(reader: &mut Reader<'_>, key: &[&str], auto: Probe) -> Probe {
    let Some(node) = reader.node(key) else { return Probe::None };
    match &node.value {
        Value::Text(text) => match text.as_str() {
            "auto" => auto,
            "none" => Probe::None,
            path => Probe::Http(path.to_owned()),
        },
        Value::Table(entries) => match entries.first() {
            Some(entry) => form(reader, key, &entry.key, &entry.node),
            None => Probe::None,
        },
        _ => Probe::None,
    }
}

fn form(reader: &mut Reader<'_>, key: &[&str], name: &str, node: &Node) -> Probe {
    let text = node.text().unwrap_or_default();
    match name {
        "http" => Probe::Http(text.to_owned()),
        "log" => Probe::Log(text.to_owned()),
        "delay" => parse_duration(text).map_or(Probe::None, Probe::Delay),
        "exec" => {
            let command = command(reader, &Scope::SERVICE, node, &format!("`{}.exec`", dotted(key)));
            if command.is_empty() && node.value == Value::List(Vec::new()) {
                reader.error(node.span, format!("`{}.exec` is empty", dotted(key)), "name a program");
            }
            Probe::Exec(command)
        }
        _ => {
            tcp(reader, key, node);
            Probe::Tcp
        }
    }
}

/// `tcp` is about the service's own port; another number there would be a different question.
fn tcp(reader: &mut Reader<'_>, key: &[&str], node: &Node) {
    let service = key.get(..2).unwrap_or_default();
    let port = reader.node(&[service, &["port"]].concat()).map(|node| &node.value);
    let own = match &node.value {
        Value::Int(_) => Some(&node.value) == port,
        value => *value != Value::Bool(false),
    };
    if !own {
        let message = format!("`{}.tcp` must be true or the service's own `port`", dotted(key));
        reader.error(node.span, message, "write { tcp = true }");
    }
}

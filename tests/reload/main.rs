//! Hot reload: what changes, what stays, who may ask for it, and what is said.

mod bad;
mod changes;
#[path = "../common/mod.rs"]
mod common;
mod entrances;
mod library;
mod live;
mod many;
mod order;

use common::{Cli, Greenroom};
use serde_json::Value;

/// One service of a stand-in with HTTP, with further lines.
fn web(greenroom: &Greenroom, name: &str, options: &str, lines: &str) -> String {
    let command = greenroom.stand_in(name, &format!("--port ${{port}} {options}"));
    format!("[service.{name}]\ncommand = {command}\nready = \"/health\"\n{lines}\n")
}

/// `greenroom reload --json`, which must end with `code`.
#[track_caller]
fn reload(greenroom: &Greenroom, code: i32) -> Value {
    let cli: Cli = greenroom.cli(&["reload", "--json"]).expect(code);
    cli.json()
}

/// What a report says of one service.
#[track_caller]
fn about<'a>(report: &'a Value, name: &str) -> &'a Value {
    let services = report["services"].as_array().expect("services");
    services.iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("nothing about {name}: {report:#}"))
}

/// The events so far of one type.
fn events(greenroom: &Greenroom, kind: &str) -> Vec<Value> {
    let lines = greenroom.cli(&["events", "--json"]).expect(0).stdout;
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["type"] == kind).collect()
}

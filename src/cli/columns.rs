//! The table of services: which columns it has, and which it does without where the terminal is narrow. Pure.

use std::time::Duration;

use greenroom_actors::{memory::Amounts, time::Timestamp};

use super::{
    seen::Service,
    table::{Cell, age, cut, table},
};
use crate::runtime::told::size;

/// One column.
struct Column {
    head: &'static str,
    /// How soon it is left out where there is no room for all: 0 never, the highest first.
    spare: u8,
    /// Whether it is left out while it has nothing to say of anybody.
    quiet: bool,
    cell: fn(&Service, Timestamp) -> Cell,
}

const NOTHING: &str = "-";

const COLUMNS: [Column; 14] = [
    Column { head: "NAME", spare: 0, quiet: false, cell: |s, _| Cell::text(&s.name) },
    Column { head: "STATE", spare: 0, quiet: false, cell: |s, _| Cell::state(s.state) },
    Column { head: "PID", spare: 1, quiet: false, cell: |s, _| or_nothing(s.pid.map(|pid| pid.to_string())) },
    Column {
        head: "READY",
        spare: 2,
        quiet: false,
        cell: |s, now| or_nothing(s.ready_since.map(|since| age(now.since(since)))),
    },
    Column { head: "RESTARTS", spare: 4, quiet: false, cell: |s, _| Cell::number(s.restarts.total.to_string()) },
    Column { head: "VRAM", spare: 0, quiet: true, cell: |s, _| or_nothing(vram(s)) },
    Column { head: "RAM", spare: 0, quiet: false, cell: |s, _| or_nothing(ram(s)) },
    Column { head: "LEASE", spare: 0, quiet: true, cell: |s, _| or_nothing(s.lease.as_ref().and_then(lease)) },
    Column { head: "USERS", spare: 0, quiet: true, cell: |s, _| or_nothing(some(s.in_flight as usize)) },
    Column { head: "WAITING", spare: 0, quiet: true, cell: |s, _| or_nothing(some(s.in_line as usize)) },
    Column { head: "IDLE", spare: 5, quiet: true, cell: |s, _| or_nothing(s.idle_for.map(|idle| age(span(idle)))) },
    Column { head: "PROCS", spare: 6, quiet: false, cell: |s, _| Cell::number(s.containment.processes.to_string()) },
    Column { head: "PORT", spare: 3, quiet: false, cell: |s, _| or_nothing(s.port().map(|port| port.to_string())) },
    Column { head: "REASON", spare: 7, quiet: false, cell: |s, _| Cell::text(reason(s).unwrap_or_default()) },
];

/// The table of services. A reason that does not fit beside its service stands below the table, where it has the whole
/// width; then columns are left out, those first that people look for least.
#[must_use]
pub fn services(services: &[Service], now: Timestamp, width: Option<usize>, color: bool) -> Vec<String> {
    let says_something =
        |column: &&Column| !column.quiet || services.iter().any(|s| (column.cell)(s, now).text != NOTHING);
    let mut columns: Vec<&Column> = COLUMNS.iter().filter(says_something).collect();
    let room = width.unwrap_or(usize::MAX);
    let draw = |columns: &[&Column], width, color| {
        let heads: Vec<&str> = columns.iter().map(|column| column.head).collect();
        let row = |s| columns.iter().map(|column| (column.cell)(s, now)).collect();
        table(&heads, &services.iter().map(row).collect::<Vec<_>>(), width, color)
    };
    let fits = |columns: &[&Column]| draw(columns, None, false).iter().all(|line| line.chars().count() <= room);
    let mut with_reasons = false;
    while !fits(&columns) {
        let Some(sparest) = columns.iter().map(|column| column.spare).max().filter(|spare| *spare > 0) else { break };
        with_reasons |= columns.iter().any(|column| column.spare == sparest && column.head == "REASON");
        columns.retain(|column| column.spare != sparest);
    }
    let mut lines = draw(&columns, width, color);
    if with_reasons {
        let reasons = services.iter().filter_map(|s| Some(format!("{}: {}", s.name, reason(s)?)));
        lines.extend(reasons.map(|line| cut(&line, room)));
    }
    lines
}

fn or_nothing(text: Option<String>) -> Cell {
    Cell::number(text.unwrap_or_else(|| NOTHING.to_owned()))
}

fn some(n: usize) -> Option<String> {
    (n > 0).then(|| n.to_string())
}

fn ram(service: &Service) -> Option<String> {
    (service.containment.processes > 0).then(|| size(service.memory.ram))
}

fn vram(service: &Service) -> Option<String> {
    let bytes: u64 = service.memory.vram.values().fold(0, |sum, bytes| sum.saturating_add(*bytes));
    (bytes > 0).then(|| size(bytes))
}

/// VRAM and RAM: `7.1GiB+656MiB`, with a 0 for VRAM where there is only RAM.
fn lease(lease: &Amounts) -> Option<String> {
    match (lease.total_vram(), lease.ram) {
        (0, 0) => None,
        (vram, 0) => Some(size(vram)),
        (0, ram) => Some(format!("0+{}", size(ram))),
        (vram, ram) => Some(format!("{}+{}", size(vram), size(ram))),
    }
}

fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Why it is in its state; of one that loads, how far it has come.
fn reason(service: &Service) -> Option<String> {
    match (&service.reason, &service.load) {
        (Some(reason), Some(load)) => Some(format!("{load} ({reason})")),
        (Some(reason), None) => Some(reason.clone()),
        (None, Some(load)) => Some(load.to_string()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::status::tests::service, *};

    fn drawn(width: Option<usize>) -> Vec<String> {
        let chat = json!({
            "pid": 4711, "ready_since": "2026-11-21T09:00:00Z", "endpoint": "http://127.0.0.1:10800", "in_flight": 2,
            "containment": { "processes": 1 }, "idle_for": 0.0,
            "memory": { "ram": 1_200_000_000u64, "vram": { "GPU-1": 7_575_000_000u64 } },
            "lease": { "state": "resident", "vram": { "GPU-1": 7_580_000_000u64 }, "ram": 687_194_767, "gpu_layers": 44 },
        });
        let image = json!({ "reason": "waits for chat to leave", "in_line": 1 });
        let values = [service("chat", "ready", chat), service("image", "reserved", image)];
        let seen: Vec<Service> = values.into_iter().map(|v| serde_json::from_value(v).expect("a service")).collect();
        services(&seen, "2026-11-21T09:03:07Z".parse().expect("a time"), width, false)
    }

    #[test]
    fn memory_has_columns_where_somebody_has_any() {
        assert_eq!(
            drawn(None),
            [
                "NAME   STATE      PID  READY  RESTARTS    VRAM     RAM          LEASE  USERS  WAITING   IDLE  PROCS   PORT  REASON",
                "chat   ready     4711  3m07s         0  7.1GiB  1.1GiB  7.1GiB+655MiB      2        -  0.0ms      1  10800",
                "image  reserved     -      -         0       -       -              -      -        1      -      0      -  waits for chat to leave",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_loses_columns_and_no_reason() {
        let lines = drawn(Some(80));
        assert_eq!(lines[0], "NAME   STATE      PID  READY    VRAM     RAM          LEASE  USERS  WAITING");
        assert_eq!(lines.last().map(String::as_str), Some("image: waits for chat to leave"));
        assert!(drawn(Some(50)).iter().all(|line| line.chars().count() <= 50));
    }
}

//! `status`: the runtime in one line and its services in a table.

use greenroom_actors::{
    os::{clock, keep::kept_now},
    plain::plain,
    time::Timestamp,
};

use super::{
    args::Global,
    ask::{Asked, block_on, get, read},
    columns::services,
    failure::Failure,
    job::counted,
    remotes::remotes,
    seen::{Alert, Runtime, Status},
    table::{age, paint},
    terminal::Terminal,
    wrap::wrap,
};

const RED: u8 = 31;

/// Prints it.
pub fn run(global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global)?;
    let value = block_on(get(&asked, "/api/status")).inspect_err(|failure| tell_kept(failure, &asked, terminal))?;
    if terminal.json {
        terminal.value(&value)?;
        return Ok(0);
    }
    let status: Status = read("/api/status", value)?;
    terminal.say(render(&status, clock::wall(), terminal.width, terminal.color))?;
    Ok(0)
}

/// Where no runtime runs: which services of an earlier one go on.
fn tell_kept(failure: &Failure, asked: &Asked, terminal: &Terminal) {
    if !matches!(failure, Failure::NotRunning(_)) || terminal.json {
        return;
    }
    let Some(place) = asked.place() else { return };
    for kept in kept_now(&place.state_dir) {
        terminal.note(format!(
            "kept: {} (process {}) goes on; the next `greenroom run` takes it over, `greenroom sweep --kept` ends it\n",
            kept.service, kept.main.pid
        ));
    }
}

/// The whole of it.
#[must_use]
pub fn render(status: &Status, now: Timestamp, width: Option<usize>, color: bool) -> String {
    let mut lines = headline(&status.runtime, now, width, color);
    lines.push(String::new());
    if status.services.is_empty() {
        lines.push("no services".to_owned());
    } else {
        lines.extend(services(&status.services, now, width, color));
    }
    if !status.remotes.is_empty() {
        lines.push(String::new());
        lines.extend(remotes(&status.remotes, width, color));
    }
    if let Some(jobs) = counted(&status.jobs) {
        lines.push(String::new());
        lines.extend(wrap(&jobs, width, 0, 2));
    }
    let alerts: Vec<String> = status
        .alerts
        .iter()
        .filter(|alert| !repeats_a_state(alert))
        .flat_map(|alert| told(alert, now, width, color))
        .collect();
    if !alerts.is_empty() {
        lines.push(String::new());
        lines.extend(alerts);
    }
    lines.join("\n")
}

/// Whether the table says the same.
fn repeats_a_state(alert: &Alert) -> bool {
    alert.service.is_some() && matches!(alert.alert.as_str(), "failed" | "quarantined" | "stuck")
}

/// `critical runaway of chat for 3m: ...`.
fn told(alert: &Alert, now: Timestamp, width: Option<usize>, color: bool) -> Vec<String> {
    let of = alert.service.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    let head = plain(&format!("{} {}{of}", alert.severity, alert.alert));
    // A message may repeat what a program has printed.
    let text = format!("{head} for {}: {}", age(now.since(alert.since)), plain(&alert.message));
    let mut lines = wrap(&text, width, 0, 2);
    // Painted after it was wrapped, so that what paints is not counted as text.
    if let Some(first) = lines.first_mut()
        && let Some(rest) = first.strip_prefix(head.as_str())
    {
        *first = format!("{}{rest}", paint(&head, RED, color));
    }
    lines
}

fn headline(runtime: &Runtime, now: Timestamp, width: Option<usize>, color: bool) -> Vec<String> {
    let guardian = runtime.guardian.map_or_else(|| "none".to_owned(), |pid| pid.to_string());
    let mut lines = vec![
        format!(
            "{} {} {} for {}, pid {}, guardian {guardian}, containment {}",
            runtime.name,
            runtime.version,
            runtime.state,
            age(now.since(runtime.started)),
            runtime.pid,
            runtime.containment
        ),
        format!("state dir {}", runtime.state_dir),
    ];
    let limits = runtime.containment_limits.iter().map(|limit| format!("{}: {limit}", runtime.containment));
    lines.extend(limits.flat_map(|limit| wrap(&limit, width, 0, 2)));
    if let Some(trouble) = runtime.history.trouble() {
        lines.push(paint(&plain(&format!("history: {trouble}")), RED, color));
    }
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A service as the API shows it.
    pub fn service(name: &str, state: &str, more: Value) -> Value {
        let mut service = json!({
            "name": name, "engine": "generic", "state": state, "disposition": "up", "reason": null, "pid": null,
            "run_id": null, "since": "2026-11-21T09:00:00Z", "ready_since": null,
            "restarts": { "consecutive": 0, "total": 0 }, "endpoint": null, "serves": [name],
            "containment": { "kind": "cgroup", "processes": 0 }, "memory": { "ram": 0 }, "last_exit": null,
            "next_start": null,
        });
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            service[key] = value;
        }
        service
    }

    /// A status with a ready, a failed and a stopped service.
    pub fn example() -> Value {
        let chat = json!({ "pid": 4711, "ready_since": "2026-11-21T09:00:00Z", "endpoint": "http://127.0.0.1:10800",
                           "containment": { "kind": "cgroup", "processes": 3 }, "memory": { "ram": 7_575_000_000u64 },
                           "restarts": { "consecutive": 0, "total": 12 } });
        let image = json!({ "reason": "exit status 1 (bad_model) 5 times in a row; it is given up" });
        json!({
            "runtime": { "name": "studio", "version": "0.1.0", "state": "running", "pid": 4242, "guardian": 4243,
                         "state_dir": "/home/a/.local/state/greenroom", "started": "2026-11-21T08:58:00Z",
                         "epoch": 1, "containment": "cgroup", "containment_root": "/sys/fs/cgroup/x",
                         "history": { "state": { "state": "ok" }, "buffered": 0, "dropped": 0 } },
            "services": [service("chat", "ready", chat), service("image-generator", "failed", image),
                         service("embeddings", "stopped", json!({ "disposition": "down" }))],
        })
    }

    fn rendered(value: Value, width: Option<usize>) -> String {
        let now = "2026-11-21T09:03:07Z".parse().expect("a time");
        render(&serde_json::from_value(value).expect("a status"), now, width, false)
    }

    #[test]
    fn the_table_fits_eighty_columns() {
        let text = rendered(example(), Some(80));
        let expected = "\
studio 0.1.0 running for 5m07s, pid 4242, guardian 4243, containment cgroup
state dir /home/a/.local/state/greenroom

NAME             STATE     PID  READY  RESTARTS     RAM  PROCS   PORT
chat             ready    4711  3m07s        12  7.1GiB      3  10800
image-generator  failed      -      -         0       -      0      -
embeddings       stopped     -      -         0       -      0      -
image-generator: exit status 1 (bad_model) 5 times in a row; it is given up";
        assert_eq!(text, expected);
        assert!(rendered(example(), Some(40)).lines().skip(3).all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn open_jobs_have_a_line() {
        let mut status = example();
        status["jobs"] = json!([{ "job": "image", "state": "running", "count": 1 }]);
        assert!(rendered(status, Some(80)).ends_with("\n\njobs: 1 running (image)"));
    }

    #[test]
    fn what_needs_attention_stands_below_the_table_unless_the_table_says_it() {
        let mut status = example();
        let since = "2026-11-21T09:00:07Z";
        status["alerts"] = json!([
            { "alert": "runaway", "severity": "critical", "service": "chat", "message": "12 processes", "since": since },
            { "alert": "failed", "severity": "critical", "service": "image-generator", "message": "x", "since": since },
            { "alert": "quarantined", "severity": "critical", "service": "chat", "message": "x", "since": since },
            { "alert": "memory", "severity": "warning", "service": null, "message": "86 % in use", "since": since },
        ]);
        let text = rendered(status.clone(), Some(80));
        let expected = "\n\ncritical runaway of chat for 3m00s: 12 processes\nwarning memory for 3m00s: 86 % in use";
        assert!(text.ends_with(expected), "{text}");
        let now = "2026-11-21T09:03:07Z".parse().expect("a time");
        let painted = render(&serde_json::from_value(status).expect("a status"), now, Some(80), true);
        assert!(painted.contains("\n\u{1b}[31mcritical runaway of chat\u{1b}[0m for 3m00s"), "{painted:?}");
    }

    #[test]
    fn what_a_program_has_printed_does_nothing_to_the_terminal() {
        let mut status = example();
        let message = "its output says `\u{1b}[2Jx\u{202e}y\u{2066}z\r\n`";
        let since = "2026-11-21T09:00:07Z";
        status["alerts"] =
            json!([{ "alert": "nan", "severity": "critical", "service": "chat", "message": message, "since": since }]);
        for width in [Some(80), None] {
            let text = rendered(status.clone(), width);
            assert!(text.ends_with("\n\ncritical nan of chat for 3m00s: its output says ` [2Jx y z  `"), "{text:?}");
        }
    }

    #[test]
    fn what_the_layer_cannot_do_is_said() {
        let mut status = example();
        status["runtime"]["containment_limits"] =
            json!(["a process that may write to other cgroups can leave its own"]);
        let text = rendered(status, Some(60));
        assert!(text.contains("\ncgroup: a process that may write to other cgroups can leave\n  its own\n"), "{text}");
    }

    #[test]
    fn of_one_that_loads_it_says_how_far_it_has_come() {
        let mut status = example();
        status["services"][0]["load"] = json!({ "phase": "weights", "done": 1, "total": 4, "eta": 2.1 });
        assert!(rendered(status, Some(80)).contains("chat: weights 1/4, 2.1s left"));
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_terminal() {
        assert!(rendered(example(), None).contains("5 times in a row; it is given up"));
    }

    #[test]
    fn a_history_in_trouble_is_said() {
        let mut status = example();
        status["runtime"]["history"]["state"] = json!({ "state": "degraded", "reason": "the disk is full" });
        assert!(rendered(status, None).contains("history: the disk is full"));
    }
}

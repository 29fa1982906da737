//! `reload`: the running runtime reads its configuration anew and says what it did.

use greenroom_actors::job::JobName;
use serde_json::Value;

use super::{
    args::{Global, ReloadArgs},
    ask::{Asked, block_on, read},
    failure::Failure,
    follow::repeats_a_state,
    progress,
    table::{Cell, count, table},
    terminal::Terminal,
    wrap::wrap,
};
use crate::{
    config::KeyChange,
    runtime::{Action, ReloadReport, ServiceReload},
};

/// Asks for it; 0 when every service is as the configuration wants it, else 1.
pub fn run(args: &ReloadArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global).map_err(|failure| match failure {
        Failure::Unplaced(errors) => Failure::NotReloaded(errors),
        other => other,
    })?;
    let path = if args.no_wait { "/api/reload?wait=false" } else { "/api/reload" };
    let answer: Value = block_on(async {
        let mut events = if args.no_wait { None } else { progress::events(&asked.client, terminal).await };
        let told = |event: &Value| {
            event["type"] == "service.state" || (event["type"] == "alert.raised" && !repeats_a_state(event))
        };
        // That the configuration is bad is the answer itself.
        let told = |event: &Value| told(event) && event["alert"] != "bad_config";
        let work = async { asked.client.post(path).await.map_err(|e| asked.failure(e)) };
        progress::during(&mut events, terminal, told, work).await
    })?;
    let report: ReloadReport = read(path, answer.clone())?;
    if terminal.json {
        terminal.value(&answer)?;
    } else {
        terminal.say(render(&report, terminal))?;
    }
    Ok(i32::from(report.has_failed()))
}

/// What changed, what was done, what is left to do.
fn render(report: &ReloadReport, terminal: &Terminal) -> String {
    let mut lines = report.warnings.clone();
    if report.is_empty() {
        lines.push("nothing has changed".to_owned());
        return lines.join("\n");
    }
    if !report.changed.is_empty() {
        lines.extend(changes(report, terminal));
        lines.push(String::new());
    }
    if !report.services.is_empty() {
        let rows: Vec<_> = report.services.iter().map(service_row).collect();
        lines.extend(table(&["SERVICE", "NOW", "STATE", "PID", "BECAUSE OF"], &rows, terminal.width, terminal.color));
    }
    if !report.jobs.is_empty() {
        let names: Vec<&str> = report.jobs.iter().map(JobName::as_str).collect();
        lines.push(format!("kinds of job that are new, changed or gone: {}", names.join(", ")));
    }
    lines.push(format!("{} not touched", count(report.unchanged, "service", "services")));
    for service in &report.services {
        lines.extend(service.error.iter().map(|error| format!("error: {}: {error}", service.name)));
    }
    if !report.next_start.is_empty() {
        lines.push(format!("waits for the next start of the runtime: {}", report.next_start.join(", ")));
    }
    lines.join("\n")
}

/// The difference, as a table; where that is too wide, value below value, because two long ones often differ at their
/// ends alone.
fn changes(report: &ReloadReport, terminal: &Terminal) -> Vec<String> {
    let remark = |change: &KeyChange| match change {
        change if report.next_start.contains(&change.key) => "at the next start",
        _ => "",
    };
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let row = |change: &KeyChange| {
        [change.key.clone(), value(&change.from), value(&change.to), remark(change).to_owned()].map(Cell::text).to_vec()
    };
    let rows: Vec<_> = report.changed.iter().map(row).collect();
    let whole = |color| table(&["KEY", "FROM", "TO", ""], &rows, None, color);
    let fits = |width: usize| whole(false).iter().all(|line| line.chars().count() <= width);
    if terminal.width.is_none_or(fits) {
        return whole(terminal.color);
    }
    let below = |change: &KeyChange| {
        let remark = Some(remark(change)).filter(|remark| !remark.is_empty());
        let head = remark.map_or_else(|| change.key.clone(), |remark| format!("{} ({remark})", change.key));
        let values = [("from", &change.from), ("to", &change.to)];
        let values = values.map(|(what, of)| wrap(&format!("{what:<4}  {}", value(of)), terminal.width, 2, 8));
        std::iter::once(head).chain(values.into_iter().flatten()).collect::<Vec<_>>()
    };
    report.changed.iter().flat_map(below).collect()
}

fn service_row(service: &ServiceReload) -> Vec<Cell> {
    let action = match service.action {
        Action::Live => "goes on",
        Action::Restart if service.before.is_none() && service.pid.is_some() => "started",
        Action::Restart if service.before.is_none() => "noted",
        Action::Restart => "restarted",
        Action::Added => "added",
        Action::Removed => "removed",
    };
    let pid = match (service.before, service.pid) {
        (Some(before), Some(now)) if before != now => format!("{before} -> {now}"),
        (Some(before), None) if service.action != Action::Removed => format!("{before} -> none"),
        (Some(pid), _) | (None, Some(pid)) => pid.to_string(),
        (None, None) => String::new(),
    };
    let state = service.state.map(Cell::state).unwrap_or_default();
    let name = Cell::text(service.name.as_str());
    vec![name, Cell::text(action), state, Cell::text(pid), Cell::text(service.keys.join(", "))]
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{ids::Pid, state::ServiceState};

    use super::*;

    const PLAIN: Terminal = Terminal { json: false, color: false, width: None };

    fn service(name: &str, action: Action, before: Option<u32>, pid: Option<u32>, keys: &[&str]) -> ServiceReload {
        ServiceReload {
            name: name.parse().expect("a name"),
            action,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            before: before.map(Pid),
            pid: pid.map(Pid),
            state: pid.map(|_| ServiceState::Ready),
            error: None,
        }
    }

    #[test]
    fn what_changed_what_was_done_and_what_is_left_are_told() {
        let change = |key: &str| KeyChange { key: key.to_owned(), from: None, to: Some("1".to_owned()) };
        let failed = ServiceReload {
            error: Some("in state backoff: exit code 1".to_owned()),
            ..service("bad", Action::Restart, Some(8), None, &["command"])
        };
        let report = ReloadReport {
            changed: vec![change("runtime.ports"), change("x")],
            services: vec![
                service("gone", Action::Removed, Some(4), None, &[]),
                service("web", Action::Live, Some(7), Some(7), &["restart.max"]),
                service("api", Action::Restart, Some(5), Some(6), &["command", "env"]),
                failed,
            ],
            jobs: vec!["image".parse().expect("a name"), "sketch".parse().expect("a name")],
            unchanged: 1,
            next_start: vec!["runtime.ports".to_owned()],
            warnings: Vec::new(),
        };
        let expected = [
            "KEY            FROM  TO",
            "runtime.ports  -     1   at the next start",
            "x              -     1",
            "",
            "SERVICE  NOW        STATE  PID        BECAUSE OF",
            "gone     removed           4",
            "web      goes on    ready  7          restart.max",
            "api      restarted  ready  5 -> 6     command, env",
            "bad      restarted         8 -> none  command",
            "kinds of job that are new, changed or gone: image, sketch",
            "1 service not touched",
            "error: bad: in state backoff: exit code 1",
            "waits for the next start of the runtime: runtime.ports",
        ];
        assert_eq!(render(&report, &PLAIN).lines().collect::<Vec<_>>(), expected);
        assert!(report.has_failed());
    }

    #[test]
    fn long_values_stand_below_each_other_whole() {
        let words = |last: &str| Some(format!("[\"sh\", \"-c\", \"while :; do date; sleep {last}; done\"]"));
        let key = "service.worker.command".to_owned();
        let changed = vec![KeyChange { key, from: words("1"), to: words("2") }];
        let report = ReloadReport { changed, ..ReloadReport::default() };
        let narrow = Terminal { width: Some(60), ..PLAIN };
        let expected = [
            "service.worker.command",
            "  from  [\"sh\", \"-c\", \"while :; do date; sleep 1; done\"]",
            "  to    [\"sh\", \"-c\", \"while :; do date; sleep 2; done\"]",
        ];
        assert_eq!(render(&report, &narrow).lines().take(3).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nothing_is_one_line() {
        assert_eq!(render(&ReloadReport { unchanged: 3, ..ReloadReport::default() }, &PLAIN), "nothing has changed");
    }
}

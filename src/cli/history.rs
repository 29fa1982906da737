//! `history`: what the database remembers, read straight from its file, whether a runtime runs or not, or over `--url`.

use greenroom_actors::{
    history_store::messages::{EventRow, HistoryFilter, RunRow},
    os::clock,
    plain::plain,
    state::ExitReport,
    time::Timestamp,
};

use super::{
    args::{Global, HistoryCommand},
    failure::Failure,
    follow::event_line,
    job,
    past::Past,
    requests, swaps,
    table::{Cell, age, table},
    terminal::Terminal,
};
use crate::gateway::query::since;

/// Last lines of a failed run that are shown.
const LAST_WORDS: usize = 3;

/// Prints it, the newest at the end.
pub fn run(command: &HistoryCommand, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let now = clock::wall();
    let filter = match command {
        HistoryCommand::Runs(args)
        | HistoryCommand::Events(args)
        | HistoryCommand::Requests(args)
        | HistoryCommand::Jobs(args) => {
            filter(args.service.as_deref(), args.since.as_deref(), args.failed, args.limit, now)?
        }
        HistoryCommand::Swaps(args) => filter(args.service.as_deref(), args.since.as_deref(), false, args.limit, now)?,
    };
    let reader = Past::find(global)?;
    match command {
        HistoryCommand::Runs(_) => {
            let rows = reader.runs(&filter)?;
            if terminal.json {
                terminal.value(&rows)?;
            } else {
                terminal.say(render_runs(&rows, clock::wall(), terminal.width, terminal.color))?;
            }
        }
        HistoryCommand::Events(_) => {
            let rows = reader.events(&filter)?;
            if terminal.json {
                terminal.value(&rows)?;
            } else {
                terminal.say(render_events(&rows, terminal.color))?;
            }
        }
        HistoryCommand::Swaps(_) => {
            let rows = reader.swaps(&filter)?;
            if terminal.json {
                terminal.value(&rows)?;
            } else {
                terminal.say(swaps::render(&rows, terminal.width, terminal.color))?;
            }
        }
        HistoryCommand::Requests(_) => {
            let rows = reader.requests(&filter)?;
            if terminal.json {
                terminal.value(&rows)?;
            } else {
                terminal.say(requests::render(&rows, terminal.width, terminal.color))?;
            }
        }
        HistoryCommand::Jobs(_) => {
            let rows = reader.jobs(&filter)?;
            if terminal.json {
                terminal.value(&rows)?;
            } else {
                terminal.say(job::history(&rows, reader.is_live(), now, terminal.width, terminal.color))?;
            }
        }
    }
    Ok(0)
}

fn filter(
    service: Option<&str>,
    after: Option<&str>,
    failed: bool,
    limit: u32,
    now: Timestamp,
) -> Result<HistoryFilter, Failure> {
    let service = service.map(str::parse).transpose();
    Ok(HistoryFilter {
        service: service.map_err(|e| Failure::Option { option: "--service", why: format!("{e}") })?,
        since: after.map(|text| since(text, now)).transpose()?,
        failed,
        limit,
    })
}

/// Runs, oldest first, each failed one followed by its last words.
#[must_use]
pub fn render_runs(rows: &[RunRow], now: Timestamp, width: Option<usize>, color: bool) -> String {
    if rows.is_empty() {
        return "nothing recorded".to_owned();
    }
    let heads = ["STARTED", "SERVICE", "PID", "READY IN", "RAN", "END"];
    let cells: Vec<Vec<Cell>> = rows.iter().rev().map(|row| cells(row, now)).collect();
    let mut lines = Vec::new();
    for (n, line) in table(&heads, &cells, width, color).into_iter().enumerate() {
        lines.push(line);
        let row = n.checked_sub(1).and_then(|n| rows.iter().rev().nth(n));
        let failed = row.and_then(|row| row.exit.as_ref()).filter(|exit| exit.class.is_some());
        let words = failed.map(|exit| exit.stderr.as_slice()).unwrap_or_default();
        lines.extend(words.iter().rev().take(LAST_WORDS).rev().map(|word| format!("    | {}", plain(word))));
    }
    lines.join("\n")
}

fn cells(row: &RunRow, now: Timestamp) -> Vec<Cell> {
    let ready = row.ready.map_or_else(|| "-".to_owned(), |ready| age(ready.since(row.started)));
    let (ran, end) = match (&row.exit, row.ended) {
        (Some(exit), ended) => (age(ended.unwrap_or(exit.at).since(row.started)), how(exit, row.wanted)),
        (None, Some(ended)) => (age(ended.since(row.started)), "ended".to_owned()),
        (None, None) => {
            (age(now.since(row.started)), "no end recorded: running, or killed with its runtime".to_owned())
        }
    };
    let started = row.started.to_string();
    let started = started.split('.').next().unwrap_or_default().replace('T', " ");
    vec![
        Cell::text(started),
        Cell::text(row.service.as_str()),
        Cell::number(row.pid.to_string()),
        Cell::number(ready),
        Cell::number(ran),
        Cell::text(end),
    ]
}

/// How a run ended, in a few words.
#[must_use]
pub fn how(exit: &ExitReport, wanted: Option<bool>) -> String {
    let end = match (exit.signal, exit.code) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("status {code}"),
        (None, None) => "no status".to_owned(),
    };
    let class = exit.class.map(|class| format!(", {}", class.name())).unwrap_or_default();
    let asked = if wanted == Some(true) { ", as asked" } else { "" };
    format!("{end}{class}{asked}")
}

/// Events, oldest first.
fn render_events(rows: &[EventRow], color: bool) -> String {
    if rows.is_empty() {
        return "nothing recorded".to_owned();
    }
    rows.iter().rev().map(|row| event_line(&row.event, color)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(exit: serde_json::Value) -> RunRow {
        serde_json::from_value(json!({
            "run_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "service": "chat", "pid": 4711, "command": ["x"],
            "started": "2026-11-21T09:00:00Z", "ready": "2026-11-21T09:00:00.250Z",
            "ended": "2026-11-21T09:00:04Z", "exit": exit, "wanted": false,
        }))
        .expect("a run")
    }

    #[test]
    fn a_failed_run_shows_its_cause_and_its_last_words() {
        let failed = row(json!({ "code": 7, "signal": null, "class": "oom_gpu", "at": "2026-11-21T09:00:04Z",
                                 "stderr": ["a", "b", "c", "out of memory"] }));
        let text = render_runs(&[failed], Timestamp::from_micros(0), None, false);
        assert_eq!(
            text,
            "STARTED              SERVICE   PID  READY IN    RAN  END\n\
             2026-11-21 09:00:00  chat     4711     250ms  4.00s  status 7, oom_gpu\n    | b\n    | c\n    | out of memory"
        );
    }

    #[test]
    fn an_age_or_a_name_that_is_none_is_refused() {
        let filter = |service, since| filter(service, since, false, 20, Timestamp::from_micros(0));
        assert!(matches!(filter(Some("a/b"), None), Err(Failure::Option { .. })));
        assert!(matches!(filter(None, Some("soon")), Err(Failure::Since(_))));
        assert!(filter(Some("a"), Some("2h")).is_ok_and(|f| f.limit == 20));
    }
}

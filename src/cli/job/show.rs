//! Jobs as text: a table of some, all of one, how many there are. Pure.

use std::path::Path;

use greenroom_actors::{
    job::{JobError, JobState, JobView},
    plain::plain,
    time::Timestamp,
};
use serde_json::Value;

use crate::{
    cli::{
        seen::JobCount,
        table::{Cell, age, cut, table},
    },
    runtime::told::size,
};

const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const RED: u8 = 31;
const GREY: u8 = 90;
/// Names of files in a row; all of them stand where one job is shown.
const MOST_NAMES: usize = 4;
/// What is to be said of a job that ran when its runtime was killed: `greenroom_actors::job_queue::recover` decides it.
const INTERRUPTED: &str = "the runtime was killed while it ran; the next start tries it again, or has it failed";
/// Columns of a parameter that are shown: a prompt may be a page.
const LONGEST_VALUE: usize = 200;

/// Jobs in their order.
#[must_use]
pub fn list(jobs: &[JobView], now: Timestamp, width: Option<usize>, color: bool) -> String {
    if jobs.is_empty() {
        return "no job is open, and none has ended lately; older ones: greenroom history jobs".to_owned();
    }
    let row = |job: &JobView| {
        let since = Cell::number(age(now.since(job.submitted)));
        [vec![Cell::text(job.id.to_string()), Cell::text(job.job.as_str()), state(job.state), since], rest(job, now)]
            .concat()
    };
    let rows: Vec<Vec<Cell>> = jobs.iter().map(row).collect();
    table(&["ID", "JOB", "STATE", "AGE", "RAN", "REMARK"], &rows, width, color).join("\n")
}

/// Jobs of the history, oldest first; `jobs` has the newest first. Where no runtime `is_live`, what a killed one has left open
/// is told as the next one will take it.
#[must_use]
pub fn history(jobs: &[JobView], is_live: bool, now: Timestamp, width: Option<usize>, color: bool) -> String {
    if jobs.is_empty() {
        return "nothing recorded".to_owned();
    }
    let row = |job: &JobView| {
        let (at, id) = (Cell::text(moment(job.submitted)), Cell::text(job.id.to_string()));
        let told = if is_live { told(job, now) } else { left(job, now) };
        [vec![at, id, Cell::text(job.job.as_str())], told].concat()
    };
    let rows: Vec<Vec<Cell>> = jobs.iter().rev().map(row).collect();
    table(&["SUBMITTED", "ID", "JOB", "STATE", "RAN", "REMARK"], &rows, width, color).join("\n")
}

fn told(job: &JobView, now: Timestamp) -> Vec<Cell> {
    [vec![state(job.state)], rest(job, now)].concat()
}

/// The same of one that nobody works on any more.
fn left(job: &JobView, now: Timestamp) -> Vec<Cell> {
    let state = match (job.outcome, job.state) {
        (None, JobState::Running) => {
            let word = Cell { color: Some(YELLOW), ..Cell::text("interrupted") };
            return vec![word, Cell::number("-"), Cell::text(INTERRUPTED)];
        }
        // What it waited for is of no account now.
        (None, _) => JobState::Queued,
        (Some(outcome), _) => outcome.state(),
    };
    told(&JobView { state, reason: job.reason.clone().filter(|_| state == job.state), ..job.clone() }, now)
}

/// How long it ran, and what there is to say of it.
fn rest(job: &JobView, now: Timestamp) -> Vec<Cell> {
    let is_running = job.outcome.is_none() && job.state == JobState::Running;
    let until = job.finished.or(is_running.then_some(now));
    let ran = job.started.zip(until).map(|(from, to)| age(to.since(from)));
    vec![Cell::number(ran.unwrap_or_else(|| "-".to_owned())), Cell::text(remark(job))]
}

fn remark(job: &JobView) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let (JobState::Running, Some(step)) = (job.state, &job.progress) {
        parts.push(step.to_string());
    }
    if job.attempt > 1 {
        parts.push(format!("attempt {}", job.attempt));
    }
    match (&job.error, &job.reason) {
        (Some(error), _) => parts.push(caused(error)),
        (None, Some(reason)) => parts.push(reason.clone()),
        (None, None) => {}
    }
    if let (None, Some(_), Some(result)) = (&job.error, job.outcome, &job.result) {
        parts.extend(result.files.iter().take(MOST_NAMES).cloned());
        let more = result.files.len().saturating_sub(MOST_NAMES);
        parts.extend((more > 0).then(|| format!("and {more} more")));
    }
    parts.join(", ")
}

/// What happened, with the class of it.
fn caused(error: &JobError) -> String {
    match error.class {
        Some(class) => format!("{}: {}", class.name(), error.message),
        None => error.message.clone(),
    }
}

fn state(state: JobState) -> Cell {
    let color = match state {
        JobState::Queued | JobState::Cancelled => GREY,
        JobState::Waiting | JobState::Running | JobState::Cleaning => YELLOW,
        JobState::Succeeded => GREEN,
        JobState::Failed => RED,
    };
    Cell { color: Some(color), ..Cell::text(state.name()) }
}

/// A time as people read it, in UTC.
fn moment(at: Timestamp) -> String {
    at.to_string().split('.').next().unwrap_or_default().replace('T', " ")
}

/// All of one job. `folder` is where its files lie, if that is here.
#[must_use]
pub fn one(job: &JobView, folder: Option<&Path>, width: Option<usize>, color: bool) -> String {
    let head =
        vec![vec![Cell::text("job"), Cell::text(job.id.to_string()), Cell::text(job.job.as_str()), state(job.state)]];
    // The first line would be that of the heads.
    let mut lines: Vec<String> = table(&["", "", "", ""], &head, width, color).into_iter().skip(1).collect();
    let mut say = |text: String| lines.push(format!("  {}", plain(&text)));
    let times = [("submitted", Some(job.submitted)), ("started", job.started), ("finished", job.finished)];
    for (what, at) in times.into_iter().filter_map(|(what, at)| Some((what, at?))) {
        say(format!("{what} {}", moment(at)));
    }
    let attempts = if job.attempt == 1 { "1 attempt".to_owned() } else { format!("{} attempts", job.attempt) };
    say(format!("{attempts}, priority {}", job.priority));
    if let Some(step) = job.progress.filter(|_| job.outcome.is_none()) {
        say(format!("progress {step}"));
    }
    if let Some(reason) = job.reason.as_deref().map(|reason| without(reason, job)).filter(|reason| !reason.is_empty()) {
        say(reason.to_owned());
    }
    for (name, value) in &job.params {
        say(format!("{name} = {}", shown(value)));
    }
    for (at, earlier) in job.attempts.iter().enumerate() {
        let next = job.attempts.get(at + 1).map(|later| &later.error).or(job.error.as_ref()).map(caused);
        let cause = Some(caused(&earlier.error)).filter(|cause| next.as_ref() != Some(cause));
        let cause = cause.map_or_else(|| ", as the next one".to_owned(), |cause| format!(": {cause}"));
        say(format!("attempt {} failed at {}{cause}", earlier.attempt, moment(earlier.at)));
    }
    if let Some(result) = &job.result {
        result.files.iter().for_each(|name| say(place(name, folder)));
        result.json.iter().for_each(|json| say(shown(json)));
    }
    lines.extend(failure(job).into_iter().map(|line| format!("  {line}")));
    lines.join("\n")
}

/// The reason for its state without what is said of its failures; empty where nothing else is said.
fn without<'a>(reason: &'a str, job: &JobView) -> &'a str {
    let failures = job.attempts.iter().map(|earlier| &earlier.error).chain(&job.error);
    let rest = failures.filter(|error| !error.message.is_empty()).find_map(|e| reason.strip_suffix(&e.message));
    rest.map_or(reason, |rest| rest.trim_end_matches([':', ' ']))
}

/// Why it has made nothing, with the last lines of its process.
#[must_use]
pub fn failure(job: &JobView) -> Vec<String> {
    let Some(error) = &job.error else { return Vec::new() };
    let words = error.stderr.iter().map(|line| format!("| {}", plain(line)));
    std::iter::once(plain(&caused(error))).chain(words).collect()
}

/// Where a file of a job lies; its name alone where that is not here.
#[must_use]
pub fn place(name: &str, folder: Option<&Path>) -> String {
    folder.map_or_else(|| name.to_owned(), |folder| folder.join(name).display().to_string())
}

fn shown(value: &Value) -> String {
    let text = match (value, value["file"].as_str(), value["size"].as_u64()) {
        (Value::String(text), ..) => text.clone(),
        (_, Some(file), Some(bytes)) => format!("{file} ({})", size(bytes)),
        (other, ..) => other.to_string(),
    };
    cut(&text, LONGEST_VALUE)
}

/// `jobs: 1 running, 3 queued (image, tts)`; nothing where none is open.
#[must_use]
pub fn counted(counts: &[JobCount]) -> Option<String> {
    let of = |state: &JobState| {
        let count: u64 = counts.iter().filter(|count| count.state == *state).map(|count| count.count).sum();
        (count > 0).then(|| format!("{count} {}", state.name()))
    };
    let order = [JobState::Running, JobState::Cleaning, JobState::Waiting, JobState::Queued];
    let parts: Vec<String> = order.iter().filter_map(of).collect();
    let mut kinds: Vec<&str> = counts.iter().map(|count| count.job.as_str()).collect();
    kinds.dedup();
    (!parts.is_empty()).then(|| format!("jobs: {} ({})", parts.join(", "), kinds.join(", ")))
}

#[cfg(test)]
pub(super) mod tests {
    use greenroom_actors::job::FailedAttempt;
    use serde_json::json;

    use super::*;

    /// A job in this state; one that has ended has its outcome.
    pub fn job(state: &str) -> JobView {
        let outcome = ["succeeded", "failed", "cancelled"].contains(&state).then_some(state);
        let view = json!({
            "id": "01M7YVGCFCM54YTD4HWH511JAP", "job": "image", "state": state, "outcome": outcome, "reason": null,
            "params": { "prompt": "a heron", "steps": 4, "init": { "file": "a.png", "size": 2048 } }, "priority": 0,
            "attempt": 1, "progress": null, "submitted": "2026-11-21T09:00:00Z", "started": "2026-11-21T09:00:01Z",
            "finished": outcome.map(|_| "2026-11-21T09:00:04Z"), "error": null, "result": null,
        });
        serde_json::from_value(view).expect("a job")
    }

    fn failed() -> JobView {
        let mut view = job("failed");
        let mut error = JobError::new(None, "it ended with status 7");
        error.stderr = vec!["out of memory".to_owned()];
        view.error = Some(error);
        view
    }

    fn succeeded() -> JobView {
        let mut view = job("succeeded");
        view.result = serde_json::from_value(json!({ "files": ["out.png"], "json": { "seed": 7 } })).ok();
        view
    }

    #[test]
    fn each_job_is_a_row_with_what_there_is_to_say() {
        let now = "2026-11-21T09:02:00Z".parse().expect("a time");
        let mut running = job("running");
        running.progress = serde_json::from_value(json!({ "done": 3, "total": 4, "ratio": 0.75, "eta": null })).ok();
        running.attempt = 2;
        let mut queued = job("queued");
        queued.started = None;
        let expected = "\
ID                          JOB    STATE        AGE    RAN  REMARK
01M7YVGCFCM54YTD4HWH511JAP  image  running    2m00s  1m59s  3/4, attempt 2
01M7YVGCFCM54YTD4HWH511JAP  image  queued     2m00s      -
01M7YVGCFCM54YTD4HWH511JAP  image  failed     2m00s  3.00s  it ended with status 7
01M7YVGCFCM54YTD4HWH511JAP  image  succeeded  2m00s  3.00s  out.png";
        assert_eq!(list(&[running, queued, failed(), succeeded()], now, None, false), expected);
        let past = history(&[failed(), succeeded()], true, now, None, false);
        let lines: Vec<&str> = past.lines().collect();
        assert!(lines[1].starts_with("2026-11-21 09:00:00  01M7YVGCFCM54YTD4HWH511JAP  image  succeeded"), "{past}");
        assert!(lines[2].ends_with("it ended with status 7"), "the newest at the end: {past}");
        assert_eq!(history(&[], true, now, None, false), "nothing recorded");
    }

    #[test]
    fn what_a_killed_runtime_has_left_is_told_as_the_next_one_takes_it() {
        let now = "2026-11-21T09:02:00Z".parse().expect("a time");
        let mut waiting = job("waiting");
        waiting.reason = Some("waits for chat to leave".to_owned());
        waiting.started = None;
        let cleaning = JobView { state: JobState::Cleaning, ..succeeded() };
        // From the state on, after the time, the id and the kind.
        let words = |line: &str| line.split_whitespace().skip(4).collect::<Vec<_>>().join(" ");
        let told = |is_live| {
            let all = [cleaning.clone(), waiting.clone(), job("running")];
            history(&all, is_live, now, None, false).lines().skip(1).map(words).collect::<Vec<_>>()
        };
        let interrupted = format!("interrupted - {INTERRUPTED}");
        assert_eq!(told(false), [&interrupted, "queued -", "succeeded 3.00s out.png"]);
        let live = told(true);
        assert!(live[0].starts_with("running") && live[0].contains("1m59s"), "{live:?}");
        assert!(live[1].starts_with("waiting") && live[1].ends_with("waits for chat to leave"), "{live:?}");
        assert!(live[2].starts_with("cleaning"), "{live:?}");
    }

    #[test]
    fn all_of_a_job_is_told() {
        let expected = "\
job  01M7YVGCFCM54YTD4HWH511JAP  image  succeeded
  submitted 2026-11-21 09:00:00
  started 2026-11-21 09:00:01
  finished 2026-11-21 09:00:04
  1 attempt, priority 0
  prompt = a heron
  steps = 4
  init = a.png (2KiB)
  /s/out.png
  {\"seed\":7}";
        assert_eq!(one(&succeeded(), Some(Path::new("/s")), None, false), expected);
        let mut failed = failed();
        failed.reason = failed.error.as_ref().map(|error| error.message.clone());
        let text = one(&failed, None, None, false);
        assert_eq!(text.matches("status 7").count(), 1, "what happened is said once: {text}");
        assert!(text.ends_with("  it ended with status 7\n  | out of memory"), "{text}");
    }

    #[test]
    fn what_programs_and_clients_say_does_nothing_to_the_terminal() {
        let mut failed = failed();
        let error = failed.error.as_mut().expect("it has failed");
        error.message = "ended: `\u{1b}[2J`".to_owned();
        error.stderr = vec!["\u{1b}]0;title\u{7}red".to_owned()];
        failed.reason = Some("\u{1b}[31m".to_owned());
        failed.params.insert("prompt".to_owned(), json!("a\u{1b}[2Jb\n"));
        failed.attempts = serde_json::from_value(
            json!([{ "attempt": 1, "at": "2026-11-21T09:00:02Z", "error": { "message": "\u{9b}2J", "stderr": [] } }]),
        )
        .expect("an attempt");
        failed.result = serde_json::from_value(json!({ "files": ["a\u{1b}[31m.png"], "json": null })).ok();
        let text = one(&failed, None, None, false);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("prompt = a [2Jb") && text.contains("|  ]0;title red"), "{text:?}");
        assert!(!crate::cli::job::bar::line(&failed).contains('\u{1b}'));
    }

    #[test]
    fn a_row_names_a_few_files_and_counts_the_others() {
        let mut many = succeeded();
        let names: Vec<String> = (0..10_000).map(|n| format!("f{n}")).collect();
        many.result = serde_json::from_value(json!({ "files": names, "json": null })).ok();
        let text = list(&[many.clone()], many.submitted, None, false);
        assert!(text.ends_with("  f0, f1, f2, f3, and 9996 more"), "{text}");
    }

    #[test]
    fn what_failed_in_the_same_way_each_time_is_said_once() {
        let mut job = failed();
        let at = "2026-11-21T09:00:02Z".parse().expect("a time");
        let attempt = |attempt, message| FailedAttempt { attempt, at, error: JobError::new(None, message) };
        let (same, other) = ("it ended with status 7", "it ended with status 8");
        job.attempts = vec![attempt(1, other), attempt(2, same)];
        job.reason = Some(same.to_owned());
        let expected = "\
  attempt 1 failed at 2026-11-21 09:00:02: it ended with status 8
  attempt 2 failed at 2026-11-21 09:00:02, as the next one
  it ended with status 7
  | out of memory";
        let text = one(&job, None, None, false);
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(text.matches(same).count(), 1, "{text}");
        // It is about to be tried again.
        (job.error, job.reason) = (None, Some(format!("attempt 2 failed and is made again: {same}")));
        let text = one(&job, None, None, false);
        assert_eq!(text.matches(same).count(), 1, "{text}");
        assert!(text.contains("\n  attempt 2 failed and is made again\n"), "{text}");
    }

    #[test]
    fn open_jobs_are_counted_in_one_line() {
        let count = |job: &str, state, count| JobCount { job: job.to_owned(), state, count };
        let counts = [
            count("image", JobState::Queued, 3),
            count("image", JobState::Running, 1),
            count("tts", JobState::Queued, 1),
        ];
        assert_eq!(counted(&counts).as_deref(), Some("jobs: 1 running, 4 queued (image, tts)"));
        assert_eq!(counted(&[]), None);
    }
}

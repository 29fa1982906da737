//! 10,000 jobs in line: `cargo bench --bench jobs [-- COUNT]`. Prints how long each submission took until it was on disk
//! and answered, what the line costs in memory and on disk, how long a restart with it takes, and whether it is in order.

#[path = "../common/mod.rs"]
mod common;

use std::{fs, time::Duration};

use common::{Greenroom, stopwatch, timed, wait_for};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    // `cargo bench` adds `--bench`.
    let count = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok()).unwrap_or(10_000);
    let greenroom = Greenroom::running(|g| {
        let command = g.words(&["/bin/sleep", "3600", "${param.n}"]);
        format!(
            "[job.wait]\ncommand = {command}\nparams.n = {{ type = \"int\" }}\ngpu = \"none\"\nram = \"1MiB\"\nretries = 0\n"
        )
    });
    // It keeps the only slot, so that all others are in line.
    let first = greenroom.submit("wait", &json!({ "n": 0 }));
    greenroom.wait_job(&first, &["running"]);
    let (rss, disk) = (held(greenroom.pid()), history(&greenroom));

    let began = stopwatch();
    let mut times = Vec::with_capacity(count);
    let ids: Vec<String> = (0..count)
        .map(|n| {
            let (id, took) = timed(|| greenroom.submit("wait", &json!({ "n": n })));
            times.push(took);
            id
        })
        .collect();
    let all = began.elapsed();
    let grown = held(greenroom.pid()).saturating_sub(rss);
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{count} submissions, one after the other, {:.0} a second", count as f64 / all.as_secs_f64());
    row(
        "a submission, from the request to the answer",
        &format!("{:.2} / {:.2} / {:.2} ms", at(0.5), at(0.99), at(1.0)),
        "p99 < 5 ms",
    );
    let late = times.iter().filter(|took| took.as_millis() >= 5).count();
    row("of them, 5 ms and more", &late.to_string(), "0");
    row("memory for each job in line", &format!("{:.2} KiB", grown as f64 / 1024.0 / count as f64), "");
    let on_disk = history(&greenroom).saturating_sub(disk);
    row("on disk for each", &format!("{:.2} KiB", on_disk as f64 / 1024.0 / count as f64), "");
    let (listed, took) = timed(|| in_line(&greenroom, count));
    row("a list of all of them", &format!("{:.1} ms", took.as_secs_f64() * 1e3), "");
    row("in the order of their submission", if listed == ids { "yes" } else { "NO" }, "yes");

    greenroom.kill();
    let (_, took) = timed(|| greenroom.start());
    row("a restart after SIGKILL, until it answers", &format!("{:.0} ms", took.as_secs_f64() * 1e3), "");
    // The one that ran when the runtime was killed has failed, so the first of the line has its slot.
    wait_for("they are all there again", PATIENCE, || in_line(&greenroom, count).len() + 1 >= count);
    let again = in_line(&greenroom, count + 1);
    let kept = ids.iter().filter(|id| !again.contains(id)).count() <= 1 && again.iter().is_sorted();
    row("all there again, in order", if kept { "yes" } else { "NO" }, "yes");
}

fn row(what: &str, figure: &str, promised: &str) {
    println!("  {what:<50} {figure:>26}   {promised}");
}

/// Ids of the jobs in line, in its order.
fn in_line(greenroom: &Greenroom, count: usize) -> Vec<String> {
    let answer = greenroom.api().get(&format!("/api/jobs?state=queued&limit={}", count + 1)).expect("an answer").json();
    let id = |job: &Value| job["id"].as_str().map(str::to_owned);
    answer.as_array().into_iter().flatten().filter_map(id).collect()
}

/// Memory of the runtime that nobody can take from it, in bytes.
fn held(pid: i32) -> u64 {
    common::taken(pid)
}

/// Bytes of the history's files.
fn history(greenroom: &Greenroom) -> u64 {
    let entries = fs::read_dir(greenroom.state_dir()).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("history.db"));
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

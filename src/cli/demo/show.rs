//! The whole demo: start, a request, a killed engine, a killed runtime, a sweep, an ordered stop.

use std::time::Duration;

use greenroom_actors::{
    history_store::{
        HistoryReader,
        messages::{HistoryFilter, RunRow},
    },
    os::{clock, proc::ProcessIdentity},
    state::ServiceState,
};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{
    super::{
        client::post_json,
        failure::Failure,
        history::render_runs,
        table::{age, count},
    },
    census::signal,
    jobs,
    stage::{BOUND, Stage, must},
};

/// How long a killed runtime's processes may take to be gone: the promise.
pub const GONE: Duration = Duration::from_secs(1);

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<(), Failure> {
    stage
        .terminal
        .say("greenroom demo: real processes of the built-in stand-in engine; no GPU, no network, no model")?;
    start(stage).await?;
    chat(stage).await?;
    jobs::make_room(stage).await?;
    kill_an_engine(stage).await?;
    kill_the_runtime(stage).await?;
    start_again(stage).await?;
    stop_in_order(stage).await?;
    stage.terminal.say(format!(
        "\nAll of it held, in {}. Next: `greenroom init`, `greenroom run`; one incident alone: `greenroom demo \
         --incident I1` (to I7).",
        age(stage.elapsed())
    ))
}

async fn start(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("Two chat services on a card of 8 GB, and a wrapper whose workers hide and respawn: started")?;
    let (status, took) = stage.start().await?;
    let processes = stage.census().len();
    stage.say(format!(
        "{} and {} ready in {}, held by {}",
        count(status.services.iter().filter(|s| s.state == ServiceState::Ready).count(), "service", "services"),
        count(processes, "process", "processes"),
        age(took),
        status.runtime.containment
    ))?;
    stage.table(&status)
}

async fn chat(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("A chat request to `poet`")?;
    let status = stage.status().await?;
    let port = stage.service(&status, "poet")?.port();
    let port = port.ok_or_else(|| Failure::Demo("`poet` has no port".to_owned()))?;
    let began = clock::now();
    let body = json!({ "model": "poet", "messages": [{ "role": "user", "content": "A line about herons." }] });
    let answer = post_json(port, "/v1/chat/completions", &body).await?;
    let took = clock::now().saturating_duration_since(began);
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().trim();
    must(!text.is_empty(), "the answer to the chat request is empty")?;
    stage.say(format!("answered in {}: {text}", age(took)))
}

async fn kill_an_engine(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("`poet` is killed with SIGKILL")?;
    let status = stage.status().await?;
    let before = stage.service(&status, "poet")?.clone();
    let pid = before.pid.ok_or_else(|| Failure::Demo("`poet` has no process".to_owned()))?;
    let began = clock::now();
    signal(pid, Signal::SIGKILL);
    let is_back = |service: &super::super::seen::Service| {
        service.name == "poet" && service.state == ServiceState::Ready && service.run_id != before.run_id
    };
    let status = stage.until("`poet` is ready again", |s| s.services.iter().any(is_back)).await?;
    let took = clock::now().saturating_duration_since(began);
    let after = stage.service(&status, "poet")?;
    let new_pid = after.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    stage.say(format!("ready again after {} (it needs 300ms to load), pid {pid} -> {new_pid}", age(took)))?;
    let failed = HistoryFilter { service: "poet".parse().ok(), failed: true, limit: 1, ..HistoryFilter::default() };
    let runs = recorded(stage, &failed).await?;
    must(runs.iter().any(|run| run.pid == pid), "the history does not know the killed run")?;
    stage.say("the history knows why:")?;
    stage.say(render_runs(&runs, clock::wall(), stage.terminal.width, stage.terminal.color))
}

/// Rows that match, as soon as there are any: the history writes in groups.
async fn recorded(stage: &Stage, filter: &HistoryFilter) -> Result<Vec<RunRow>, Failure> {
    let end = clock::now() + BOUND;
    loop {
        let rows = HistoryReader::open(stage.history())?.runs(filter)?;
        if !rows.is_empty() || clock::now() > end {
            return Ok(rows);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn kill_the_runtime(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("The runtime itself is killed with SIGKILL")?;
    let status = stage.status().await?;
    let guardian = status.runtime.guardian.and_then(|pid| ProcessIdentity::of(pid).ok());
    let before = stage.census();
    let began = clock::now();
    stage.kill_runtime()?;
    let gone = stage.watch(GONE, || before.alive().len() == 0).await;
    let took = clock::now().saturating_duration_since(began);
    let left = stage.census().len();
    if status.runtime.containment != "cgroup" {
        return stage.say(format!(
            "this machine gives no cgroup (`greenroom doctor` says why), so {left} of {} are left until the next start",
            before.len()
        ));
    }
    must(gone.is_some(), format!("{left} processes are left after {GONE:?}"))?;
    must(left == 0, format!("{left} processes have been started since"))?;
    stage.say(format!("{} before, 0 after {}", count(before.len(), "process", "processes"), age(took)))?;
    let Some(guardian) = guardian else { return Ok(()) };
    let ended = stage.watch(BOUND, || !guardian.is_alive()).await;
    must(ended.is_some(), "the guardian did not end")?;
    stage.say(format!("its guardian (pid {}) saw to that and has ended as well", guardian.pid))
}

async fn start_again(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("Started again: what an earlier run left is swept before anything starts")?;
    let (status, took) = stage.start().await?;
    let processes = stage.census().len();
    let held: usize = status.services.iter().map(|s| s.containment.processes).sum();
    must(processes == held, format!("{processes} processes live and {held} are held: there are second copies"))?;
    stage.say(format!("one copy of each again, {} ready in {}", count(processes, "process", "processes"), age(took)))
}

/// Also the end of each incident.
pub async fn stop_in_order(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("An ordered stop, and the audit")?;
    let (report, code, _) = stage.shutdown().await?;
    stage.say(report.to_string())?;
    let left = stage.census().len();
    must(left == 0, format!("{left} processes are left after the stop"))?;
    must(code == 0, format!("the runtime ended with exit code {code}"))?;
    stage.say("exit code 0; counted in /proc: 0 processes left")
}

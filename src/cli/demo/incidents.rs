//! The incidents that Greenroom exists to end, replayed one at a time.

use greenroom_actors::{
    os::{clock, state_dir::SOCKET},
    state::ServiceState,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    super::{
        failure::Failure,
        seen::Status,
        table::{age, count},
    },
    census::{Census, signal},
    show::{GONE, stop_in_order},
    stage::{BOUND, Stage, must},
    watch,
};

/// Starts and stops of I4: some seconds' worth.
const ROUNDS: usize = 10;

/// I1: a crash leaves processes, and the next start does not see them.
pub async fn crash_leaves_processes(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("I1: a crash that takes the runtime and its guardian in the same instant")?;
    let (status, took) = stage.start().await?;
    let before = stage.census();
    stage.say(format!("{} ready in {}", count(before.len(), "process", "processes"), age(took)))?;
    // A stopped runtime cannot replace its guardian before it is killed itself.
    signal(stage.runtime_pid()?, Signal::SIGSTOP);
    if let Some(guardian) = status.runtime.guardian {
        signal(guardian, Signal::SIGKILL);
    }
    stage.kill_runtime()?;
    let left = before.alive();
    must(left.len() > 0, "nothing is left to be swept: the incident did not happen")?;
    stage.say(format!(
        "both killed: {} left, holding their memory and ports",
        count(left.len(), "process", "processes")
    ))?;

    stage.scene("The next start")?;
    let (status, took) = stage.start().await?;
    let swept = swept(stage).await?;
    stage.say(format!("{swept}; all services ready {} after the command", age(took)))?;
    must(left.alive().len() == 0, format!("{} of the old processes still live", left.alive().len()))?;
    one_copy_each(stage, &status)?;
    stage.say("none of the old ones lives, and there is one copy of each service")?;
    stop_in_order(stage).await
}

/// What the start said about its sweep.
async fn swept(stage: &Stage) -> Result<String, Failure> {
    let events: Vec<Value> = stage.client().get("/api/history/events?limit=1000").await?;
    let starting = |row: &&Value| row["event"]["type"] == "runtime.state" && row["event"]["state"] == "starting";
    let newest = events.iter().find(starting).and_then(|row| row["event"]["reason"].as_str());
    // Its first line counts, the others list.
    Ok(newest.and_then(|text| text.lines().next()).unwrap_or("the sweep ended them").to_owned())
}

/// I4: a closed program stays, over and over.
pub async fn stops_leave_nothing(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene(&format!("I4: {ROUNDS} starts and ordered stops in a row"))?;
    for round in 1..=ROUNDS {
        let (_, up) = stage.start().await?;
        let processes = stage.census().len();
        let (report, code, down) = stage.shutdown().await?;
        let left = stage.census().len();
        must(code == 0 && left == 0, format!("round {round}: exit code {code}, {left} processes left\n{report}"))?;
        let socket = stage.folder().join(SOCKET);
        must(!socket.exists(), format!("round {round}: the socket is left"))?;
        let processes = count(processes, "process", "processes");
        stage.say(format!("{round:2}: {processes} up in {:>6}, stopped in {:>6}, 0 left", age(up), age(down)))?;
    }
    Ok(())
}

/// I5: a wrapper respawns the workers that somebody kills.
pub async fn wrapper_respawns(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("I5: a wrapper that respawns its workers, each in a session of its own, deaf to every signal")?;
    let (status, _) = stage.start().await?;
    stage.table(&status)?;
    let webui = stage.service(&status, "webui")?;
    let (members, run) = (webui.containment.processes, webui.run_id);
    let wrapper = webui.pid.ok_or_else(|| Failure::Demo("`webui` has no process".to_owned()))?;

    stage.scene("Somebody kills the workers by hand")?;
    let others: Vec<_> = status.services.iter().filter_map(|s| s.pid).collect();
    let all = stage.census();
    let workers = all.pids().into_iter().filter(|pid| !others.contains(pid)).count();
    for pid in all.pids().into_iter().filter(|pid| !others.contains(pid)) {
        signal(pid, Signal::SIGKILL);
    }
    let back = stage.watch(BOUND, || all_back(&stage.census(), &all)).await;
    let back = back.ok_or_else(|| Failure::Demo("the wrapper did not respawn its workers".to_owned()))?;
    stage.say(format!("{} killed; after {} as many are back", count(workers, "worker", "workers"), age(back)))?;

    stage.scene("The wrapper alone is killed")?;
    let old = stage.census();
    let began = clock::now();
    signal(wrapper, Signal::SIGKILL);
    let again = |s: &super::super::seen::Service| {
        s.name == "webui" && s.state == ServiceState::Ready && s.run_id != run && s.containment.processes >= members
    };
    let status = stage.until("`webui` is ready again", |s| s.services.iter().any(again)).await?;
    let took = clock::now().saturating_duration_since(began);
    one_copy_each(stage, &status)?;
    let survivors: Vec<_> = old.alive().pids().into_iter().filter(|pid| !others.contains(pid)).collect();
    must(survivors.is_empty(), format!("old workers still live: {survivors:?}"))?;
    stage.say(format!(
        "its workers were ended before the new wrapper started; ready again with one copy of each after {}",
        age(took)
    ))?;

    stage.scene("`greenroom stop webui`")?;
    let before = stage.census().len();
    let began = clock::now();
    stage.client().post::<Value>("/api/services/webui/stop").await?;
    let took = clock::now().saturating_duration_since(began);
    let left = stage.census().len();
    let rest = status.services.iter().filter(|s| s.pid.is_some()).count() - 1;
    must(left == rest, format!("{left} processes live where {rest} should"))?;
    // A worker that was respawned in the last moment would show up now.
    let later = stage.watch(GONE / 4, || stage.census().len() != rest).await;
    must(later.is_none(), "a worker came back after the stop")?;
    stage.say(format!("{} ended in {} (300ms of it their grace); none came back", before - left, age(took)))?;

    watch::runaway(stage).await?;
    stop_in_order(stage).await
}

/// Whether there are as many as before, and others.
fn all_back(now: &Census, before: &Census) -> bool {
    now.len() >= before.len()
}

/// Whether exactly those live that the runtime holds.
fn one_copy_each(stage: &Stage, status: &Status) -> Result<(), Failure> {
    let held: usize = status.services.iter().map(|s| s.containment.processes).sum();
    let living = stage.census().len();
    must(living == held, format!("{living} processes live and {held} are held: there are second copies"))
}

//! The Watchdog on the stage: I2, an engine that one not-a-number poisons; I3, engines that grow; and the half of I5 that
//! counts, a service that starts processes without end.

use std::{fs, time::Duration};

use greenroom_actors::{
    job::{JobState, JobView},
    os::clock,
    state::ServiceState,
};
use serde_json::{Value, json};

use super::{
    super::{
        client::post_json,
        failure::Failure,
        seen::{Service, Status},
        table::{age, count, cut},
    },
    jobs::{ends, submit, submit_all, told, until},
    memory::is_back,
    show::stop_in_order,
    stage::{BOUND, Stage, must},
};
use crate::runtime::told::size;

/// Images of I2 after the poisonous one.
const IMAGES: usize = 10;
/// Processes that the runaway of I5 starts.
const FORKS: usize = 20;
/// From so many on, the runaway was not ended.
const TOO_MANY: usize = 3;
/// Requests of I3 to the service that keeps something of each.
const REQUESTS: usize = 6;
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Width of an alert's line where the terminal has none.
const WIDTH: usize = 160;

/// I2: one not-a-number poisons an engine until it is another process.
pub async fn one_nan_poisons(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("I2: an image engine that one not-a-number poisons: from then on every image fails")?;
    stage.start().await?;
    let heron = image(stage, "a heron").await?;
    must(heron.state == JobState::Succeeded, format!("the first image failed: {:?}", heron.error))?;
    stage.say("an image succeeds")?;

    stage.scene("An image that yields not-a-number each time it is made")?;
    let began = clock::now();
    let poison = image(stage, "[poison]").await?;
    let took = age(clock::now().saturating_duration_since(began));
    let error = poison.error.as_ref().ok_or_else(|| Failure::Demo("the poisonous image succeeded".to_owned()))?;
    let restarts = restarts(stage, "webui").await?;
    must(poison.attempt == 2 && restarts == 1, format!("{} attempts, {restarts} restarts", poison.attempt))?;
    let class = error.class.map_or("none", |class| class.name());
    must(class == "nan", format!("its class is {class}"))?;
    stage.say("the service was restarted once, and the image made once more by the clean one: not-a-number again")?;
    stage.say(format!("so it is the image: failed for good with class `{class}`, {took} after it was submitted"))?;
    alerts(stage, "webui", 1).await?;

    stage.scene(&format!("{IMAGES} other images"))?;
    let ids = submit_all(stage, "image", IMAGES).await?;
    let ends = ends(stage, &ids).await?;
    must(ends.get("succeeded") == Some(&IMAGES), format!("not all of them succeeded: {}", told(&ends)))?;
    let restarts = self::restarts(stage, "webui").await? - 1;
    stage.say(format!(
        "{}; the first of them found the engine poisoned: {}",
        told(&ends),
        count(restarts, "restart", "restarts")
    ))?;
    must(restarts <= 1, "the engine was restarted over and over")?;
    bundles(stage, 1).await?;
    stop_in_order(stage).await
}

/// I3: memory grows, and nobody notices.
pub async fn memory_grows(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene(
        "I3: `idle-leak` grows while nobody uses it; `greedy` keeps 24 MiB of each request; `steady` does neither",
    )?;
    let (first, _) = stage.start().await?;
    stage.table(&first)?;
    let [idle, greedy, steady] = [
        stage.service(&first, "idle-leak")?.clone(),
        stage.service(&first, "greedy")?.clone(),
        stage.service(&first, "steady")?.clone(),
    ];

    stage.scene("`limits.growth = \"24MiB/3s\"`: sustained growth while idle is a leak")?;
    let status = replaced(stage, &idle).await?;
    alerts(stage, "idle-leak", 1).await?;
    let now = stage.service(&status, "idle-leak")?;
    stage.say(format!("it was idle, so it has been replaced: process {} is now {}", pid(&idle), pid(now)))?;

    stage.scene(&format!("`limits.ram = \"128MiB\"`: {REQUESTS} requests to `greedy`"))?;
    let port = greedy.port().ok_or_else(|| Failure::Demo("`greedy` has no port".to_owned()))?;
    for _ in 0..REQUESTS {
        post_json(port, "/v1/chat/completions", &json!({ "max_tokens": 1 })).await?;
    }
    let status = replaced(stage, &greedy).await?;
    alerts(stage, "greedy", 1).await?;
    let now = stage.service(&status, "greedy")?;
    stage.say(format!("process {} is now {}, and holds {} again", pid(&greedy), pid(now), size(now.memory.ram)))?;

    must(stage.service(&status, "steady")?.pid == steady.pid, "`steady` was replaced as well")?;
    stage.say("`steady` has the process that it had")?;
    stop_in_order(stage).await
}

/// The half of I5 that counts: a service starts processes without end.
pub async fn runaway(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene(&format!("`poet` starts {FORKS} processes that nobody asked for"))?;
    let before = stage.status().await?;
    let poet = stage.service(&before, "poet")?.clone();
    let port = poet.port().ok_or_else(|| Failure::Demo("`poet` has no port".to_owned()))?;
    let began = clock::now();
    post_json(port, &format!("/fork?n={FORKS}"), &json!({})).await?;
    let status = replaced(stage, &poet).await?;
    let took = clock::now().saturating_duration_since(began);
    alerts(stage, "poet", 3).await?;
    let now = stage.service(&status, "poet")?;
    let left = now.containment.processes;
    must(left < TOO_MANY, format!("{left} processes of `poet` live"))?;
    stage.say(format!(
        "its whole tree was ended and it is ready again {} later with {}",
        age(took),
        count(left, "process", "processes")
    ))?;
    let untouched = |s: &&Service| s.name != "poet" && s.state == ServiceState::Ready;
    for other in before.services.iter().filter(untouched) {
        must(stage.service(&status, &other.name)?.pid == other.pid, format!("`{}` was touched", other.name))?;
    }
    stage.say("the other services have the processes that they had")?;
    bundles(stage, 1).await
}

/// One image, to its end.
async fn image(stage: &Stage, prompt: &str) -> Result<JobView, Failure> {
    let id = submit(stage, "image", prompt).await?;
    until(stage, id, |job| job.state.is_final()).await
}

/// Waits until a service is ready in another run; its old one may fail meanwhile.
async fn replaced(stage: &mut Stage, before: &Service) -> Result<Status, Failure> {
    stage.until(&format!("`{}` is ready in another process", before.name), |s| is_back(s, before)).await
}

fn pid(service: &Service) -> String {
    service.pid.map_or_else(|| "-".to_owned(), |pid| pid.0.to_string())
}

/// Past events, the oldest first.
async fn events(stage: &Stage) -> Result<Vec<Value>, Failure> {
    let mut rows: Vec<Value> = stage.client().get("/api/history/events?limit=1000").await?;
    rows.reverse();
    Ok(rows.into_iter().map(|mut row| row["event"].take()).collect())
}

/// How often a service was started anew.
async fn restarts(stage: &Stage, service: &str) -> Result<usize, Failure> {
    let is_start =
        |event: &&Value| event["type"] == "service.state" && event["service"] == service && event["to"] == "spawning";
    let starts = events(stage).await?.iter().filter(is_start).count();
    Ok(starts.saturating_sub(1))
}

/// Says the alerts about a service, of which there must be so many.
async fn alerts(stage: &Stage, service: &str, wanted: usize) -> Result<(), Failure> {
    let end = clock::now() + BOUND;
    // The history writes in groups.
    let found = loop {
        let is_it = |event: &Value| event["type"] == "alert.raised" && event["service"] == service;
        let found: Vec<Value> = events(stage).await?.into_iter().filter(is_it).collect();
        if found.len() >= wanted {
            break found;
        }
        must(clock::now() < end, format!("{} instead of {wanted} alerts about `{service}`", found.len()))?;
        tokio::time::sleep(LOOK).await;
    };
    let width = stage.terminal.width.unwrap_or(WIDTH).saturating_sub(2);
    for alert in found {
        let text = |key: &str| alert[key].as_str().unwrap_or_default().to_owned();
        stage.say(cut(&format!("alert  {:9} {}: {}", text("severity"), text("alert"), text("message")), width))?;
    }
    Ok(())
}

/// Says which diagnostic bundles there are, of which there must be so many.
async fn bundles(stage: &Stage, wanted: usize) -> Result<(), Failure> {
    let folder = stage.folder().join("bundles");
    let look = || -> Vec<String> {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".tar")).collect()
    };
    let made = stage.watch(BOUND, || look().len() >= wanted).await;
    must(made.is_some(), format!("no diagnostic bundle in {}", folder.display()))?;
    let names = look();
    must(names.len() == wanted, format!("{} bundles instead of {wanted}", names.len()))?;
    stage.say(format!("bundle {}", names.join(", ")))
}

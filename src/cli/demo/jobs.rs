//! Jobs on the stage: an image for which a chat service leaves; and I6, an engine that every image leaves polluted.

use std::{collections::BTreeMap, time::Duration};

use greenroom_actors::{
    job::{JobId, JobOutcome, JobState, JobView},
    os::clock,
    state::ServiceState,
};
use serde_json::json;

use super::{
    super::{client::Content, failure::Failure, seen::Service, table::age},
    memory::{gpus, is_back},
    show::stop_in_order,
    stage::{BOUND, Stage, must},
};

/// Pause between two looks at a job.
const LOOK: Duration = Duration::from_millis(5);
/// Images of I6, of each of its two kinds of job.
const IMAGES: usize = 50;
const WITHOUT: usize = 10;

/// An image job comes for which there is no room beside two chat services; then they have the card again.
pub async fn make_room(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("`greenroom job submit image`: it does not fit beside both chat services")?;
    let before = stage.status().await?;
    let coder = stage.service(&before, "coder")?.clone();
    let job = submit(stage, "image", "a heron in the reeds").await?;
    let running = until(stage, job, |job| job.state == JobState::Running || job.outcome.is_some()).await?;
    must(running.outcome.is_none(), "the image was done before it was seen")?;
    let status = stage.status().await?;
    let away: Vec<&str> = status.services.iter().filter(|s| is_away(s)).map(|s| s.name.as_str()).collect();
    must(away == ["coder"], format!("`coder` should have left, and it was {away:?}"))?;
    stage.say("coder has left, and the image is painted:")?;
    gpus(stage).await?;
    let began = clock::now();
    let done = until(stage, job, |job| job.outcome.is_some()).await?;
    must(done.outcome == Some(JobOutcome::Succeeded), format!("the image failed: {:?}", done.error))?;
    let files = done.result.map(|result| result.files.join(", ")).unwrap_or_default();
    stage.say(format!("done after {}: {files}", age(clock::now().saturating_duration_since(began))))?;

    stage.scene("Who left comes back by itself")?;
    stage.until("`coder` is ready again", |s| is_back(s, &coder)).await?;
    gpus(stage).await
}

fn is_away(service: &Service) -> bool {
    service.state == ServiceState::Offloaded
}

/// I6: each image leaves the card polluted, and whoever comes next fails.
pub async fn every_other_image_fails(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("I6: an image engine that fails after every image which was not cleaned up after")?;
    stage.start().await?;
    let without = submit_all(stage, "uncleaned", WITHOUT).await?;
    let ends = ends(stage, &without).await?;
    stage.say(format!("{WITHOUT} images without clean-up: {}", told(&ends)))?;
    must(ends.get("succeeded") == Some(&1), "without clean-up, one of ten should have succeeded")?;
    let failed = view(stage, without[WITHOUT - 1]).await?;
    stage.say(format!("error: {}", failed.error.map(|error| error.message).unwrap_or_default()))?;

    stage.scene("The same engine with `cleanup.actions = [{ http = \"POST /sdapi/v1/unload-checkpoint\" }]`")?;
    let began = clock::now();
    let mut with = submit_all(stage, "image", IMAGES).await?;
    // In between, one that fails and one that is taken back while it is painted.
    let broken = submit(stage, "image", "[fail]").await?;
    let long =
        submit_with(stage, json!({ "job": "image", "params": { "prompt": "large", "steps": 6000 }, "priority": 9 }))
            .await?;
    until(stage, long, |job| job.state == JobState::Running || job.outcome.is_some()).await?;
    stage.client().delete::<JobView>(&format!("/api/jobs/{long}")).await?;
    with.extend(submit_all(stage, "image", 1).await?);
    let ends = self::ends(stage, &with).await?;
    let took = age(clock::now().saturating_duration_since(began));
    stage.say(format!("{} images, in {took}: {}", with.len(), told(&ends)))?;
    must(ends.get("succeeded") == Some(&with.len()), "with clean-up every image should have succeeded")?;
    let others = [view(stage, broken).await?.state, view(stage, long).await?.state];
    must(others == [JobState::Failed, JobState::Cancelled], format!("the two in between ended {others:?}"))?;
    stage.say("one that failed and one that was taken back in between changed nothing")?;
    stop_in_order(stage).await
}

/// Submits so many jobs of a kind.
pub async fn submit_all(stage: &Stage, job: &str, count: usize) -> Result<Vec<JobId>, Failure> {
    let mut ids = Vec::new();
    for n in 1..=count {
        ids.push(submit(stage, job, &format!("heron {n}")).await?);
    }
    Ok(ids)
}

/// Submits a job with this prompt.
pub async fn submit(stage: &Stage, job: &str, prompt: &str) -> Result<JobId, Failure> {
    submit_with(stage, json!({ "job": job, "params": { "prompt": prompt } })).await
}

async fn submit_with(stage: &Stage, body: serde_json::Value) -> Result<JobId, Failure> {
    Ok(stage.client().send_content::<JobView>("/api/jobs", Content::json(&body)).await?.id)
}

async fn view(stage: &Stage, id: JobId) -> Result<JobView, Failure> {
    Ok(stage.client().get(&format!("/api/jobs/{id}")).await?)
}

/// The job, as soon as it is as wanted.
pub async fn until(stage: &Stage, id: JobId, wanted: impl Fn(&JobView) -> bool) -> Result<JobView, Failure> {
    let end = clock::now() + BOUND;
    loop {
        let job = view(stage, id).await?;
        if wanted(&job) {
            return Ok(job);
        }
        must(clock::now() < end, format!("job {id} is still {}", job.state.name()))?;
        tokio::time::sleep(LOOK).await;
    }
}

/// How many of them ended how, once all have.
pub async fn ends(stage: &Stage, ids: &[JobId]) -> Result<BTreeMap<&'static str, usize>, Failure> {
    let mut ends = BTreeMap::new();
    for id in ids {
        let job = until(stage, *id, |job| job.state.is_final()).await?;
        *ends.entry(job.state.name()).or_insert(0) += 1;
    }
    Ok(ends)
}

/// [`ends`] in words.
pub fn told(ends: &BTreeMap<&'static str, usize>) -> String {
    ends.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

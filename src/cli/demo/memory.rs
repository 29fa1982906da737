//! Memory on the stage: I7, where what leaves must come back; and what is said of a card.

use std::time::Duration;

use greenroom_actors::{
    history_store::messages::SwapRow,
    os::clock,
    state::{Disposition, ServiceState},
};
use serde_json::Value;

use super::{
    super::{
        client::ClientError,
        failure::Failure,
        gpus, plan,
        seen::{Service, Status},
        seen_memory::{Memory, Plan},
        swaps,
        table::age,
    },
    show::stop_in_order,
    stage::{BOUND, Stage, must},
};
use crate::runtime::told;

const SWAPS: &str = "/api/history/swaps";

/// What I7 reckoned wrongly: 6.4 GB x 4/48 x 1.2 of RAM and 7.06 GB of VRAM, in bytes.
const LLM_VRAM: u64 = 7_060_000_000;
const LLM_RAM: u64 = 640_000_000;

/// I7: the language model leaves for an image; the image engine crashes; the language model must come back.
pub async fn image_engine_crashes(stage: &mut Stage) -> Result<(), Failure> {
    stage.scene("I7: a language model of 7.06 GB VRAM and 0.64 GB RAM (44 of 48 layers) on a card of 8 GB")?;
    let (status, took) = stage.start().await?;
    stage.say(format!("ready in {}", age(took)))?;
    let first = stage.service(&status, "llm")?.clone();
    let lease = first.lease.clone().unwrap_or_default();
    let held = (lease.total_vram(), lease.ram);
    must(held == (LLM_VRAM, LLM_RAM), format!("its lease is {held:?}, not what it needs"))?;
    gpus(stage).await?;

    stage.scene("An image of 3.52 GB is wanted: what `greenroom plan image` says, and `greenroom load image`")?;
    plan(stage, "image").await?;
    load(stage, "image").await?;

    stage.scene("The image is done, `greenroom offload image`: the language model comes back by itself")?;
    stage.client().post::<Value>("/api/services/image/offload").await?;
    let again = came_back(stage, &first, None).await?;

    stage.scene("The next image: its engine crashes on the way in")?;
    let refused = stage.client().post::<Value>("/api/services/image-torn/load").await;
    let Err(ClientError::Refused { body, .. }) = refused else {
        return Err(Failure::Demo(format!("the load of a torn image engine should have failed: {refused:?}")));
    };
    let error = &body["error"];
    let words: Vec<&str> = error["stderr"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    must(words.iter().any(|line| line.contains("is cut off")), format!("the error does not say why: {body}"))?;
    stage.say(format!("error: {}", error["message"].as_str().unwrap_or_default()))?;
    stage.say(words.iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n"))?;

    stage.scene("And the language model is back, with the very configuration it had")?;
    came_back(stage, &again, Some("image-torn")).await?;
    gpus(stage).await?;
    stage.say("\nwhere the time went (`greenroom history swaps`):")?;
    let rows: Vec<SwapRow> = stage.client().get(SWAPS).await?;
    stage.say(swaps::render(&rows, stage.terminal.width.map(|w| w.saturating_sub(2)), stage.terminal.color))?;
    stop_in_order(stage).await
}

/// Waits until `llm` is ready in another run than `before`, and holds that it is what it was.
async fn came_back(stage: &mut Stage, before: &Service, fails: Option<&str>) -> Result<Service, Failure> {
    let began = clock::now();
    let status = stage.until_despite("`llm` is ready again", fails, |s| is_back(s, before)).await?;
    let took = clock::now().saturating_duration_since(began);
    let now = stage.service(&status, "llm")?.clone();
    must(now.lease == before.lease, format!("its lease was {:?} and is {:?}", before.lease, now.lease))?;
    must(now.disposition == Disposition::Up, "it is not wanted any more")?;
    stage.say(format!("`llm` is ready again after {}: 44 of 48 layers on the card, as before", age(took)))?;
    Ok(now)
}

/// Whether a service is ready in another run.
pub fn is_back(status: &Status, before: &Service) -> bool {
    let is_it = |s: &&Service| s.name == before.name;
    status.services.iter().find(is_it).is_some_and(|s| s.state == ServiceState::Ready && s.run_id != before.run_id)
}

/// What `greenroom plan` says.
async fn plan(stage: &Stage, name: &str) -> Result<(), Failure> {
    let seen: Plan = stage.client().get(&format!("/api/plan/{name}")).await?;
    stage.say(plan::render(&seen, stage.terminal.width.map(|w| w.saturating_sub(2))))
}

/// What `greenroom gpus` says of the card.
pub async fn gpus(stage: &Stage) -> Result<(), Failure> {
    let end = clock::now() + BOUND;
    // That a run is ready is told to its lease a moment later.
    let memory = loop {
        let memory: Memory = stage.client().get("/api/gpus").await?;
        if memory.leases.values().all(|lease| lease.state == "resident") {
            break memory;
        }
        must(clock::now() < end, "a lease has not become resident")?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let text = gpus::render(&memory, stage.terminal.width.map(|w| w.saturating_sub(2)), stage.terminal.color);
    // Host memory is the machine's, and not what this is about.
    let cards: Vec<&str> = text.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    stage.say(cards.join("\n"))
}

/// Loads a service, and says how that went.
async fn load(stage: &Stage, name: &str) -> Result<SwapRow, Failure> {
    stage.client().post::<Value>(&format!("/api/services/{name}/load")).await?;
    let end = clock::now() + BOUND;
    // The history writes in groups.
    loop {
        let rows: Vec<SwapRow> = stage.client().get(SWAPS).await?;
        if let Some(row) = rows.into_iter().find(|row| row.service.as_str() == name) {
            stage.say(told::swap(&row.service, &row.from, &row.seconds))?;
            return Ok(row);
        }
        must(clock::now() < end, "the history does not know the swap")?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

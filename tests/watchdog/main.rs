//! What lives and is wrong: it is noticed, told, and what follows is done.

mod bundle_command;
mod bundles;
#[path = "../common/mod.rs"]
mod common;
mod counted_jobs;
mod hostile;
mod itself;
mod liveness;
mod machine;
mod notify;
mod resorts;
mod rules;
mod shown;
mod stuck_jobs;
mod systemd;

use common::{Answer, Greenroom};
use serde_json::json;

const CHAT: &str = "/v1/chat/completions";

/// A Watchdog that looks often, with further keys.
fn watchdog(keys: &str) -> String {
    format!("[watchdog]\ninterval = \"100ms\"\n{keys}\n")
}

/// `[gateway]` on a port of the test's own.
fn gateway(greenroom: &Greenroom) -> String {
    format!("[gateway]\nlisten = \"127.0.0.1:{}\"\n", greenroom.port(0))
}

/// A stand-in that starts with the runtime, with these options and further keys.
fn service(greenroom: &Greenroom, name: &str, options: &str, keys: &str) -> String {
    let command = greenroom.stand_in(name, &format!("--port ${{port}} {options}"));
    format!(
        "[service.{name}]\ncommand = {command}\nready = \"/health\"\nstart = \"eager\"\nstop.grace = \"300ms\"\n{keys}\n"
    )
}

/// One word of a service, past the gateway.
#[track_caller]
fn word(greenroom: &Greenroom, name: &str) -> Answer {
    greenroom.engine(name).post(CHAT, Some(&json!({ "max_tokens": 1 }))).expect("an answer")
}

/// A word of `chat` of which it is ended: that may come before the end of its answer.
fn provoke(greenroom: &Greenroom) {
    greenroom.engine("chat").post(CHAT, Some(&json!({ "max_tokens": 1 }))).ok();
}

/// The run of a service, once it is ready.
#[track_caller]
fn ready_run(greenroom: &Greenroom, name: &str) -> String {
    greenroom.wait_state(name, "ready");
    greenroom.service(name)["run_id"].as_str().expect("a run").to_owned()
}

/// Waits until a service is ready in another run than this.
#[track_caller]
fn wait_replaced(greenroom: &Greenroom, name: &str, before: &str) {
    common::wait_for(&format!("{name} is ready in another run"), common::BOUND, || {
        let service = greenroom.service(name);
        service["state"] == "ready" && service["run_id"] != before
    });
}

//! What lives and is wrong: it is noticed, told, and what follows is done.

mod bundle_command;
mod bundles;
#[path = "../common/mod.rs"]
mod common;
mod counted_jobs;
mod hostile;
mod liveness;
mod notify;
mod resorts;
mod rules;
mod shown;
mod stuck_jobs;
mod systemd;

use common::{Answer, Greenroom, Http};
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

/// `[service.webui]` with these options, and `[job.image]` that asks it.
fn webui(greenroom: &Greenroom, options: &str, service: &str, job: &str) -> String {
    let command = greenroom.stand_in("webui", &format!("--engine webui --port ${{port}} {options}"));
    format!(
        r#"
[service.webui]
engine = "a1111"
command = {command}
gpu = "none"
{service}

[job.image]
service = "webui"
request = {{ method = "POST", path = "/sdapi/v1/txt2img" }}
params.prompt = {{}}
params.steps = {{ default = 3 }}
{job}
"#
    )
}

/// What a service says on its own port, past the gateway.
#[track_caller]
fn engine(greenroom: &Greenroom, name: &str) -> Http {
    let service = greenroom.service(name);
    let port = service["endpoint"].as_str().and_then(|url| url.rsplit(':').next()?.parse().ok());
    Http::Tcp(port.unwrap_or_else(|| panic!("no port: {service:#}")))
}

/// One word of a service, past the gateway.
#[track_caller]
fn word(greenroom: &Greenroom, name: &str) -> Answer {
    engine(greenroom, name).post(CHAT, Some(&json!({ "max_tokens": 1 }))).expect("an answer")
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

//! Events as lines for people. Pure.

use greenroom_actors::{
    event::SwapSeconds,
    ids::ServiceName,
    job::JobProgress,
    memory::{Amounts, Refusal},
    plain::plain,
    state::LoadProgress,
};
use serde::Deserialize;
use serde_json::Value;

use super::table::paint;
use crate::runtime::told;

const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const RED: u8 = 31;
const GREY: u8 = 90;

/// One event in one line: when, about what, what.
#[must_use]
pub fn event_line(event: &Value, color: bool) -> String {
    format!("{}  {}", moment(event["at"].as_str().unwrap_or("-")), event_text(event, color))
}

/// A time of the API as people read it: `2026-11-21 09:00:00.250`, in UTC.
fn moment(at: &str) -> String {
    at.chars().take("2026-11-21T09:00:00.250".len()).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// Whether the state change that an alert stands beside says the same.
#[must_use]
pub fn repeats_a_state(event: &Value) -> bool {
    event["type"] == "alert.raised"
        && event["service"].is_string()
        && matches!(event["alert"].as_str(), Some("failed" | "quarantined" | "stuck"))
}

/// One event without its time.
#[must_use]
pub fn event_text(event: &Value, color: bool) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    let because = |text: &str| if text.is_empty() { String::new() } else { format!(" ({})", plain(text)) };
    let about = if text("service").is_empty() { String::new() } else { format!("{}: ", text("service")) };
    match text("type") {
        "service.state" => {
            let pid = event["pid"].as_u64().map(|pid| format!(", pid {pid}")).unwrap_or_default();
            let to = paint(text("to"), state_color(text("to")), color);
            // On its way back up, a service still carries the reason that the change before has told.
            let told = matches!((text("from"), text("to")), ("spawning", "starting") | ("stopping", "spawning"));
            let reason = if told { "" } else { text("reason") };
            format!("{about}{} -> {to}{pid}{}", text("from"), because(reason))
        }
        "service.load" => match serde_json::from_value::<LoadProgress>(event["load"].clone()) {
            Ok(load) => format!("{about}{load}"),
            Err(_) => format!("{about}loads"),
        },
        "alert.raised" => {
            let head = paint(&format!("{} {}", text("severity"), text("alert")), RED, color);
            format!("{about}{head}: {}", plain(text("message")))
        }
        "alert.cleared" => format!("{about}{} is over", text("alert")),
        "runtime.state" => format!("runtime {}{}", text("state"), because(text("reason"))),
        "config.reloaded" => {
            let is_one = |key: &str| event[key].as_array().is_some_and(|list| list.len() == 1);
            let count = |key: &str, what: &str| match event[key].as_array().map_or(0, Vec::len) {
                0 => None,
                n => Some(format!("{n} {what}")),
            };
            let parts = [
                count("changed", if is_one("changed") { "changed key" } else { "changed keys" }),
                count("live", "with new values"),
                count("restarted", "restarted"),
                count("added", "added"),
                count("removed", "removed"),
                count(
                    "next_start",
                    if is_one("next_start") { "waits for the next start" } else { "wait for the next start" },
                ),
            ];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            let what = if parts.is_empty() { "nothing has changed".to_owned() } else { parts.join(", ") };
            format!("configuration reloaded: {what}")
        }
        "plan.decided" => format!("{about}{}", plan(event)),
        "swap.done" => match serde_json::from_value::<SwapRead>(event.clone()) {
            Ok(SwapRead { service, from, seconds }) => told::swap(&service, &from, &seconds),
            Err(_) => format!("{about}is in"),
        },
        "job.state" => {
            let from = if text("from").is_empty() { String::new() } else { format!("{} -> ", text("from")) };
            let to = paint(text("to"), job_color(text("to")), color);
            format!("job {} ({}): {from}{to}{}", text("job_id"), text("job"), because(text("reason")))
        }
        "job.progress" => match serde_json::from_value::<JobProgress>(event["progress"].clone()) {
            Ok(step) => format!("job {} ({}): {step}", text("job_id"), text("job")),
            Err(_) => format!("job {} ({}) goes on", text("job_id"), text("job")),
        },
        "gap" => match event["missed"].as_u64() {
            Some(n) if n > 0 => paint(&format!("{n} events were missed"), YELLOW, color),
            _ => paint("events before this one are not known any more", YELLOW, color),
        },
        // A newer runtime tells of more than this version knows.
        other => format!("{about}{other} {event}"),
    }
}

/// What is read of a swap.
#[derive(Deserialize)]
struct SwapRead {
    service: ServiceName,
    from: Vec<ServiceName>,
    seconds: SwapSeconds,
}

/// Where a service goes and who leaves for it, or why it gets no memory.
fn plan(event: &Value) -> String {
    if let Ok(refusal) = serde_json::from_value::<Refusal>(event["refusal"].clone()) {
        return refusal.to_string();
    }
    let names: Vec<&str> = event["offload"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let lease = serde_json::from_value::<Amounts>(event["lease"].clone()).unwrap_or_default();
    let holds = told::amounts(&lease, &[]).unwrap_or_else(|| "no memory".to_owned());
    let leave = match names.len() {
        0 => String::new(),
        1 => format!("; {} leaves for it", names[0]),
        _ => format!("; {} leave for it", names.join(", ")),
    };
    format!("gets {holds}{leave}")
}

fn job_color(name: &str) -> u8 {
    match name {
        "succeeded" => GREEN,
        "failed" => RED,
        "waiting" | "running" | "cleaning" => YELLOW,
        _ => GREY,
    }
}

fn state_color(name: &str) -> u8 {
    let known = greenroom_actors::state::ServiceState::ALL.into_iter().find(|state| state.name() == name);
    known.map_or(0, super::table::color_of)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_short_and_one_without_is_no_reason_to_fail() {
        let event = |at: Value| event_line(&json!({ "at": at, "type": "gap", "missed": 1 }), false);
        assert_eq!(event(json!("2026-11-21T09:00:00.250731Z")), "2026-11-21 09:00:00.250  1 events were missed");
        assert_eq!(event(Value::Null), "-  1 events were missed");
    }

    #[test]
    fn each_kind_has_its_line() {
        let line = |value: Value| event_text(&value, false);
        assert_eq!(
            line(json!({ "type": "service.state", "service": "a", "from": "starting", "to": "ready", "pid": 7 })),
            "a: starting -> ready, pid 7"
        );
        assert_eq!(
            line(json!({ "type": "job.state", "job_id": "1", "job": "image", "to": "failed", "reason": "\u{1b}[2J" })),
            "job 1 (image): failed ( [2J)",
            "what a program has printed does nothing to the terminal"
        );
        assert_eq!(
            line(json!({ "type": "service.load", "service": "a",
                         "load": { "phase": "weights", "done": 1, "total": 4, "eta": null } })),
            "a: weights 1/4"
        );
        assert_eq!(
            line(json!({ "type": "alert.raised", "service": null, "alert": "guardian_died", "severity": "warning",
                         "message": "another one was started" })),
            "warning guardian_died: another one was started"
        );
        assert_eq!(
            line(json!({ "type": "service.state", "service": "a", "from": "spawning", "to": "starting", "pid": 7,
                         "reason": "by request" })),
            "a: spawning -> starting, pid 7"
        );
        assert_eq!(
            line(json!({ "type": "service.state", "service": "a", "from": "stopped", "to": "starting", "pid": 7,
                         "reason": "kept by an earlier runtime" })),
            "a: stopped -> starting, pid 7 (kept by an earlier runtime)"
        );
        assert_eq!(line(json!({ "type": "gap", "missed": 3 })), "3 events were missed");
        assert_eq!(
            line(json!({ "type": "config.reloaded", "changed": ["a", "b"], "live": [], "added": ["c"] })),
            "configuration reloaded: 2 changed keys, 1 added"
        );
        assert_eq!(
            line(json!({ "type": "config.reloaded", "changed": ["a"], "next_start": ["a"] })),
            "configuration reloaded: 1 changed key, 1 waits for the next start"
        );
        assert_eq!(line(json!({ "type": "config.reloaded" })), "configuration reloaded: nothing has changed");
        assert_eq!(
            line(json!({ "type": "runtime.state", "state": "stopping", "reason": "SIGTERM" })),
            "runtime stopping (SIGTERM)"
        );
        assert_eq!(
            line(json!({ "type": "swap.done", "service": "image", "from": ["chat"],
                         "seconds": { "queue": 0.0, "drain": 0.0, "stop": 0.3, "reclaim": 0.0, "load": 2.0,
                                      "total": 2.3 } })),
            "image in after 2.3s: chat left (stop 300ms), load 2.0s"
        );
        assert_eq!(
            line(json!({ "type": "plan.decided", "service": "image", "offload": ["chat"], "refusal": null,
                         "lease": { "vram": { "GPU-1": 1_073_741_824 }, "ram": 0 } })),
            "image: gets 1GiB of VRAM of GPU-1; chat leaves for it"
        );
        assert_eq!(
            line(json!({ "type": "plan.decided", "service": "image", "offload": [], "lease": { "vram": {}, "ram": 0 },
                         "refusal": { "service": "image", "kind": "too_large", "missing": [], "holders": [] } })),
            "image: it never fits here"
        );
        assert_eq!(line(json!({ "type": "a.new" })), "a.new {\"type\":\"a.new\"}");
        assert_eq!(
            line(json!({ "type": "job.state", "job_id": "01M7", "job": "image", "from": "queued", "to": "waiting",
                         "reason": "waits for chat to leave" })),
            "job 01M7 (image): queued -> waiting (waits for chat to leave)"
        );
        assert_eq!(
            line(json!({ "type": "job.state", "job_id": "01M7", "job": "image", "from": null, "to": "queued" })),
            "job 01M7 (image): queued"
        );
        assert_eq!(
            line(json!({ "type": "job.progress", "job_id": "01M7", "job": "image",
                         "progress": { "done": 3, "total": 4, "ratio": 0.75, "eta": 0.4 } })),
            "job 01M7 (image): 3/4, 0.4s left"
        );
    }
}

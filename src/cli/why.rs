//! `why`: why a service is in its state, what happened last, and what to do.

use greenroom_actors::plain::plain;

use super::{
    args::{Global, OneService},
    ask::{Asked, block_on, get, read, service_path},
    failure::Failure,
    follow::{event_line, repeats_a_state},
    seen::Why,
    table::{color_of, paint},
    terminal::Terminal,
    wrap::wrap,
};

/// Prints it.
pub fn run(args: &OneService, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global)?;
    let path = service_path(&args.name, "/why");
    let value = block_on(get(&asked, &path))?;
    if terminal.json {
        terminal.value(&value)?;
        return Ok(0);
    }
    terminal.say(render(&read(&path, value)?, terminal.width, terminal.color))?;
    Ok(0)
}

fn render(why: &Why, width: Option<usize>, color: bool) -> String {
    let state = why.service.state;
    let mut lines = vec![format!("{}: {}", why.service.name, paint(state.name(), color_of(state), color))];
    let mut section = |head: &str, body: Vec<String>| {
        if !body.is_empty() {
            lines.push(format!("\n{head}"));
            lines.extend(body.iter().flat_map(|line| wrap(line, width, 2, 4)));
        }
    };
    let sentences = |lines: &[String]| lines.iter().map(|line| plain(line)).collect();
    section("why", sentences(&why.because));
    section("what to do", sentences(&why.remedy));
    let recent = why.recent.iter().filter(|event| !repeats_a_state(event));
    section("what happened last", recent.map(|event| event_line(event, color)).collect());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::status::tests::service, *};

    #[test]
    fn it_says_why_what_to_do_and_what_happened() {
        let why = json!({
            "service": service("chat", "failed", json!({})),
            "because": ["`chat` is failed", "its last run ended with status 1"],
            "remedy": ["greenroom start chat"],
            "recent": [{ "id": "1-2", "at": "2026-11-21T09:00:00.250Z", "type": "service.state", "service": "chat",
                         "from": "backoff", "to": "failed", "reason": "given up", "pid": null },
                       { "id": "1-3", "at": "2026-11-21T09:00:00.250Z", "type": "alert.raised", "alert": "failed",
                         "severity": "critical", "service": "chat", "message": "given up" }],
        });
        let text = render(&serde_json::from_value(why).expect("a why"), None, false);
        assert_eq!(
            text,
            "chat: failed\n\nwhy\n  `chat` is failed\n  its last run ended with status 1\n\nwhat to do\n  greenroom \
             start chat\n\nwhat happened last\n  2026-11-21 09:00:00.250  chat: backoff -> failed (given up)"
        );
    }
}

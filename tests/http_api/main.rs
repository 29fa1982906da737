//! What is told of a running Greenroom over HTTP: the answers have the shapes of the OpenAPI document, the lines of
//! `docs/http.md` work, figures and the history say what the requests were.

#[path = "../common/mod.rs"]
mod common;
mod figures;
mod lines;
mod requests;
mod shape;

use common::{Answer, Greenroom, Http};
use serde_json::json;

/// A gateway, a card of 8 GB, two services of which one fits at a time, one that fails at once, and a kind of job.
fn house(greenroom: &Greenroom, keys: &str) -> String {
    let service = |name: &str, options: &str, keys: &str| {
        let command = greenroom.stand_in(name, &format!("--port ${{port}} {options}"));
        format!(
            "[service.{name}]\ncommand = {command}\nready = \"/health\"\nstart = \"on_demand\"\nram = \"0B\"\n{keys}\n"
        )
    };
    let broken = greenroom.stand_in("broken", "--no-http --crash-after-ms 1 --exit-code 7 --stderr gone");
    let port = greenroom.port(0);
    // One whose prompt is `slow` does not end by itself.
    let picture = r#"["sh", "-c", 'test "$0" = slow && sleep 600; echo "$0"; echo made > "$1"', "${param.prompt}", "${output}.png"]"#;
    let picture = format!(
        "[job.picture]\ncommand = {picture}\nvram = \"0B\"\nram = \"0B\"\nretries = 0\nparams.prompt = {{}}\n\
         params.init = {{ type = \"file\", flag = \"--init\" }}\n"
    );
    format!(
        "{keys}\n[gateway]\nlisten = \"127.0.0.1:{port}\"\n\
         [resources]\ngpu_backend = \"declared\"\nvram_reserve = \"0B\"\nram_reserve = \"0B\"\n\
         [[resources.gpu]]\nname = \"card\"\nmemory = \"8GiB\"\n\
         {picture}[service.broken]\ncommand = {broken}\nrestart.policy = \"never\"\n{}{}{}",
        service("chat", "", "vram = \"6GiB\"\nserves = [\"org/model\", \"chat\"]"),
        service("image", "--token-ms 50", "vram = \"5GiB\""),
        service("huge", "", "vram = \"9GiB\""),
    )
}

fn running() -> Greenroom {
    Greenroom::running(|greenroom| house(greenroom, ""))
}

fn door(greenroom: &Greenroom) -> Http {
    Http::Tcp(greenroom.port(0))
}

/// Submits a job with this prompt; gives its id.
#[track_caller]
fn picture(greenroom: &Greenroom, prompt: &str) -> String {
    let body = json!({ "job": "picture", "params": { "prompt": prompt } });
    let answer = greenroom.api().post("/api/jobs", Some(&body)).expect("it answers");
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// A chat with this model.
#[track_caller]
fn chat(greenroom: &Greenroom, model: &str) -> Answer {
    let body = json!({ "model": model, "max_tokens": 2 });
    door(greenroom).post("/v1/chat/completions", Some(&body)).expect("the door answers")
}

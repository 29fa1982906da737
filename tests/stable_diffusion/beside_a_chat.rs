//! I7 with the real programs: a language model leaves for an image and comes back, under a limit of host memory that
//! holds either of them and not both.

use std::{path::Path, time::Duration};

use serde_json::json;

use crate::{
    LONG,
    common::{Greenroom, gguf, llama, note, timed, wait_for},
    job, prepared,
};

/// 70 MB of weights, and as much again for the program.
const CHAT: gguf::Shape = gguf::Shape { layers: 6, embedding: 768, feed_forward: 1536, words: 256 };

fn chat(server: &Path) -> String {
    format!(
        "[service.chat]\ncommand = [\"{}\", \"--port\", \"${{port}}\", \"-m\", \"${{model_file}}\", \"-c\", \"512\", \"-np\", \"1\",\n\
         \"-ngl\", \"0\", \"--device\", \"none\", \"--cache-ram\", \"0\", \"-fit\", \"off\", \"--no-mmap\"]\n\
         model_file = \"chat.gguf\"\ngpu = \"none\"\nstart = \"eager\"\noffload.reload = \"when_free\"\n",
        server.display()
    )
}

fn ask(greenroom: &Greenroom) -> u16 {
    let body = json!({ "messages": [{ "role": "user", "content": "a heron waits" }], "max_tokens": 8 });
    greenroom.engine("chat").post("/v1/chat/completions", Some(&body)).expect("an answer").status
}

#[test]
#[ignore = "compiles stable-diffusion.cpp on first use"]
fn a_chat_leaves_for_an_image_and_comes_back_also_when_the_image_fails() {
    let Some((greenroom, folder)) = prepared() else { return };
    let Some(server) = llama::server() else { return };
    gguf::write(&greenroom.folder().join("chat.gguf"), CHAT).expect("the test's folder is writable");
    // The image is said to need 1 GiB: its 840 MB of weights and what it computes with.
    let limit = "[resources]\nram_limit = \"1100MiB\"\nram_reserve = \"0B\"\n";
    greenroom.configure(&format!("{limit}{}{}", chat(server), job(folder, &[], "ram = \"1GiB\"")));
    greenroom.start();
    greenroom.wait_state("chat", "ready");
    assert_eq!(ask(&greenroom), 200);

    for round in 0..2 {
        let before = greenroom.service("chat");
        let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
        let job = greenroom.wait_job_for(&id, &["running", "succeeded"], LONG);
        if job["state"] == "running" {
            assert_ne!(greenroom.state("chat"), "ready", "both are in memory");
        }
        greenroom.wait_job_for(&id, &["succeeded"], LONG);
        came_back(&greenroom, &before, round);
    }

    let before = greenroom.service("chat");
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 0 }));
    let job = greenroom.wait_job_for(&id, &["failed"], LONG);
    // Its own words, not "exit code 1".
    assert!(job["error"]["stderr"].as_array().is_some_and(|lines| !lines.is_empty()), "{job:#}");
    came_back(&greenroom, &before, 2);
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// The chat is ready again in another run with the lease that it had, and answers.
#[track_caller]
fn came_back(greenroom: &Greenroom, before: &serde_json::Value, round: i32) {
    let (_, took) = timed(|| {
        wait_for("the chat is ready again", Duration::from_secs(60), || {
            let now = greenroom.service("chat");
            now["state"] == "ready" && now["run_id"] != before["run_id"]
        });
    });
    note(&format!("image {round}: the chat was ready again {took:?} after its end"));
    assert_eq!(ask(greenroom), 200);
}

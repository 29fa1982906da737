//! A job and the memory that others hold.

use serde_json::{Value, json};

use crate::common::{
    BOUND, Greenroom, Http, alive,
    nvml::{self, FakeNvml},
    wait_for,
};

const CARD: &str = "[resources]\ngpu_backend = \"declared\"\nram_reserve = \"0B\"\n\n[[resources.gpu]]\nname = \"declared 8 GB\"\nmemory = \"8GB\"\n";

/// A chat of 6 GB that comes back when there is room, and an image of 4 GB.
fn config(greenroom: &Greenroom, resources: &str, chat: &str, image: &str) -> String {
    let chat = greenroom.stand_in("chat", &format!("--port ${{port}} --token-ms 20 {chat}"));
    let image = greenroom.stand_in(
        "image",
        &format!("--job -p ${{param.prompt}} -o ${{output}} --steps ${{param.steps}} --step-ms 20 {image}"),
    );
    format!(
        r#"
{resources}

[service.chat]
command = {chat}
ready = "/health"
start = "eager"
vram = "6GB"
ram = "16MiB"
offload.reload = "when_free"

[job.image]
engine = "sd-cpp"
command = {image}
params.prompt = {{}}
params.steps = {{ default = 4 }}
vram = "4GB"
ram = "16MiB"
retries = 0
"#
    )
}

#[test]
fn the_chat_leaves_for_an_image_and_comes_back() {
    let greenroom = Greenroom::running(|g| config(g, CARD, "", ""));
    greenroom.wait_state("chat", "ready");
    let before = greenroom.service("chat");
    let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 20 }));
    greenroom.wait_job(&id, &["succeeded"]);
    wait_for("the chat is ready again", BOUND, || {
        let now = greenroom.service("chat");
        now["state"] == "ready" && now["run_id"] != before["run_id"]
    });
    // As it was told, one after the other.
    greenroom.wait_told("chat");
    let events = greenroom.events();
    let turn =
        |event: &Value| (event["service"] == "chat" || event["job_id"] == id.as_str()) && event["to"].is_string();
    let told: Vec<&str> = events.iter().filter(|event| turn(event)).filter_map(|event| event["to"].as_str()).collect();
    let place = |state: &str| told.iter().position(|to| *to == state).unwrap_or_else(|| panic!("{state}: {told:?}"));
    assert!(place("offloaded") < place("running"), "both are in memory: {told:?}");
    assert!(place("running") < told.iter().rposition(|to| *to == "ready").unwrap_or_default(), "{told:?}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_busy_chat_is_waited_for_and_the_job_says_so() {
    let greenroom = Greenroom::running(|g| {
        let listen = format!("[gateway]\nlisten = \"127.0.0.1:{}\"\n", g.port(0));
        listen + &config(g, CARD, "", "")
    });
    greenroom.wait_state("chat", "ready");
    let (http, door) = (greenroom.engine("chat"), Http::Tcp(greenroom.port(0)));
    let pid = greenroom.service_pid("chat");
    let hold = std::thread::spawn(move || {
        let body = json!({ "model": "chat", "messages": [{ "role": "user", "content": "x" }], "max_tokens": 400 });
        door.post("/v1/chat/completions", Some(&body)).map(|answer| answer.status)
    });
    wait_for("it is busy", BOUND, || http.get("/props").expect("an answer").json()["slots_busy"] == 1);
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job(&id, &["waiting"]);
    wait_for("it says what it waits for", BOUND, || greenroom.job(&id)["reason"].to_string().contains("chat"));
    assert_eq!(greenroom.service_pid("chat"), pid, "it was pushed out while it was busy: {job:#}");
    assert_eq!(hold.join().expect("it asks").expect("an answer"), 200);
    greenroom.wait_job(&id, &["succeeded"]);
    greenroom.shutdown_clean();
}

#[test]
fn the_card_is_never_promised_twice() {
    let card = FakeNvml::new(&[8_000_000_000]);
    let folder = card.allocations().display().to_string();
    let resources = format!("{}ram_reserve = \"0B\"\nvram_reserve = \"0B\"\n", card.config());
    let holds = |size: &str| format!("--vram 0:{size} --vram-dir {folder}");
    let greenroom = Greenroom::running(|g| config(g, &resources, &holds("6GB"), &holds("4GB")));
    greenroom.wait_state("chat", "ready");
    let lives = |name: &str| name.split('.').next().and_then(|pid| pid.parse().ok()).is_some_and(alive);
    let held = || nvml::held(&card.allocations(), lives);
    let mut most = 0;
    for _ in 0..3 {
        let id = greenroom.submit("image", &json!({ "prompt": "a heron", "steps": 10 }));
        wait_for("it is done", BOUND, || {
            most = most.max(held());
            greenroom.job(&id)["state"] == "succeeded"
        });
        greenroom.wait_state("chat", "ready");
        most = most.max(held());
    }
    assert!((4_000_000_000..=8_000_000_000).contains(&most), "{most} bytes were held");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_job_that_no_card_could_hold_fails_at_once_and_says_how_much_it_needs() {
    let greenroom = Greenroom::running(|g| config(g, CARD, "", "").replace("vram = \"4GB\"", "vram = \"20GB\""));
    greenroom.wait_state("chat", "ready");
    let before = greenroom.service("chat");
    let id = greenroom.submit("image", &json!({ "prompt": "a heron" }));
    let job = greenroom.wait_job(&id, &["failed"]);
    assert!(job["error"]["message"].to_string().contains("18.6GiB of VRAM"), "{job:#}");
    let now = greenroom.service("chat");
    assert_eq!((&now["state"], &now["run_id"]), (&before["state"], &before["run_id"]), "somebody left for it");
    greenroom.shutdown_clean();
}

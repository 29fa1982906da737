//! A job that is a request to a remote: A1111's WebUI on another machine, which here is another runtime that keeps it on a
//! port of its own.

use serde_json::{Value, json};

use crate::common::{BOUND, Greenroom, Http, image_job, wait_for};

/// The WebUI, and who asks it.
struct Two {
    far: Greenroom,
    near: Greenroom,
}

impl Two {
    /// A WebUI with these options; a remote, and a job that asks it, with these keys.
    #[track_caller]
    fn new(options: &str, remote: &str, job: &str) -> Self {
        let far = Greenroom::running(|g| {
            let port = g.port(1);
            let command = g.stand_in("webui", &format!("--engine webui --port {port} {options}"));
            format!("[service.webui]\nengine = \"a1111\"\ncommand = {command}\nport = {port}\ngpu = \"none\"\n")
        });
        far.cli(&["start", "webui"]).expect(0);
        let url = format!("http://127.0.0.1:{}", far.port(1));
        let near = Greenroom::running(|_| {
            format!(
                r#"
[remote.pod]
engine = "a1111"
urls = ["{url}"]
{remote}

{}"#,
                image_job("pod", &format!("retries = 0\n{job}"))
            )
        });
        Self { far, near }
    }

    /// How far the WebUI itself says that it is.
    fn progress(&self) -> Option<f64> {
        let answer = Http::Tcp(self.far.port(1)).get("/sdapi/v1/progress").expect("it answers");
        answer.json()["progress"].as_f64()
    }

    /// Submits an image that would take an hour, and waits until the WebUI paints it; its id.
    #[track_caller]
    fn painted(&self) -> String {
        let id = self.near.submit("image", &json!({ "prompt": "a heron", "steps": 100_000 }));
        self.near.wait_job(&id, &["running"]);
        wait_for("it is painted", BOUND, || self.progress() > Some(0.0));
        id
    }

    #[track_caller]
    fn end(self) {
        for greenroom in [&self.near, &self.far] {
            greenroom.shutdown_clean();
            greenroom.assert_clean();
        }
    }
}

#[test]
fn the_image_comes_back_from_there_and_is_kept_here() {
    let two = Two::new("--step-ms 20", "", "");
    let id = two.near.submit("image", &json!({ "prompt": "a heron" }));
    let job = two.near.wait_job(&id, &["succeeded"]);
    let files = job["result"]["files"].as_array().cloned().unwrap_or_default();
    assert_eq!(files.len(), 1, "{job:#}");
    let path = format!("/api/jobs/{id}/output?file={}", files[0].as_str().expect("a name"));
    let answer = two.near.api().get(&path).expect("an answer");
    assert!(answer.status == 200 && answer.body.contains("PNG"), "{answer:?}");
    assert_eq!(job["result"]["json"]["images"], Value::from(files), "{job:#}");
    two.end();
}

#[test]
fn one_that_is_taken_back_is_interrupted_there() {
    let two = Two::new("--step-ms 50", "", "");
    let id = two.painted();
    wait_for("how far it is comes from there", BOUND, || two.near.job(&id)["progress"]["ratio"].as_f64() > Some(0.0));
    assert_eq!(two.near.cancel_job(&id).status, 202);
    two.near.wait_job(&id, &["cancelled"]);
    assert_eq!(two.progress(), Some(0.0), "it is still painted");
    two.end();
}

/// The stand-in fails after every image, whatever became of it, that nobody has cleaned up after.
#[test]
fn what_it_leaves_is_cleaned_up_there_on_every_path() {
    let cleanup = "cleanup.actions = [{ http = \"POST /sdapi/v1/unload-checkpoint\" }]\ncleanup.delay = \"0ms\"";
    for (remote, job, is_clean) in [(cleanup, "", true), ("", cleanup, true), ("", "", false)] {
        let two = Two::new("--step-ms 20 --dirty", remote, job);
        let id = two.painted();
        assert_eq!(two.near.cancel_job(&id).status, 202);
        two.near.wait_job(&id, &["cancelled"]);
        let (expected, prompts) = if is_clean { ("succeeded", 3) } else { ("failed", 1) };
        for _ in 0..prompts {
            let next = two.near.submit("image", &json!({ "prompt": "a heron" }));
            two.near.wait_job(&next, &[expected]);
        }
        two.end();
    }
}

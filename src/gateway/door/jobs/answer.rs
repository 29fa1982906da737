//! The answer to a client whose job is done, in the shape that it knows. Pure: the images are put in by whoever sends it.

use greenroom_actors::job::JobView;
use serde_json::{Map, Value, json};

use super::wish::Call;

/// Names of files that are images end so.
const IMAGES: &[&str] = &["png", "jpg", "jpeg", "webp", "gif", "bmp", "avif"];

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// What is in this file of the output folder, in base64.
    Image(String),
}

/// The images that a job has made, in their order.
#[must_use]
pub fn images(job: &JobView) -> Vec<String> {
    let ending = |name: &str| name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let is_image = |name: &&String| ending(name).is_some_and(|ending| IMAGES.contains(&ending.as_str()));
    let files = job.result.iter().flat_map(|result| &result.files);
    files.filter(is_image).cloned().collect()
}

/// The answer with these images in it; `asked` is what an answer in the web UI's shape tells back.
#[must_use]
pub fn whole(call: Call, job: &JobView, images: Vec<String>, asked: Map<String, Value>) -> Vec<Piece> {
    let (open, between, close, end) = if call.is_web_ui() {
        let info = info(job, images.len()).to_string();
        let end = format!("],\"parameters\":{},\"info\":{}}}", Value::Object(asked), Value::from(info));
        ("{\"images\":[".to_owned(), "\"", "\"", end)
    } else {
        (format!("{{\"created\":{},\"data\":[", created(job)), "{\"b64_json\":\"", "\"}", "]}".to_owned())
    };
    let mut pieces = vec![Piece::Text(open)];
    for (place, image) in images.into_iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        pieces.push(Piece::Text(format!("{comma}{between}")));
        pieces.push(Piece::Image(image));
        pieces.push(Piece::Text(close.to_owned()));
    }
    pieces.push(Piece::Text(end));
    pieces
}

/// The answer that says where the images are to be had; `base` is where this door is (`http://localhost:8484`).
#[must_use]
pub fn urls(job: &JobView, images: &[String], base: &str) -> Value {
    let url = |image: &String| json!({ "url": format!("{base}/api/jobs/{}/output?file={}", job.id, encoded(image)) });
    json!({ "created": created(job), "data": images.iter().map(url).collect::<Vec<_>>() })
}

/// When it was done, in seconds since 1970.
fn created(job: &JobView) -> i64 {
    job.finished.unwrap_or(job.submitted).as_micros() / 1_000_000
}

/// What the web UI tells of how an image was made: what its own job has told, else the parameters.
fn info(job: &JobView, images: usize) -> Value {
    let told = job.result.as_ref().and_then(|result| result.json.as_ref()?.get("info"));
    let told = told.and_then(|info| match info {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    });
    let mut info = match told {
        Some(Value::Object(info)) => info,
        _ => job.params.clone(),
    };
    if let Some(seed) = info.get("seed").cloned() {
        info.entry("all_seeds").or_insert_with(|| Value::Array(vec![seed; images]));
    }
    info.insert("job_id".to_owned(), json!(job.id));
    Value::Object(info)
}

/// A name as it stands in a query (RFC 3986, section 2.3: what is not unreserved is percent-encoded).
fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{
        job::{JobId, JobOutcome, JobResult, JobState},
        time::Timestamp,
    };

    use super::*;

    fn job(files: &[&str], told: Option<Value>) -> JobView {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000 + 7);
        let params = json!({ "prompt": "a \"heron\"", "seed": 5 });
        JobView {
            id: "01J00000000000000000000000".parse().expect("an id"),
            job: "image".parse().expect("a name"),
            state: JobState::Cleaning,
            outcome: Some(JobOutcome::Succeeded),
            reason: None,
            params: params.as_object().cloned().unwrap_or_default(),
            priority: 0,
            attempt: 1,
            progress: None,
            submitted: at(1),
            started: Some(at(2)),
            finished: Some(at(3)),
            error: None,
            attempts: Vec::new(),
            result: Some(JobResult { files: files.iter().map(ToString::to_string).collect(), json: told }),
        }
    }

    /// The answer, with the name of each image in its place.
    fn read(pieces: &[Piece]) -> Value {
        let text = pieces.iter().map(|piece| match piece {
            Piece::Text(text) | Piece::Image(text) => text.as_str(),
        });
        serde_json::from_str(&text.collect::<String>()).expect("JSON")
    }

    #[test]
    fn files_that_are_no_images_stay_where_they_are() {
        let all = job(&["a.png", "log.txt", "b.JPEG", "png", "c.d.webp", "sub/e.png"], None);
        assert_eq!(images(&all), ["a.png", "b.JPEG", "c.d.webp", "sub/e.png"]);
        assert!(images(&JobView { result: None, ..all }).is_empty());
    }

    #[test]
    fn an_answer_is_json_with_the_images_in_their_places() {
        let made = |count: usize| (0..count).map(|place| format!("{place}.png")).collect::<Vec<_>>();
        let of = |call, count| read(&whole(call, &job(&[], None), made(count), Map::new()));
        for call in [Call::Generations, Call::Edits] {
            let data = json!([{ "b64_json": "0.png" }, { "b64_json": "1.png" }]);
            assert_eq!(of(call, 2), json!({ "created": 3, "data": data }));
            assert_eq!(of(call, 0), json!({ "created": 3, "data": [] }));
        }
        for call in [Call::TextToImage, Call::ImageToImage] {
            assert_eq!(of(call, 2)["images"], json!(["0.png", "1.png"]));
        }
    }

    #[test]
    fn the_web_ui_is_told_what_it_asked_and_how_the_image_was_made() {
        let asked = Map::from_iter([("prompt".to_owned(), json!("x")), ("init_images".to_owned(), Value::Null)]);
        let told = |json| {
            let answer = read(&whole(Call::TextToImage, &job(&[], json), vec!["0.png".to_owned()], asked.clone()));
            assert_eq!(answer["parameters"], json!({ "prompt": "x", "init_images": null }));
            serde_json::from_str::<Value>(answer["info"].as_str().expect("a text")).expect("JSON")
        };
        let id = "01J00000000000000000000000";
        let of_params = json!({ "prompt": "a \"heron\"", "seed": 5, "all_seeds": [5], "job_id": id });
        for nothing in [None, Some(json!({ "info": "not json" })), Some(json!([]))] {
            assert_eq!(told(nothing), of_params);
        }
        let own = json!({ "seed": 9, "all_seeds": [9], "job_id": id });
        assert_eq!(told(Some(json!({ "info": "{\"seed\": 9}" }))), own);
        assert_eq!(told(Some(json!({ "info": { "seed": 9 } }))), own);
    }

    #[test]
    fn where_an_image_is_to_be_had_is_a_url_with_its_name_in_it() {
        let job = job(&[], None);
        let urls = urls(&job, &["a b&c/ü.png".to_owned()], "http://x:1");
        let url = format!("http://x:1/api/jobs/{}/output?file=a%20b%26c%2F%C3%BC.png", job.id);
        assert_eq!(urls, json!({ "created": 3, "data": [{ "url": url }] }));
        assert_eq!(JobId::to_string(&job.id), "01J00000000000000000000000");
    }
}

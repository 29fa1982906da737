//! What ComfyUI tells of a prompt: over its websocket, in its history, and where it refuses one. Pure.
//!
//! `server.py` and `execution.py` say it in these words; what other versions say besides is passed over.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::job_queue::runner::refused::shortened;

/// A prompt's news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// So many steps of so many, of the node that is worked on.
    Step(u64, u64),
    /// It is done.
    Done,
    /// It failed: what happened.
    Failed(String),
    /// Somebody interrupted it.
    Interrupted,
    /// It gets on, or its turn has not come.
    Moves,
    /// Nothing about it.
    Nothing,
}

/// A file that it has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    /// Its name below the subfolder.
    pub filename: String,
    /// Its folder below the one of its kind.
    pub subfolder: String,
    /// `output`, or `temp` for a preview.
    pub kind: String,
    /// What it is called in the job's own folder.
    pub name: String,
}

/// What a text message of the websocket tells of this prompt.
pub(super) fn hear(message: &str, prompt: &str) -> Told {
    let Ok(message) = serde_json::from_str::<Value>(message) else { return Told::Nothing };
    let (Some(kind), Some(data)) = (message.get("type").and_then(Value::as_str), message.get("data")) else {
        return Told::Nothing;
    };
    // Older versions do not name the prompt of a step; it goes to whoever has submitted it alone.
    let is_ours = data.get("prompt_id").and_then(Value::as_str).map_or(kind == "progress", |id| id == prompt);
    if !is_ours {
        return Told::Nothing;
    }
    let number = |field: &str| data.get(field).and_then(Value::as_u64);
    match kind {
        "progress" => match (number("value"), number("max")) {
            (Some(value), Some(max)) => Told::Step(value, max),
            _ => Told::Nothing,
        },
        "executing" if data.get("node").is_some_and(Value::is_null) => Told::Done,
        "executing" | "execution_start" | "execution_cached" | "executed" => Told::Moves,
        "execution_success" => Told::Done,
        "execution_error" => Told::Failed(error(data)),
        "execution_interrupted" => Told::Interrupted,
        _ => Told::Nothing,
    }
}

/// `KSampler (node 3): OutOfMemoryError: Allocation on device`.
fn error(data: &Value) -> String {
    let text = |field: &str| data.get(field).and_then(Value::as_str).unwrap_or_default().trim();
    let (kind, what) = (text("exception_type"), text("exception_message"));
    let what = if kind.is_empty() { what.to_owned() } else { format!("{kind}: {what}") };
    shortened(&format!("{} (node {}): {what}", text("node_type"), text("node_id")))
}

/// How a prompt ended by its history; nothing while it is not in there.
pub(super) fn ended(history: &Value, prompt: &str) -> Told {
    let Some(entry) = history.get(prompt) else { return Told::Nothing };
    let messages = entry.pointer("/status/messages").and_then(Value::as_array);
    for message in messages.into_iter().flatten() {
        match (message.get(0).and_then(Value::as_str), message.get(1)) {
            (Some("execution_error"), Some(data)) => return Told::Failed(error(data)),
            (Some("execution_interrupted"), _) => return Told::Interrupted,
            _ => {}
        }
    }
    match entry.pointer("/status/status_str").and_then(Value::as_str) {
        Some("error") => Told::Failed("it says not why".to_owned()),
        _ => Told::Done,
    }
}

/// What a prompt has made, by its history; the names of files as they are kept stand in the outputs. Previews count where
/// there is nothing else.
pub(super) fn made(history: &Value, prompt: &str) -> (Vec<Made>, Value) {
    let mut outputs = history.get(prompt).and_then(|entry| entry.get("outputs")).cloned().unwrap_or(json!({}));
    let mut names = BTreeSet::new();
    let has_output = any_of(&outputs, "output");
    let mut files = Vec::new();
    walk(&mut outputs, &mut |place| {
        let text = |field: &str| place.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (filename, subfolder, kind) = (text("filename"), text("subfolder"), text("type"));
        if filename.is_empty() || (has_output && kind != "output") {
            return;
        }
        let name = own_name(&filename, &names);
        names.insert(name.clone());
        place["filename"] = Value::String(name.clone());
        files.push(Made { filename, subfolder, kind, name });
    });
    (files, outputs)
}

fn any_of(outputs: &Value, kind: &str) -> bool {
    let mut found = false;
    walk(&mut outputs.clone(), &mut |place| found |= place.get("type").and_then(Value::as_str) == Some(kind));
    found
}

/// Shows every file of every list of every node.
fn walk(outputs: &mut Value, show: &mut impl FnMut(&mut Value)) {
    let lists = outputs.as_object_mut().into_iter().flat_map(|nodes| nodes.values_mut());
    let lists = lists.filter_map(Value::as_object_mut).flat_map(|lists| lists.values_mut());
    let items = lists.filter_map(Value::as_array_mut).flatten();
    items.filter(|item| item.get("filename").is_some_and(Value::is_string)).for_each(show);
}

/// The last part of a name with letters, digits, `.`, `_` and `-` alone, and a number before it where there is one of that
/// name.
fn own_name(filename: &str, taken: &BTreeSet<String>) -> String {
    let last = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = last.trim_start_matches('.').chars().map(plain).take(100).collect();
    let name = if name.is_empty() { "file".to_owned() } else { name };
    let mut own = name.clone();
    let mut number = 2;
    while taken.contains(&own) {
        own = format!("{number}-{name}");
        number += 1;
    }
    own
}

/// What is wrong with which node, where a prompt was refused (400).
pub(super) fn refusal(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let nodes = body.get("node_errors")?.as_object()?;
    let told = nodes.iter().map(|(id, node)| {
        let errors = node.get("errors").and_then(Value::as_array).into_iter().flatten();
        let errors: Vec<String> = errors
            .map(|error| match (text(error.get("message")), text(error.get("details"))) {
                (message, details) if details.is_empty() => message,
                (message, details) => format!("{message}: {details}"),
            })
            .collect();
        format!("node {id} ({}): {}", text(node.get("class_type")), errors.join(", "))
    });
    let told: Vec<String> = told.collect();
    let first = text(body.pointer("/error/message"));
    let parts: Vec<String> = [first].into_iter().filter(|first| !first.is_empty()).chain(told).collect();
    (!nodes.is_empty()).then(|| shortened(&parts.join("; ")))
}

/// Whether a prompt is worked on, and whether it stands in line, by `GET /queue`. `is` says whether an entry is the one:
/// its id and its client are shown.
pub(super) fn places(queue: &Value, is: impl Fn(&str, &str) -> bool) -> (Vec<String>, Vec<String>) {
    let ids = |list: &str| {
        let entries = queue.get(list).and_then(Value::as_array).into_iter().flatten();
        let pairs = entries.filter_map(|entry| {
            let id = entry.get(1)?.as_str()?;
            let client =
                entry.get(3).and_then(|extra| extra.get("client_id")).and_then(Value::as_str).unwrap_or_default();
            is(id, client).then(|| id.to_owned())
        });
        pairs.collect()
    };
    (ids("queue_running"), ids("queue_pending"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn news_of_the_own_prompt_are_heard_and_others_are_not() {
        for (message, expected) in [
            (r#"{"type":"progress","data":{"value":3,"max":20,"prompt_id":"p","node":"3"}}"#, Told::Step(3, 20)),
            (r#"{"type":"progress","data":{"value":3,"max":20}}"#, Told::Step(3, 20)),
            (r#"{"type":"progress","data":{"value":3,"max":20,"prompt_id":"q"}}"#, Told::Nothing),
            (r#"{"type":"executing","data":{"node":"3","prompt_id":"p"}}"#, Told::Moves),
            (r#"{"type":"executing","data":{"node":null,"prompt_id":"p"}}"#, Told::Done),
            (r#"{"type":"executing","data":{"node":null,"prompt_id":"q"}}"#, Told::Nothing),
            (r#"{"type":"executing","data":{"node":null}}"#, Told::Nothing),
            (r#"{"type":"execution_success","data":{"prompt_id":"p"}}"#, Told::Done),
            (r#"{"type":"execution_interrupted","data":{"prompt_id":"p","node_id":"3"}}"#, Told::Interrupted),
            (r#"{"type":"status","data":{"status":{"exec_info":{"queue_remaining":1}}}}"#, Told::Nothing),
            ("[1]", Told::Nothing),
        ] {
            assert_eq!(hear(message, "p"), expected, "{message}");
        }
        let message = r#"{"type":"execution_error","data":{"prompt_id":"p","node_id":"3","node_type":"KSampler",
            "exception_message":"Allocation on device\n","exception_type":"torch.OutOfMemoryError","traceback":[]}}"#;
        let told = "KSampler (node 3): torch.OutOfMemoryError: Allocation on device";
        assert_eq!(hear(message, "p"), Told::Failed(told.to_owned()));
    }

    #[test]
    fn the_history_tells_the_end_and_what_was_made() {
        let outputs = json!({ "9": { "images": [
            { "filename": "a b.png", "subfolder": "x", "type": "output" },
            { "filename": "../a b.png", "subfolder": "", "type": "output" },
        ] }, "10": { "images": [{ "filename": "preview.png", "subfolder": "", "type": "temp" }], "text": ["hi"] } });
        let history = json!({ "p": { "outputs": outputs, "status": { "status_str": "success", "messages": [] } } });
        assert_eq!((ended(&history, "p"), ended(&history, "q")), (Told::Done, Told::Nothing));
        let (files, kept) = made(&history, "p");
        assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["a_b.png", "2-a_b.png"]);
        assert_eq!((files[0].filename.as_str(), files[0].subfolder.as_str()), ("a b.png", "x"));
        assert_eq!(kept["9"]["images"][1]["filename"], "2-a_b.png");
        assert_eq!(kept["10"]["images"][0]["filename"], "preview.png");
        let previews = json!({ "p": { "outputs": { "1": { "images": [{ "filename": "t.png", "type": "temp" }] } } } });
        assert_eq!(made(&previews, "p").0.len(), 1);
        let messages = json!([["execution_start", {}], ["execution_error", { "node_id": "3", "node_type": "K", "exception_message": "no" }]]);
        let history = json!({ "p": { "status": { "status_str": "error", "messages": messages } } });
        assert_eq!(ended(&history, "p"), Told::Failed("K (node 3): no".to_owned()));
        assert_eq!(made(&history, "p"), (Vec::new(), json!({})));
    }

    #[test]
    fn a_refusal_names_the_nodes() {
        let body = br#"{"error":{"type":"x","message":"Prompt outputs failed validation","details":""},
            "node_errors":{"6":{"errors":[{"message":"Required input is missing","details":"clip"}],"class_type":"CLIPTextEncode"}}}"#;
        let told = "Prompt outputs failed validation; node 6 (CLIPTextEncode): Required input is missing: clip";
        assert_eq!(refusal(body).as_deref(), Some(told));
        assert_eq!((refusal(b"{}"), refusal(br#"{"error":"x","node_errors":{}}"#)), (None, None));
    }

    #[test]
    fn prompts_are_found_in_the_queue() {
        let queue = json!({ "queue_running": [[1, "p", {}, { "client_id": "c" }, []]], "queue_pending": [[2, "q", {}, {}, []], [3, "r", {}, { "client_id": "c" }]] });
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(places(&queue, |_, client| client == "c"), (ids(&["p"]), ids(&["r"])));
        assert_eq!(places(&queue, |id, _| id == "q"), (ids(&[]), ids(&["q"])));
        assert_eq!(places(&json!(7), |_, _| true), (ids(&[]), ids(&[])));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn names_stay_in_the_folder_whatever_they_are(filename in "\\PC{0,300}") {
            let name = own_name(&filename, &BTreeSet::new());
            prop_assert!(!name.is_empty() && name.len() <= 100 && !name.starts_with('.'));
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
        }
    }
}

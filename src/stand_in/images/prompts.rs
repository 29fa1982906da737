//! ComfyUI's queue and what became of its prompts, without a clock or a socket.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

/// A prompt that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Its place among all.
    pub number: u64,
    /// Its id.
    pub id: String,
    /// Nodes by their ids.
    pub nodes: Map<String, Value>,
    /// Who hears how it fares; nobody named: everybody.
    pub client: Option<String>,
}

/// Why a prompt is not accepted: the body of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused(pub Value);

/// What is asked with `POST /prompt`.
///
/// # Errors
/// As `execution.py`, `validate_prompt`, has them, for what a prompt lacks most often.
pub fn checked(body: &Value) -> Result<(Map<String, Value>, Option<String>), Refused> {
    let refuse = |kind: &str, message: &str| {
        Refused(json!({
            "error": { "type": kind, "message": message, "details": message, "extra_info": {} }, "node_errors": {},
        }))
    };
    let Some(nodes) = body["prompt"].as_object() else { return Err(refuse("no_prompt", "No prompt provided")) };
    if let Some((id, _)) = nodes.iter().find(|(_, node)| !node["class_type"].is_string()) {
        return Err(refuse("missing_node_type", &format!("Node '{id}' is missing the class_type property")));
    }
    if !nodes.values().any(is_output) {
        return Err(refuse("prompt_no_outputs", "Prompt has no outputs"));
    }
    Ok((nodes.clone(), body["client_id"].as_str().map(str::to_owned)))
}

/// Whether a node's work is kept.
pub fn is_output(node: &Value) -> bool {
    node["class_type"].as_str().is_some_and(|kind| matches!(kind, "SaveImage" | "PreviewImage"))
}

/// Prompts that wait, the one that is worked on, and those that have ended.
#[derive(Debug, Default)]
pub struct Prompts {
    taken: u64,
    images: u64,
    pending: VecDeque<Prompt>,
    running: Option<Prompt>,
    history: Map<String, Value>,
    /// The prompt that is worked on is to end.
    interrupted: bool,
}

impl Prompts {
    /// Takes one; its number and its id, which is in the form of a UUID unless the client has one for it.
    pub fn add(&mut self, nodes: Map<String, Value>, client: Option<String>, id: Option<String>) -> (u64, String) {
        self.taken += 1;
        let number = self.taken;
        let id = id.unwrap_or_else(|| format!("00000000-0000-4000-a000-{number:012x}"));
        self.pending.push_back(Prompt { number, id: id.clone(), nodes, client });
        (number, id)
    }

    /// Begins the next one.
    pub fn begin(&mut self) -> Option<Prompt> {
        self.running = self.pending.pop_front();
        self.interrupted = false;
        self.running.clone()
    }

    /// Whether the prompt that is worked on is to end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// The prompt that is worked on is to end; with an id, only if it is that one.
    pub fn interrupt(&mut self, id: Option<&str>) -> bool {
        let is_it = self.running.as_ref().is_some_and(|prompt| id.is_none_or(|id| prompt.id == id));
        self.interrupted |= is_it;
        is_it
    }

    /// Forgets those that wait and are named.
    pub fn delete(&mut self, ids: &[&str]) {
        self.pending.retain(|prompt| !ids.contains(&prompt.id.as_str()));
    }

    /// Forgets all that wait.
    pub fn clear(&mut self) {
        self.pending.clear();
    }

    /// The one that is worked on has ended.
    pub fn end(&mut self, outputs: Map<String, Value>, status: &str, messages: Vec<Value>) {
        let Some(prompt) = self.running.take() else { return };
        let entry = json!({
            "prompt": told(&prompt),
            "outputs": outputs,
            "status": { "status_str": status, "completed": status == "success", "messages": messages },
            "meta": {},
        });
        self.history.insert(prompt.id, entry);
    }

    /// The name of the next image with this prefix.
    pub fn next_image(&mut self, prefix: &str) -> String {
        self.images += 1;
        format!("{prefix}_{:05}_.png", self.images)
    }

    /// Whether there is such an image.
    pub fn has_image(&self, name: &str) -> bool {
        let number = name.trim_end_matches("_.png").rsplit('_').next().and_then(|n| n.parse::<u64>().ok());
        number.is_some_and(|number| (1..=self.images).contains(&number))
    }

    /// How many are not done.
    pub fn remaining(&self) -> usize {
        self.pending.len() + usize::from(self.running.is_some())
    }

    /// `GET /queue`.
    pub fn queue(&self) -> Value {
        let running: Vec<Value> = self.running.iter().map(told).collect();
        let pending: Vec<Value> = self.pending.iter().map(told).collect();
        json!({ "queue_running": running, "queue_pending": pending })
    }

    /// `GET /history/{id}`.
    pub fn history(&self, id: &str) -> Value {
        self.history.get(id).map_or_else(|| json!({}), |entry| json!({ id: entry }))
    }
}

/// A prompt as the queue and the history show it.
fn told(prompt: &Prompt) -> Value {
    let outputs: Vec<&String> = prompt.nodes.iter().filter(|(_, node)| is_output(node)).map(|(id, _)| id).collect();
    json!([prompt.number, prompt.id, prompt.nodes, { "client_id": prompt.client }, outputs])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Map<String, Value> {
        let body = json!({ "prompt": { "9": { "class_type": "SaveImage", "inputs": {} } }, "client_id": "me" });
        checked(&body).expect("a prompt").0
    }

    #[test]
    fn what_is_no_prompt_is_refused() {
        let kind = |body: Value| checked(&body).err().map(|refused| refused.0["error"]["type"].clone());
        assert_eq!(kind(json!({})), Some(json!("no_prompt")));
        assert_eq!(kind(json!({ "prompt": { "1": {} } })), Some(json!("missing_node_type")));
        assert_eq!(kind(json!({ "prompt": { "1": { "class_type": "KSampler" } } })), Some(json!("prompt_no_outputs")));
    }

    #[test]
    fn one_is_worked_on_at_a_time_and_the_history_keeps_what_became_of_it() {
        let mut prompts = Prompts::default();
        assert_eq!(prompts.add(nodes(), None, Some("a".into())), (1, "a".into()));
        assert_eq!(prompts.add(nodes(), None, Some("b".into())).0, 2);
        assert_eq!(prompts.begin().map(|prompt| prompt.id), Some("a".into()));
        assert_eq!((prompts.queue()["queue_running"][0][1].clone(), prompts.remaining()), (json!("a"), 2));
        assert!(!prompts.interrupt(Some("b")) && prompts.interrupt(Some("a")) && prompts.is_interrupted());
        prompts.delete(&["b"]);
        prompts.end(Map::new(), "error", vec![]);
        assert_eq!((prompts.remaining(), prompts.begin()), (0, None));
        assert_eq!(prompts.history("a")["a"]["status"]["status_str"], "error");
        assert_eq!(prompts.history("b"), json!({}));
        let name = prompts.next_image("heron");
        assert!(name == "heron_00001_.png" && prompts.has_image(&name) && !prompts.has_image("heron_00002_.png"));
    }
}

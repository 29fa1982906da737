//! `[remote.NAME]`.

use std::path::Path;

use greenroom_actors::{
    engines::EngineRef,
    ids::ServiceName,
    spec::{Balance, RemoteSpec, ResetSpec},
};

use super::{cleanup, gateway::can_be_sent, read::Reader, url::Url};
use crate::config::tree::Node;

pub(super) fn build(reader: &mut Reader<'_>, name: ServiceName, state_dir: &Path) -> RemoteSpec {
    let own = name.to_string();
    let r = own.as_str();
    let engine = reader.text(&["remote", r, "engine"]);
    let serves = reader.texts(&["remote", r, "serves"]);
    RemoteSpec {
        urls: urls(reader, r),
        engine: reader.engines.named(&engine).unwrap_or_else(EngineRef::generic),
        serves: if serves.is_empty() { vec![own.clone()] } else { serves },
        balance: match reader.text(&["remote", r, "balance"]).as_str() {
            "round_robin" => Balance::RoundRobin,
            _ => Balance::LeastBusy,
        },
        api_key: api_key(reader, r),
        alive_interval: reader.duration(&["remote", r, "alive", "interval"]),
        cleanup: cleanup::of_remote(reader, r, state_dir),
        reset: ResetSpec::default(),
        name,
    }
}

/// Each without a `/` at its end. That there is one at least is seen when all is there.
fn urls(reader: &mut Reader<'_>, r: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for node in reader.node(&["remote", r, "urls"]).map(Node::items).unwrap_or_default() {
        let text = node.text().unwrap_or_default();
        let url = text.trim_end_matches('/').to_owned();
        if Url::read(text).is_none() {
            // It may hold a password, which is not for others to read.
            let message = format!("remote `{r}`: `urls`: this is no URL of a server");
            let help =
                "write scheme, host, and perhaps port and path, such as \"https://host:7860\"; a key goes into api_key";
            reader.error(node.span, message, help);
        } else if urls.contains(&url) {
            let message = format!("remote `{r}`: `urls`: `{url}` stands there twice");
            reader.error(node.span, message, "remove one of them");
        } else {
            urls.push(url);
        }
    }
    urls
}

fn api_key(reader: &mut Reader<'_>, r: &str) -> Option<String> {
    let path = ["remote", r, "api_key"];
    let key = reader.text(&path);
    if !can_be_sent(&key) {
        let span = reader.node(&path).map(|node| node.span).unwrap_or_default();
        let message = format!("remote `{r}`: `api_key` cannot stand in a header");
        reader.error(span, message, "a key has letters, digits and signs of ASCII, and no blanks");
    }
    Some(key).filter(|key| !key.is_empty())
}

//! `[remote.NAME]`.

use std::path::Path;

use greenroom_actors::{
    engines::EngineRef,
    ids::ServiceName,
    spec::{Balance, RemoteSpec, ResetSpec},
};

use super::{
    cleanup, command::fixed, gateway::can_be_sent, memory::is_said, read::Reader, url::Url, watchdog::is_asked,
};
use crate::config::{
    kind::http_call,
    tree::{Node, Value},
};

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
        reset: reset(reader, r),
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

/// What is done when clean-up does not help. A count of failures that leads to nothing is told, unless `reset = {}` says so.
fn reset(reader: &mut Reader<'_>, r: &str) -> ResetSpec {
    let field = |reader: &Reader<'_>, name| reader.node(&["remote", r, "reset"]).and_then(|n| n.field(name)).cloned();
    let reset = ResetSpec {
        http: field(reader, "http").and_then(|node| reset_call(reader, r, &node)),
        exec: field(reader, "exec")
            .map(|node| fixed(reader, &node, &format!("remote `{r}`: `reset.exec`")))
            .unwrap_or_default(),
    };
    let after = ["remote", r, "cleanup", "last_resort_after"];
    let said = reader.node(&after).filter(|node| is_said(node) && node.value != Value::Int(0));
    if let Some(node) = said.filter(|_| reader.node(&["remote", r, "reset"]).is_none_or(|node| !is_said(node))) {
        let message = format!("remote `{r}`: `cleanup.last_resort_after`: there is no last resort");
        reader.warn(
            node.span,
            message,
            "say in `reset` what is to be done, such as { http = \"POST https://host/restart\" }",
        );
    }
    reset
}

fn reset_call(reader: &mut Reader<'_>, r: &str, node: &Node) -> Option<(String, String)> {
    let (method, url) = http_call(node.text()?)?;
    if !is_asked(url) {
        // It may hold a key, which is not for others to read.
        let message = format!("remote `{r}`: `reset.http`: this is no URL that can be asked");
        reader.error(node.span, message, "write method and URL, such as \"POST https://host/restart\"");
        return None;
    }
    Some((method.to_owned(), url.to_owned()))
}

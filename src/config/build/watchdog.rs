//! `[watchdog]`.

use greenroom_actors::{
    spec::{BundleOn, BundleSpec, FailureClass, NotifySpec, WatchdogSpec},
    template::Template,
};

use super::{
    command::fixed,
    memory::span,
    read::{Reader, word},
    url::Url,
};
use crate::config::{
    source::Span,
    tree::{Node, Value},
};

pub(super) fn build(reader: &mut Reader<'_>) -> WatchdogSpec {
    let spec = WatchdogSpec {
        enabled: reader.bool(&["watchdog", "enabled"]),
        interval: reader.duration(&["watchdog", "interval"]),
        memory_warning: ratio(reader, &["watchdog", "memory", "warning"]),
        memory_critical: ratio(reader, &["watchdog", "memory", "critical"]),
        double_within: reader.duration(&["watchdog", "runaway", "double_within"]),
        actor_heartbeat: reader.duration(&["watchdog", "actor_heartbeat"]),
        bundles: BundleSpec {
            on: bundle_on(reader),
            min_interval: reader.duration(&["watchdog", "bundle_min_interval"]),
            keep: reader.number(&["watchdog", "bundle_keep"]),
        },
        notify: notify(reader),
    };
    check_memory(reader, &spec);
    spec
}

/// A warning comes before it is critical.
fn check_memory(reader: &mut Reader<'_>, spec: &WatchdogSpec) {
    let keys = ["warning", "critical"].map(|name| ["watchdog", "memory", name]);
    let WatchdogSpec { memory_warning, memory_critical, .. } = spec;
    if memory_warning < memory_critical || keys.iter().any(|key| reader.effective.is_faulty(key)) {
        return;
    }
    let said = keys.iter().map(|key| span(reader, key)).find(|span| *span != Span::default());
    let message =
        format!("`watchdog.memory.warning`, {memory_warning}, is not below `critical`, which is {memory_critical}");
    reader.error(said.unwrap_or_default(), message, "make `warning` the smaller of the two");
}

fn ratio(reader: &mut Reader<'_>, key: &[&str]) -> f64 {
    reader.value(key, |node| match &node.value {
        Value::Float(ratio) => Some(*ratio),
        #[allow(clippy::cast_precision_loss, reason = "0 or 1")]
        Value::Int(ratio) => Some(*ratio as f64),
        _ => None,
    })
}

/// Each once.
fn bundle_on(reader: &mut Reader<'_>) -> Vec<BundleOn> {
    let mut all = Vec::new();
    for text in reader.texts(&["watchdog", "bundle_on"]) {
        let on = match text.as_str() {
            "warning" => BundleOn::Warning,
            "critical" => BundleOn::Critical,
            "emergency" => BundleOn::Emergency,
            class => BundleOn::Class(word(class).unwrap_or(FailureClass::Unknown)),
        };
        if !all.contains(&on) {
            all.push(on);
        }
    }
    all
}

fn notify(reader: &mut Reader<'_>) -> NotifySpec {
    let key = ["watchdog", "notify"];
    let field = |reader: &Reader<'_>, name| reader.node(&key).and_then(|node| node.field(name)).cloned();
    let webhook = field(reader, "webhook").and_then(|node| webhook(reader, &node));
    let exec = field(reader, "exec").map(|node| fixed(reader, &node, "`watchdog.notify.exec`"));
    let exec = exec.filter(|words| !words.is_empty());
    let exec = exec.map(|words| words.iter().map(Template::plain).collect());
    NotifySpec { webhook, exec }
}

fn webhook(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = node.text()?;
    if !is_asked(text) {
        // It may hold a key, which is not for others to read.
        let message = "`watchdog.notify.webhook`: this is no URL that can be asked";
        reader.error(node.span, message, "write scheme, host, and perhaps port, path and `?...`");
        return None;
    }
    Some(text.to_owned())
}

/// Whether a request can be sent to this URL: a server's, perhaps with a query.
pub(super) fn is_asked(text: &str) -> bool {
    let (server, query) = text.split_once('?').unwrap_or((text, ""));
    Url::read(server).is_some() && !query.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_asked_is_told_from_what_cannot() {
        for good in ["http://h", "https://hooks.example/a/b?token=x&y=1", "http://[::1]:9/x"] {
            assert!(is_asked(good), "{good}");
        }
        for bad in ["https://", "https://?x", "http://user:pass@h/", "ftp://h", "http://h/#x", "http://h?a#x"] {
            assert!(!is_asked(bad), "{bad}");
        }
    }
}

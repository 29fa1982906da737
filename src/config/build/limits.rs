//! `limits` of `[service.NAME]`: what is too much of it.

use std::time::Duration;

use greenroom_actors::{
    spec::{Growth, LimitsSpec, OnExceed, ProcessLimits},
    units::{ByteSize, parse_duration},
};

use super::{memory::span, read::Reader};
use crate::config::tree::Value;

/// Samples that a window must have room for: fewer say nothing of a slope.
const SAMPLES: u32 = 4;

pub(super) fn limits(reader: &mut Reader<'_>, s: &str) -> LimitsSpec {
    let key = |name| ["service", s, "limits", name];
    LimitsSpec {
        ram: reader.text(&key("ram")).parse::<ByteSize>().ok(),
        processes: processes(reader, s),
        growth: growth(reader, s),
        on_exceed: match reader.text(&key("on_exceed")).as_str() {
            "warn" => OnExceed::Warn,
            "restart" => OnExceed::Restart,
            "stop" => OnExceed::Stop,
            _ => OnExceed::RestartWhenIdle,
        },
        progress: reader.duration(&key("progress")),
    }
}

fn processes(reader: &mut Reader<'_>, s: &str) -> ProcessLimits {
    let Some(node) = reader.node(&["service", s, "limits", "processes"]) else { return ProcessLimits::Auto };
    let count = |name| match node.field(name).map(|node| &node.value) {
        Some(Value::Int(count)) => u32::try_from(*count).ok(),
        _ => None,
    };
    let (warning, critical) = (count("warning"), count("critical"));
    if let (Some(warning), Some(critical)) = (warning, critical)
        && warning >= critical
    {
        let message = format!(
            "service `{s}`: `limits.processes.warning`, {warning}, is not below `critical`, which is {critical}"
        );
        let at = node.field("warning").map_or(node.span, |node| node.span);
        reader.error(at, message, "a warning comes before it is critical: make `warning` the smaller of the two");
    }
    match (warning, critical) {
        (None, None) => ProcessLimits::Auto,
        (warning, critical) => ProcessLimits::Set { warning, critical },
    }
}

fn growth(reader: &mut Reader<'_>, s: &str) -> Option<Growth> {
    let key = ["service", s, "limits", "growth"];
    let growth = read(&reader.text(&key))?;
    let interval: Duration = reader.duration(&["watchdog", "interval"]);
    let least = interval.saturating_mul(SAMPLES);
    if growth.within < least {
        let message = format!(
            "service `{s}`: `limits.growth`: {within:?} hold fewer than {SAMPLES} samples, of which there is one every \
             {interval:?}",
            within = growth.within
        );
        reader.error(
            span(reader, &key),
            message,
            format!("look at a longer time, {least:?} or more, or make watchdog.interval shorter"),
        );
    }
    Some(growth)
}

/// `"200MiB/10m"`; `None` for nothing.
fn read(text: &str) -> Option<Growth> {
    let (bytes, within) = text.split_once('/')?;
    Some(Growth { bytes: bytes.parse().ok()?, within: parse_duration(within).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growth_is_so_many_bytes_within_so_long() {
        let expected = Growth { bytes: ByteSize(200 << 20), within: Duration::from_secs(600) };
        assert_eq!(read("200MiB/10m"), Some(expected));
        assert_eq!(read(""), None);
    }
}

//! `limits` of `[service.NAME]` and `[job.NAME]`: what is too much of it. Pure.

use std::time::Duration;

use greenroom_actors::{
    spec::{Growth, LimitsSpec, OnExceed, ProcessLimits},
    units::{ByteSize, parse_duration},
};

use super::{memory::span, owner::Owner, read::Reader};
use crate::config::tree::Value;

/// Samples that a window must have room for: fewer say nothing of a slope.
const SAMPLES: u32 = 4;
/// Processes of a job from which it is a warning: a data loader or a compiler has one for each core of a usual machine.
const JOB_WARNING: u32 = 64;

pub(super) fn limits(reader: &mut Reader<'_>, s: &str) -> LimitsSpec {
    let key = |name| ["service", s, "limits", name];
    LimitsSpec {
        ram: reader.text(&key("ram")).parse::<ByteSize>().ok(),
        processes: match counts(reader, Owner::service(s)) {
            (None, None) => ProcessLimits::Auto,
            (warning, critical) => ProcessLimits::Set { warning, critical },
        },
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

/// Of the process of a job. It has no moment of being ready whose count could be the measure, so its levels are plain numbers.
pub(super) fn of_job(reader: &mut Reader<'_>, j: &str) -> LimitsSpec {
    let (warning, critical) = both(counts(reader, Owner::job(j)));
    LimitsSpec {
        processes: ProcessLimits::Set { warning: Some(warning), critical: Some(critical) },
        progress: reader.duration(&["job", j, "limits", "progress"]),
        ..LimitsSpec::default()
    }
}

/// What a job's levels are where one of them is left out, or both: critical is twice the warning.
fn both(counts: (Option<u32>, Option<u32>)) -> (u32, u32) {
    match counts {
        (Some(warning), Some(critical)) => (warning, critical),
        (Some(warning), None) => (warning, warning.saturating_mul(2)),
        (None, Some(critical)) => ((critical / 2).max(1), critical),
        (None, None) => (JOB_WARNING, 2 * JOB_WARNING),
    }
}

/// What `limits.processes` says of a warning, and of what is critical.
fn counts(reader: &mut Reader<'_>, who: Owner<'_>) -> (Option<u32>, Option<u32>) {
    let Some(node) = reader.node(&who.key(&["limits", "processes"])) else { return (None, None) };
    let count = |name| match node.field(name).map(|node| &node.value) {
        Some(Value::Int(count)) => u32::try_from(*count).ok(),
        _ => None,
    };
    let (warning, critical) = (count("warning"), count("critical"));
    if let (Some(warning), Some(critical)) = (warning, critical)
        && warning >= critical
    {
        let message =
            format!("{who}: `limits.processes.warning`, {warning}, is not below `critical`, which is {critical}");
        let at = node.field("warning").map_or(node.span, |node| node.span);
        reader.error(at, message, "a warning comes before it is critical: make `warning` the smaller of the two");
    }
    (warning, critical)
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

    #[test]
    fn a_level_of_a_job_that_is_left_out_goes_by_the_other() {
        assert_eq!(both((None, None)), (64, 128));
        assert_eq!(both((Some(200), None)), (200, 400));
        assert_eq!(both((None, Some(10))), (5, 10));
        assert_eq!(both((None, Some(1))), (1, 1));
        assert_eq!(both((Some(3), Some(4))), (3, 4));
    }
}

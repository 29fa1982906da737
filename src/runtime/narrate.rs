//! What the log of a runtime says of its events: one line per thing. Pure.
//!
//! A start is one line when the service is ready, with how long it took; so is a stop. Only one that takes longer than
//! [`PATIENCE`] is also told while it lasts. What repeats what another line has said is left out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use greenroom_actors::{
    event::{Event, EventKind, Severity},
    ids::ServiceName,
    job::JobState,
    state::ServiceState,
    time::Timestamp,
    units::format_duration,
};
use tracing::Level;

use super::told;

/// How long a start or a stop may take before it is told that it goes on.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How bad it is.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// Turns events into lines.
#[derive(Debug, Default)]
pub struct Narrator {
    /// When each service that is on its way began to start or to stop.
    begun: BTreeMap<ServiceName, Timestamp>,
    /// Lines that are told when nothing else comes first.
    held: BTreeMap<ServiceName, (Instant, Line)>,
    /// Refusals that were told and that the state after them repeats.
    refused: BTreeMap<ServiceName, String>,
}

impl Narrator {
    /// What there is to say about `event`, which came at `now`.
    pub fn hear(&mut self, event: &Event, now: Instant) -> Option<Line> {
        let line = |level, text: String| Some(Line { level, text });
        match &event.kind {
            EventKind::ServiceState { .. } => self.state(event, now),
            EventKind::ServiceLoad { .. } => None,
            // The change of state beside it says the same.
            EventKind::AlertRaised { alert, service: Some(_), .. }
                if matches!(alert.as_str(), "failed" | "quarantined" | "stuck") =>
            {
                None
            }
            EventKind::AlertRaised { alert, severity, service, message } => {
                let level = if *severity == Severity::Warning { Level::WARN } else { Level::ERROR };
                line(level, format!("{}{alert}: {message}", about(service.as_ref())))
            }
            EventKind::AlertCleared { alert, service } => {
                line(Level::INFO, format!("{}{alert} is over", about(service.as_ref())))
            }
            EventKind::RuntimeState { state, reason } => line(Level::INFO, format!("runtime {state}{}", why(reason))),
            EventKind::ConfigReloaded { .. } => reloaded(&event.kind).map(|text| Line { level: Level::INFO, text }),
            EventKind::PlanDecided { service, refusal: Some(refusal), .. } => {
                let text = refusal.to_string();
                self.refused.insert(service.clone(), text.clone());
                line(Level::WARN, format!("{service}: {text}"))
            }
            // Its start says enough.
            EventKind::PlanDecided { offload, .. } if offload.is_empty() => None,
            EventKind::PlanDecided { service, offload, .. } => {
                let names: Vec<&str> = offload.iter().map(ServiceName::as_str).collect();
                let verb = if names.len() == 1 { "leaves" } else { "leave" };
                line(Level::INFO, format!("{service}: {} {verb} for it", names.join(", ")))
            }
            EventKind::SwapDone { service, from, seconds, .. } => line(Level::INFO, told::swap(service, from, seconds)),
            EventKind::JobState { id, job, to, reason, .. } => match to {
                JobState::Failed => line(Level::WARN, format!("job {id} ({job}): failed{}", why(reason))),
                JobState::Succeeded | JobState::Cancelled => {
                    line(Level::INFO, format!("job {id} ({job}): {}{}", to.name(), why(reason)))
                }
                JobState::Queued | JobState::Waiting | JobState::Running | JobState::Cleaning => None,
            },
            EventKind::JobProgress { .. } => None,
            EventKind::Gap { missed } => line(Level::WARN, format!("{missed} events came too fast to be logged")),
        }
    }

    /// When a held line is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.held.values().map(|(due, _)| *due).min()
    }

    /// The held lines that are due at `now`.
    pub fn due(&mut self, now: Instant) -> Vec<Line> {
        let due: Vec<ServiceName> =
            self.held.iter().filter(|(_, (at, _))| *at <= now).map(|(s, _)| s.clone()).collect();
        due.iter().filter_map(|service| self.held.remove(service)).map(|(_, line)| line).collect()
    }

    fn state(&mut self, event: &Event, now: Instant) -> Option<Line> {
        let EventKind::ServiceState { service, from, to, reason, pid, exit, .. } = &event.kind else { return None };
        self.held.remove(service);
        let told = self.refused.remove(service);
        if told.is_some() && told == *reason {
            return None;
        }
        if matches!(to, ServiceState::Spawning | ServiceState::Stopping) {
            self.begun.insert(service.clone(), event.at);
        }
        let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        let plain = format!("{service}: {}{pid}{}", to.name(), why(reason));
        let mut took = || match self.begun.remove(service) {
            Some(since) => format!(" after {}", format_duration(to_millis(event.at.since(since)))),
            None => String::new(),
        };
        let (level, text) = match to {
            ServiceState::Spawning => {
                // The first restart after a failure is immediate: no other state tells of it.
                exit.as_ref().and_then(|exit| exit.class)?;
                (Level::WARN, format!("{service}: {}; started again", reason.as_deref().unwrap_or("failed")))
            }
            // Nothing was spawned: a kept service.
            ServiceState::Starting if *from == ServiceState::Stopped => {
                (Level::INFO, format!("{service}: {}{pid}", reason.as_deref().unwrap_or("kept")))
            }
            // Worth a line only where it takes long: what comes of it is told anyway.
            ServiceState::Starting | ServiceState::Stopping | ServiceState::Reserved | ServiceState::Reclaiming => {
                let reason = if *to == ServiceState::Starting { String::new() } else { why(reason) };
                let text = format!("{service}: {}{pid}{reason}", to.name());
                self.held.insert(service.clone(), (now + PATIENCE, Line { level: Level::INFO, text }));
                return None;
            }
            ServiceState::Ready if *from == ServiceState::Unready => {
                (Level::INFO, format!("{service}: ready again{pid}"))
            }
            ServiceState::Ready => (Level::INFO, format!("{service}: ready{}{pid}", took())),
            ServiceState::Stopped => (Level::INFO, format!("{service}: stopped{}{}", took(), why(reason))),
            ServiceState::Offloaded => (Level::INFO, format!("{service}: offloaded{}{}", took(), why(reason))),
            ServiceState::Sleeping => (Level::INFO, format!("{service}: sleeping{}", why(reason))),
            ServiceState::Draining | ServiceState::Completed => (Level::INFO, plain),
            ServiceState::Killing | ServiceState::Backoff | ServiceState::Unready => (Level::WARN, plain),
            ServiceState::Failed | ServiceState::Quarantined | ServiceState::Stuck => (Level::ERROR, plain),
        };
        Some(Line { level, text })
    }
}

/// What a reload has begun, in one line.
fn reloaded(event: &EventKind) -> Option<String> {
    let EventKind::ConfigReloaded { changed, live, restarted, added, removed, next_start } = event else { return None };
    fn listed<T: ToString>(what: &str, names: &[T]) -> Option<String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    }
    let parts = [
        listed("changed", changed),
        listed("new values for", live),
        listed("restarts", restarted),
        listed("adds", added),
        listed("removes", removed),
        listed("waits for the next start:", next_start),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let what = if parts.is_empty() { "nothing has changed".to_owned() } else { parts.join("; ") };
    Some(format!("configuration reloaded: {what}"))
}

fn about(service: Option<&ServiceName>) -> String {
    service.map(|service| format!("{service}: ")).unwrap_or_default()
}

fn why(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Nobody reads more of it.
fn to_millis(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{
        event::{EventId, SwapSeconds},
        ids::{Pid, RunId},
        memory::{Amounts, Holder, NeedSource, Pool, Refusal, RefusalKind, Stays},
        os::clock,
        spec::FailureClass,
        state::ExitReport,
    };

    use super::*;

    /// One service's change of state at a moment, in milliseconds.
    fn change(ms: i64, from: ServiceState, to: ServiceState, reason: Option<&str>) -> Event {
        Event {
            id: EventId { epoch: 1, sequence: 1 },
            at: Timestamp::from_micros(ms * 1_000),
            kind: EventKind::ServiceState {
                service: "chat".parse().expect("a name"),
                run_id: None,
                from,
                to,
                reason: reason.map(str::to_owned),
                pid: (to == ServiceState::Ready).then_some(Pid(7)),
                exit: (reason == Some("boom")).then(|| ExitReport {
                    code: Some(1),
                    signal: None,
                    class: Some(FailureClass::Exit),
                    stderr: Vec::new(),
                    at: Timestamp::from_micros(ms * 1_000),
                }),
            },
        }
    }

    fn texts(events: &[Event]) -> Vec<String> {
        let (mut narrator, now) = (Narrator::default(), clock::now());
        events.iter().filter_map(|event| narrator.hear(event, now)).map(|line| line.text).collect()
    }

    #[test]
    fn a_start_and_a_stop_are_one_line_each() {
        use ServiceState::{Ready, Spawning, Starting, Stopped, Stopping};
        let lines = texts(&[
            change(0, Stopped, Spawning, None),
            change(5, Spawning, Starting, None),
            change(172, Starting, Ready, None),
            change(1_000, Ready, Stopping, Some("by request")),
            change(1_018, Stopping, Stopped, Some("by request")),
        ]);
        assert_eq!(lines, ["chat: ready after 172ms (pid 7)", "chat: stopped after 18ms: by request"]);
    }

    #[test]
    fn an_offload_is_one_line_and_memory_that_takes_long_another() {
        use ServiceState::{Draining, Offloaded, Ready, Reclaiming, Reserved, Stopping};
        let (mut narrator, now) = (Narrator::default(), clock::now());
        let reason = Some("image needs its memory");
        let mut hear = |event: &Event| narrator.hear(event, now).map(|line| line.text);
        assert_eq!(
            hear(&change(0, Ready, Draining, reason)).as_deref(),
            Some("chat: draining: image needs its memory")
        );
        assert_eq!(hear(&change(5, Draining, Stopping, reason)), None);
        assert_eq!(hear(&change(205, Stopping, Reclaiming, reason)), None);
        assert_eq!(
            hear(&change(300, Reclaiming, Offloaded, reason)).as_deref(),
            Some("chat: offloaded after 295ms: image needs its memory")
        );
        assert_eq!(hear(&change(400, Offloaded, Reserved, Some("waits for image to leave"))), None);
        let told = narrator.due(now + PATIENCE);
        assert_eq!(told.first().map(|line| line.text.as_str()), Some("chat: reserved: waits for image to leave"));
    }

    #[test]
    fn plans_and_swaps_are_told_and_a_refusal_once() {
        let name = |text: &str| text.parse::<ServiceName>().expect("a name");
        let plan = |offload: &[&str], refusal: Option<Box<Refusal>>| Event {
            kind: EventKind::PlanDecided {
                service: name("chat"),
                run_id: RunId::fresh(),
                need: NeedSource::User,
                gpus: Vec::new(),
                lease: Amounts::default(),
                gpu_layers: None,
                offload: offload.iter().map(|other| name(other)).collect(),
                refusal,
            },
            ..change(0, ServiceState::Ready, ServiceState::Ready, None)
        };
        let refusal = Refusal {
            service: name("chat"),
            kind: RefusalKind::InTheWay,
            missing: Vec::new(),
            holders: vec![Holder::new(Some(name("image")), Pool::Ram, 1 << 30, Stays::Pinned)],
        };
        let reason = refusal.to_string();
        let swap = Event {
            kind: EventKind::SwapDone {
                service: name("chat"),
                run_id: RunId::fresh(),
                from: vec![name("image")],
                seconds: SwapSeconds { stop: 0.2, load: 1.0, total: 1.2, ..SwapSeconds::default() },
            },
            ..change(0, ServiceState::Ready, ServiceState::Ready, None)
        };
        let lines = texts(&[
            plan(&[], Some(Box::new(refusal))),
            change(1, ServiceState::Reserved, ServiceState::Stopped, Some(&reason)),
            plan(&[], None),
            plan(&["image"], None),
            plan(&["image", "tts"], None),
            swap,
        ]);
        assert_eq!(
            lines,
            [
                "chat: there is no memory for it; image holds 1GiB (pinned)",
                "chat: image leaves for it",
                "chat: image, tts leave for it",
                "chat in after 1.2s: image left (stop 200ms), load 1.0s",
            ]
        );
    }

    #[test]
    fn a_kept_service_is_told_when_it_is_taken_over() {
        use ServiceState::{Ready, Starting, Stopped};
        let kept = change(0, Stopped, Starting, Some("kept by an earlier runtime"));
        let lines = texts(&[kept, change(20, Starting, Ready, None)]);
        assert_eq!(lines, ["chat: kept by an earlier runtime", "chat: ready (pid 7)"]);
    }

    #[test]
    fn a_reload_is_one_line_that_says_what_it_begins() {
        let reload = |changed: &[&str], removed: &[&str], next_start: &[&str]| Event {
            kind: EventKind::ConfigReloaded {
                changed: changed.iter().map(|key| (*key).to_owned()).collect(),
                live: Vec::new(),
                restarted: Vec::new(),
                added: Vec::new(),
                removed: removed.iter().map(|name| name.parse().expect("a name")).collect(),
                next_start: next_start.iter().map(|key| (*key).to_owned()).collect(),
            },
            ..change(0, ServiceState::Ready, ServiceState::Ready, None)
        };
        let lines = texts(&[reload(&[], &[], &[]), reload(&["a.b", "c"], &["web", "db"], &["runtime.ports"])]);
        assert_eq!(lines[0], "configuration reloaded: nothing has changed");
        assert_eq!(
            lines[1],
            "configuration reloaded: changed a.b, c; removes web, db; waits for the next start: runtime.ports"
        );
    }

    #[test]
    fn a_long_start_is_told_while_it_lasts() {
        use ServiceState::{Ready, Spawning, Starting, Stopped};
        let (mut narrator, now) = (Narrator::default(), clock::now());
        assert_eq!(narrator.hear(&change(0, Stopped, Spawning, None), now), None);
        assert_eq!(narrator.hear(&change(0, Spawning, Starting, None), now), None);
        assert_eq!(narrator.next_due(), Some(now + PATIENCE));
        assert_eq!(narrator.due(now), []);
        let told = narrator.due(now + PATIENCE);
        assert_eq!(told, [Line { level: Level::INFO, text: "chat: starting".to_owned() }]);
        assert_eq!(narrator.next_due(), None);
        let ready = narrator.hear(&change(2_000, Starting, Ready, None), now).expect("a line");
        assert_eq!(ready.text, "chat: ready after 2s (pid 7)");
    }

    #[test]
    fn a_failure_is_told_once_and_as_what_it_is() {
        use ServiceState::{Backoff, Failed, Ready, Spawning, Stopping};
        let (mut narrator, now) = (Narrator::default(), clock::now());
        let mut level = |event: &Event| narrator.hear(event, now).map(|line| line.level);
        assert_eq!(level(&change(0, Ready, Spawning, Some("boom"))), Some(Level::WARN));
        assert_eq!(level(&change(0, Stopping, Spawning, Some("by request"))), None);
        assert_eq!(level(&change(0, Stopping, Backoff, Some("exit code 1"))), Some(Level::WARN));
        assert_eq!(level(&change(0, Ready, Failed, Some("gave up"))), Some(Level::ERROR));
        let alert = EventKind::AlertRaised {
            alert: "failed".to_owned(),
            severity: Severity::Critical,
            service: Some("chat".parse().expect("a name")),
            message: "gave up".to_owned(),
        };
        let event = Event { kind: alert, ..change(0, Ready, Failed, None) };
        assert_eq!(level(&event), None);
    }
}

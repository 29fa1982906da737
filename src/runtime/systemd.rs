//! Under systemd with `Type=notify`: says when the runtime runs and when it stops, and, with `WatchdogSec=`, that it lives.
//!
//! All of it is said from the control thread, where the actors live, so that a sign of life shows by itself that this thread
//! goes on. It is given only while whoever watches has looked lately and has got answers from all actors; where nothing is
//! watched, the thread alone is what is shown.

use std::{
    io,
    time::{Duration, Instant},
};

use greenroom_actors::{
    event::{EventBus, EventKind, EventStream},
    os::{clock, notify_socket::NotifySocket},
    spec::WatchdogSpec,
    time::Timestamp,
    watchdog::{
        alerts::ACTOR_SILENT,
        board::{WatchBoard, WatchView},
    },
};
use tokio::task::JoinHandle;

/// How much later than planned a look may come before it counts as missing.
const LATE: Duration = Duration::from_secs(5);

/// Begins to tell the service manager, where one wants to be told. To be called on the control thread before the runtime
/// says that it runs. Ends by itself with the bus.
pub(super) fn tell(bus: &EventBus, board: &WatchBoard, spec: &WatchdogSpec) -> Option<JoinHandle<()>> {
    let socket = match NotifySocket::from_environment() {
        Ok(socket) => socket?,
        Err(error) => {
            tracing::warn!(%error, "NOTIFY_SOCKET names no socket, so the service manager is not told that the runtime runs");
            return None;
        }
    };
    // Twice within the span that is waited, as sd_watchdog_enabled(3) recommends.
    let every = socket.watchdog().map(|within| (within / 2).max(Duration::from_millis(1)));
    let health = Health { board: board.clone(), sight: Sight::new(spec, clock::now()) };
    Some(actix::spawn(Teller { socket, health, phase: Phase::Starting, silent: false }.run(bus.subscribe(None), every)))
}

/// What the runtime is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    Stopping,
}

struct Teller {
    socket: NotifySocket,
    health: Health,
    phase: Phase,
    /// The last sign of life was withheld.
    silent: bool,
}

impl Teller {
    async fn run(mut self, mut events: EventStream, every: Option<Duration>) {
        let mut next = every.map(|every| clock::now() + every);
        loop {
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.hear(&event.kind),
                    None => return,
                },
                () = due => {
                    next = every.map(|every| clock::now() + every);
                    self.live();
                }
            }
        }
    }

    fn hear(&mut self, event: &EventKind) {
        let EventKind::RuntimeState { state, .. } = event else { return };
        match state.as_str() {
            "running" => {
                self.phase = Phase::Running;
                said(self.socket.ready());
            }
            "stopping" => {
                self.phase = Phase::Stopping;
                said(self.socket.stopping());
            }
            _ => {}
        }
    }

    /// The time of a sign of life has come.
    fn live(&mut self) {
        // From the start of the stop on the actors leave one after the other, and their deadline is the bound.
        let ill = match self.phase {
            Phase::Running => self.health.ill(clock::now()),
            Phase::Starting | Phase::Stopping => None,
        };
        match ill {
            None => {
                self.silent = false;
                said(self.socket.alive());
            }
            Some(why) if !self.silent => {
                self.silent = true;
                tracing::error!("the service manager gets no sign of life: {why}");
            }
            Some(_) => {}
        }
    }
}

/// A manager that has gone, or does not listen, is no reason to do anything else.
fn said(told: io::Result<()>) {
    if let Err(error) = told {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Whether somebody looks at the actors, and all of them answer.
#[derive(Debug)]
struct Health {
    board: WatchBoard,
    sight: Sight,
}

impl Health {
    fn ill(&mut self, now: Instant) -> Option<String> {
        self.sight.ill(&self.board.look(), now)
    }
}

/// What the board has shown so far.
#[derive(Debug)]
struct Sight {
    /// Whether anybody looks.
    enabled: bool,
    /// How long two looks may lie apart.
    patience: Duration,
    /// The last look, and when it was new. Not its own time of day: that may be set.
    last: Option<Timestamp>,
    since: Instant,
}

impl Sight {
    fn new(spec: &WatchdogSpec, now: Instant) -> Self {
        let patience = spec.interval.saturating_mul(2).saturating_add(LATE);
        Self { enabled: spec.enabled, patience, last: None, since: now }
    }

    /// Why no sign of life is to be given, if there is a reason.
    fn ill(&mut self, view: &WatchView, now: Instant) -> Option<String> {
        if !self.enabled {
            return None;
        }
        if view.sampled_at != self.last {
            (self.last, self.since) = (view.sampled_at, now);
        }
        let age = now.saturating_duration_since(self.since);
        if age > self.patience {
            return Some(format!("nobody has looked at the actors for {} s", age.as_secs()));
        }
        view.alerts.iter().find(|alert| alert.alert == ACTOR_SILENT).map(|alert| alert.message.clone())
    }
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{event::Severity, watchdog::board::AlertView};

    use super::*;

    fn view(second: i64, alerts: &[&str]) -> WatchView {
        let at = Timestamp::from_micros(second * 1_000_000);
        let alert = |name: &&str| AlertView {
            alert: (*name).to_owned(),
            severity: Severity::Critical,
            service: None,
            message: format!("about {name}"),
            since: at,
        };
        WatchView { sampled_at: Some(at), alerts: alerts.iter().map(alert).collect(), ..WatchView::default() }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn it_lives_while_somebody_looks_and_no_actor_is_silent() {
        let began = clock::now();
        let mut sight = Sight::new(&WatchdogSpec::default(), began);
        assert_eq!(sight.ill(&WatchView::default(), began + seconds(8)), None, "the first look has its time");
        assert_eq!(sight.ill(&view(1, &["runaway"]), began + seconds(20)), None);
        assert_eq!(sight.ill(&view(2, &[ACTOR_SILENT]), began + seconds(22)), Some(format!("about {ACTOR_SILENT}")));
        assert_eq!(sight.ill(&view(3, &[]), began + seconds(24)), None);
    }

    #[test]
    fn when_nobody_looks_any_more_it_gives_no_sign_whatever_the_time_of_day() {
        let began = clock::now();
        let mut sight = Sight::new(&WatchdogSpec::default(), began);
        assert_eq!(sight.ill(&view(1_000_000, &[]), began + seconds(1)), None);
        assert_eq!(sight.ill(&view(5, &[]), began + seconds(3)), None, "the clock was set back");
        assert!(sight.ill(&view(5, &[]), began + seconds(13)).is_some_and(|why| why.contains("10 s")));
        let mut never = Sight::new(&WatchdogSpec::default(), began);
        assert!(never.ill(&WatchView::default(), began + seconds(10)).is_some());
    }

    #[test]
    fn where_nothing_is_watched_the_thread_alone_is_shown() {
        let began = clock::now();
        let mut sight = Sight::new(&WatchdogSpec { enabled: false, ..WatchdogSpec::default() }, began);
        assert_eq!(sight.ill(&WatchView::default(), began + seconds(3600)), None);
    }
}

//! Readiness, then liveness, of one run.

use std::{cell::Cell, fs, rc::Rc, sync::Arc};

use futures_util::future::join;
use tokio::{
    sync::watch,
    time::{interval, sleep},
};

use super::{
    attempt::{Found, attempt},
    generation::watch_generation,
    loading::{tell_loading, tell_steps},
    patience::Patience,
    pauses::pause,
    pulse::{Pulse, Pulses, Signs, Try},
};
use crate::{
    engines::LoadStep,
    gate::Gate,
    ids::Pid,
    os::{clock, containment::Hold},
    process_supervisor::{
        lifecycle::RunNews,
        run::{Environment, Reporter},
    },
    spec::{FailureClass, Probe, ServiceSpec},
    template::RunValues,
    units::format_duration,
};

/// Tries in a row that must find a stranger on the port: one may be the last answer of an earlier run's connection.
const STRANGER_SEEN: u32 = 3;

/// What probing a run needs to know of it.
#[derive(Clone)]
pub struct Health {
    /// The service.
    pub spec: Arc<ServiceSpec>,
    /// Where its processes are.
    pub hold: Arc<dyn Hold>,
    /// Its port, and what its probe's command is filled with.
    pub values: RunValues,
    /// The environment of its probe's command.
    pub env: Environment,
    /// True once the line that says "ready" has been seen.
    pub log_ready: watch::Receiver<bool>,
    /// Where its output tells how its load gets on; listened to until it is ready. Of a worker, how its job gets on,
    /// listened to as long as it runs.
    pub loading: watch::Sender<Option<LoadStep>>,
    /// Bytes of output so far.
    pub said: Rc<Cell<u64>>,
    /// Where those come in who use it: looked at only.
    pub gate: Gate,
}

/// What has been told of a run's health so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Not ready yet.
    NotReady,
    /// Ready.
    Ready,
    /// Ready once, and its liveness probe fails.
    Unready,
}

/// Why it did not become ready.
struct NotReady {
    class: FailureClass,
    reason: String,
}

/// Tells how its load gets on, and when the run is ready, unready, and of no use any more. Ends when there is nothing
/// left to watch. Goes on from what is `known`.
pub async fn watch_health(mut health: Health, known: Known, report: Reporter) {
    if known == Known::NotReady {
        let loading = health.loading.clone();
        let outcome = tokio::select! {
            biased;
            outcome = ready(&mut health) => outcome,
            never = tell_loading(&loading, &report) => match never {},
        };
        match outcome {
            Ok(()) => report(RunNews::Ready),
            Err(NotReady { class, reason }) => return report(RunNews::Failing { class, reason }),
        }
    }
    let life = watch_life(&health, known, &report);
    if health.spec.worker.is_none() {
        return life.await;
    }
    let ((), never) = join(life, tell_steps(&health.loading, &report)).await;
    match never {}
}

/// Tells when one that is, or was, ready is unready and of no use any more.
async fn watch_life(health: &Health, known: Known, report: &Reporter) {
    let was_unready = known == Known::Unready;
    let probed = async {
        if health.spec.alive.probe != Probe::None {
            alive(health, was_unready, report).await;
        } else if was_unready {
            // Nobody asks any more, and it runs.
            report(RunNews::Ready);
        }
    };
    join(probed, watch_generation(health, report)).await;
}

async fn ready(health: &mut Health) -> Result<(), NotReady> {
    let spec = health.spec.clone();
    match &spec.ready.probe {
        Probe::None => return Ok(()),
        Probe::Delay(delay) => {
            sleep(*delay).await;
            return Ok(());
        }
        Probe::Http(_) | Probe::Tcp | Probe::Log(_) | Probe::Exec(_) => {}
    }
    let mut seen = String::new();
    let outcome = tokio::select! {
        outcome = until_up(health, &mut seen) => outcome,
        () = until_impatient(&spec, health.hold.clone()) => None,
    };
    let Some(found) = outcome else {
        let limit = format_duration(spec.ready.timeout);
        let seen = if seen.is_empty() { String::new() } else { format!(" ({seen})") };
        return Err(NotReady {
            class: FailureClass::Timeout,
            reason: format!("it was not ready within {limit}{seen}"),
        });
    };
    found
}

/// Tries until it is up, or until it is clear that it will not be.
async fn until_up(health: &Health, seen: &mut String) -> Option<Result<(), NotReady>> {
    let spec = &health.spec;
    if let Probe::Log(pattern) = &spec.ready.probe {
        *seen = format!("no line of its output matches `{pattern}`");
        let mut line = health.log_ready.clone();
        // An error means that the output is gone, and the run with it.
        return if line.wait_for(|seen| *seen).await.is_ok() { Some(Ok(())) } else { None };
    }
    let began = clock::now();
    let mut strangers = 0;
    loop {
        match attempt(health, &spec.ready.probe, spec.alive.timeout).await {
            Found::Up => return Some(Ok(())),
            Found::Down(reason) => {
                strangers = 0;
                *seen = reason;
            }
            Found::Stranger(reason) => {
                strangers += 1;
                if strangers >= STRANGER_SEEN {
                    return Some(Err(NotReady { class: FailureClass::PortInUse, reason }));
                }
                *seen = reason;
            }
        }
        sleep(pause(clock::now().saturating_duration_since(began), spec.ready.interval)).await;
    }
}

/// Ends when readiness has been waited for long enough.
async fn until_impatient(spec: &ServiceSpec, hold: Arc<dyn Hold>) {
    let mut patience = Patience::new(clock::now(), spec.ready.timeout);
    let mut ticks = interval(patience.pace());
    while !patience.is_over(clock::now()) {
        ticks.tick().await;
        let read = hold.members().unwrap_or_default().iter().filter_map(|pid| read_bytes(*pid)).sum();
        patience.note(clock::now(), read);
    }
}

/// Bytes that a process has read from disk (`read_bytes` of `/proc/PID/io`; what lay in the page cache does not count).
fn read_bytes(pid: Pid) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.trim().parse().ok()
}

async fn alive(health: &Health, was_unready: bool, report: &Reporter) {
    let spec = &health.spec.alive;
    let mut pulses = Pulses::new(spec.failures, spec.busy_timeout, was_unready, clock::now());
    loop {
        sleep(spec.interval).await;
        let found = attempt(health, &spec.probe, spec.timeout).await;
        let signs = Signs { said: health.said.get(), moves: health.gate.moves() };
        let (answered, busy) = (found == Found::Up, health.gate.in_flight() > 0);
        let pulse = pulses.note(Try { at: clock::now(), answered, busy, signs });
        let (Found::Down(reason) | Found::Stranger(reason)) = found else {
            if pulse == Pulse::Back {
                report(RunNews::Ready);
            }
            continue;
        };
        match pulse {
            Pulse::Lost => report(RunNews::Unready { reason: format!("its liveness probe fails: {reason}") }),
            Pulse::Dead => {
                let reason = format!("its liveness probe failed {} times in a row: {reason}", spec.failures.max(1));
                return report(RunNews::Failing { class: FailureClass::Timeout, reason });
            }
            Pulse::Still => {
                let still = format_duration(spec.busy_timeout);
                let reason = format!("its liveness probe fails, and it has not got on for {still}: {reason}");
                return report(RunNews::Failing { class: FailureClass::Timeout, reason });
            }
            Pulse::Same | Pulse::Back => {}
        }
    }
}

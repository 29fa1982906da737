//! One run of one service: its processes, its memory, its growth, and what becomes of it past a limit. Pure.

use std::time::Instant;

use super::{
    budget::Budget,
    docket::Docket,
    growth::Growth,
    level::Change,
    limit::RamWatch,
    own::bytes,
    processes::{self, ProcessWatch},
};
use crate::{
    event::Severity,
    failure::FailureClass,
    ids::RunId,
    process_supervisor::messages::Sentence,
    spec::{OnExceed, ProcessLimits, WatchdogSpec},
    state::ServiceState,
    units::{ByteSize, format_duration},
    watchdog::{
        alerts::{LEAK, RAM_LIMIT, RUNAWAY},
        deed::{Alert, Deed},
        sample::ServiceSample,
    },
};

/// Alerts about a run: they end with it.
pub const OF_A_RUN: [&str; 3] = [RUNAWAY, RAM_LIMIT, LEAK];

/// What is remembered of one run.
#[derive(Debug)]
pub struct Watched {
    /// Which one.
    pub run: RunId,
    processes: ProcessWatch,
    ram: RamWatch,
    /// Growth of its memory and of that on the cards, where it is looked for.
    growth: Option<Box<[Growth; 2]>>,
    /// Whether a limit may cost it this run, and for what; nothing until one was passed.
    verdict: Option<(bool, String)>,
}

impl Watched {
    /// A run of which nothing is known.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        let (processes, ram) = (ProcessWatch::default(), RamWatch::default());
        Self { run, processes, ram, growth: None, verdict: None }
    }

    /// Judges a sample of this run.
    pub fn look(&mut self, seen: &ServiceSample, spec: &WatchdogSpec, budget: &mut Budget, docket: &mut Docket<'_>) {
        self.ram(seen, budget, docket);
        self.growth(seen, budget, docket);
        self.processes(seen, spec, budget, docket);
        let runs_away = self.processes.level() >= processes::EMERGENCY;
        match &self.verdict {
            Some((true, reason)) if !runs_away && self.is_past(seen, docket) => exceeded(seen, reason, docket),
            Some(_) if !self.is_past(seen, docket) => self.verdict = None,
            Some(_) | None => {}
        }
    }

    fn processes(&mut self, seen: &ServiceSample, spec: &WatchdogSpec, budget: &mut Budget, docket: &mut Docket<'_>) {
        let limits = seen.spec.limits.processes;
        let ready = seen.state == ServiceState::Ready;
        let change = self.processes.step(docket.at, seen.processes, ready, limits, spec.double_within);
        match change {
            Change::Up { from, to } => {
                let past = to == processes::CRITICAL && names_critical(limits);
                let reason = format!("{}, more than `{}` allows", counted(seen), key(seen));
                let then = if past { self.judged(seen, reason, true, budget, docket.at) } else { "" };
                let alerts = (from + 1..=to).map(|level| self.runaway(seen, level, spec, then));
                docket.raise(alerts.collect::<Vec<_>>(), None);
            }
            Change::Over => docket.clear(RUNAWAY, Some(seen.name())),
            Change::Same => {}
        }
        // Asked for as long as it is not done: nothing else ends a tree that runs away.
        let ends = matches!(seen.state, ServiceState::Stopping | ServiceState::Killing);
        if self.processes.level() >= processes::EMERGENCY && !ends {
            docket.push(Deed::Condemn {
                service: seen.name().clone(),
                run: seen.run,
                class: FailureClass::Unknown,
                reason: format!("its tree ran away: {} (`{}`)", counted(seen), key(seen)),
                at_once: true,
                sentence: Sentence::Restart,
            });
        }
    }

    fn runaway(&self, seen: &ServiceSample, level: u8, spec: &WatchdogSpec, then: &str) -> Alert {
        let limits = seen.spec.limits.processes;
        let levels = self.processes.levels(limits);
        let before = self.processes.at_ready().map(|n| format!(", {n} when it was ready")).unwrap_or_default();
        let count = counted(seen);
        let look = format!("`greenroom bundle` shows its tree; if so many are right, raise `{}`", key(seen));
        let (severity, message) = match level {
            processes::WARNING => {
                let from = levels.warning;
                (Severity::Warning, format!("{count}{before}; a warning from {from} on: {look}"))
            }
            processes::CRITICAL => {
                let from = levels.critical;
                (Severity::Critical, format!("{count}{before}; critical from {from} on: {look}{then}"))
            }
            _ => {
                let lowest = self.processes.lowest().unwrap_or(seen.processes);
                let within = format_duration(spec.double_within);
                let message = format!(
                    "{count}{before}, and {lowest} within the last {within}: it runs away; its whole tree is \
                     ended at once, and its restart policy says what follows. Its log and the bundle show what it started"
                );
                (Severity::Emergency, message)
            }
        };
        Alert { alert: RUNAWAY, severity, service: Some(seen.name().clone()), message }
    }

    fn ram(&mut self, seen: &ServiceSample, budget: &mut Budget, docket: &mut Docket<'_>) {
        let Some(limit) = seen.spec.limits.ram else {
            self.ram = RamWatch::default();
            docket.clear(RAM_LIMIT, Some(seen.name()));
            return;
        };
        let Some(held) = seen.ram else { return };
        match self.ram.step(held, limit.0, seen.state == ServiceState::Ready) {
            Change::Up { .. } => {
                let held = ByteSize(held);
                let reason = format!("{held} of memory, more than `limits.ram` = {limit}");
                let helps = self.ram.a_restart_helps();
                let then = self.judged(seen, reason, helps, budget, docket.at);
                let message = format!("its processes hold {held} of memory, more than `limits.ram` = {limit}{then}");
                docket.raise([warning(RAM_LIMIT, seen, message)], None);
            }
            Change::Over => docket.clear(RAM_LIMIT, Some(seen.name())),
            Change::Same => {}
        }
    }

    fn growth(&mut self, seen: &ServiceSample, budget: &mut Budget, docket: &mut Docket<'_>) {
        let Some(limit) = seen.spec.limits.growth else {
            self.growth = None;
            docket.clear(LEAK, Some(seen.name()));
            return;
        };
        let (most, within, at) = (limit.bytes.0, limit.within, docket.at);
        if self.growth.as_ref().is_some_and(|both| !both[0].is_for(most, within)) {
            self.growth = None;
            docket.clear(LEAK, Some(seen.name()));
        }
        let new = || Box::new([Growth::new(most, within, at), Growth::new(most, within, at)]);
        let [ram, vram] = &mut **self.growth.get_or_insert_with(new);
        let idle = seen.idle && seen.state == ServiceState::Ready;
        let changes = [ram.note(at, seen.ram.filter(|_| idle)), vram.note(at, Some(seen.vram).filter(|_| idle))];
        let stands = ram.level().max(vram.level()) > 0;
        if changes.iter().any(|change| matches!(change, Change::Up { .. })) && !docket.stands(LEAK, Some(seen.name())) {
            let (what, pace) = match changes[0] {
                Change::Up { .. } => ("memory", ram.pace()),
                Change::Over | Change::Same => ("memory of the cards", vram.pace()),
            };
            let (pace, within) = (bytes(pace.unwrap_or(0.0)), format_duration(within));
            let reason = format!("a leak: {pace} of {what} more within {within} while idle");
            let then = self.judged(seen, reason, true, budget, at);
            let message = format!(
                "while nobody uses it, it takes {pace} more of {what} each {within}, more than `limits.growth` = \
                 {}/{within}: a leak{then}",
                limit.bytes,
            );
            docket.raise([warning(LEAK, seen, message)], None);
        } else if !stands {
            docket.clear(LEAK, Some(seen.name()));
        }
    }

    /// Decides whether a limit that was passed costs this run, and says what is done, as the end of a sentence.
    fn judged(
        &mut self,
        seen: &ServiceSample,
        reason: String,
        helps: bool,
        budget: &mut Budget,
        at: Instant,
    ) -> &'static str {
        let spec = &seen.spec;
        let restarts = matches!(spec.limits.on_exceed, OnExceed::RestartWhenIdle | OnExceed::Restart);
        let granted = match &self.verdict {
            Some((true, _)) => true,
            Some((false, _)) | None if spec.limits.on_exceed == OnExceed::Warn => false,
            // A worker ends with its job.
            Some((false, _)) | None if restarts && (spec.worker.is_some() || !helps) => false,
            Some((false, _)) | None => !restarts || budget.take(seen.name(), &spec.restart, at),
        };
        self.verdict = Some((granted, reason));
        match spec.limits.on_exceed {
            OnExceed::Warn => "; nothing is done about it (`limits.on_exceed`)",
            OnExceed::Stop => "; it is stopped and stays down (`limits.on_exceed`)",
            OnExceed::RestartWhenIdle | OnExceed::Restart if spec.worker.is_some() => "; it ends with its job",
            OnExceed::RestartWhenIdle | OnExceed::Restart if !helps => {
                "; it has held so much ever since it was ready, and another run would as well: raise the limit, or have it \
                 load less"
            }
            OnExceed::RestartWhenIdle | OnExceed::Restart if !granted => {
                "; it has been restarted for its limits as often as `restart.max` allows within `restart.reset_after`, and \
                 is left as it is: raise the limit, or have it load less"
            }
            OnExceed::RestartWhenIdle => "; it is restarted as soon as nobody uses it",
            OnExceed::Restart => "; it is restarted",
        }
    }

    /// Whether any limit that may cost the run is passed.
    fn is_past(&self, seen: &ServiceSample, docket: &Docket<'_>) -> bool {
        self.ram.is_past()
            || docket.stands(LEAK, Some(seen.name()))
            || names_critical(seen.spec.limits.processes) && self.processes.level() >= processes::CRITICAL
    }
}

/// What is done past a limit, with each sample until another run is there.
fn exceeded(seen: &ServiceSample, reason: &str, docket: &mut Docket<'_>) {
    use ServiceState::{Ready, Sleeping, Starting, Unready};
    if !matches!(seen.state, Starting | Ready | Unready | Sleeping) {
        return;
    }
    let (service, run, reason) = (seen.name().clone(), seen.run, reason.to_owned());
    match seen.spec.limits.on_exceed {
        OnExceed::Warn => {}
        OnExceed::RestartWhenIdle => docket.push(Deed::RecycleWhenIdle { service, run, reason }),
        OnExceed::Restart => docket.push(Deed::Recycle { service, run, reason }),
        OnExceed::Stop => {
            let (class, at_once, sentence) = (FailureClass::Unknown, false, Sentence::Stop);
            docket.push(Deed::Condemn { service, run, class, reason, at_once, sentence });
        }
    }
}

/// Whether the configuration says from how many processes on it is critical. What is guessed costs nobody a run.
fn names_critical(limits: ProcessLimits) -> bool {
    matches!(limits, ProcessLimits::Set { critical: Some(_), .. })
}

/// The key of its levels, as it stands in its own table.
fn key(seen: &ServiceSample) -> String {
    match &seen.spec.worker {
        Some(worker) => format!("job.{}.limits.processes", worker.job),
        None => format!("service.{}.limits.processes", seen.spec.name),
    }
}

/// `1 process`, `7 processes`.
fn counted(seen: &ServiceSample) -> String {
    let what = if seen.processes == 1 { "process" } else { "processes" };
    let ended = match seen.unreaped {
        0 => String::new(),
        unreaped => format!(" ({unreaped} of them zombies, which have ended and which it does not reap)"),
    };
    format!("{} {what}{ended}", seen.processes)
}

fn warning(alert: &'static str, seen: &ServiceSample, message: String) -> Alert {
    Alert { alert, severity: Severity::Warning, service: Some(seen.name().clone()), message }
}

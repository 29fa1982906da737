//! The future that owns a run.

use std::{
    ffi::OsString,
    future::{Future, pending},
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    pin::Pin,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use nix::sys::signal::Signal;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
    time::{sleep, sleep_until, timeout_at},
};
use tokio_process_stream::Item;

use super::{
    ask::{ask, has_request},
    context::{Order, Reporter, RunContext},
    ending::{Act, Ending, STUCK_AFTER, Sight},
    launch::{LaunchError, Launched, launch},
    output::Output,
};
use crate::{
    ids::{Pid, RunId},
    os::{clock, containment::Hold, pidfd, ports::PortLease, running::Running},
    process_supervisor::{
        classify::{Exit, classify},
        lifecycle::RunNews,
        probe::{Health, watch_health},
    },
    spec::{FailureClass, StopSignal},
    state::ExitReport,
    template::RunValues,
    units::format_duration,
};

/// How long output is still read after the last process has ended. Nobody is left to write; what there is lies in the
/// pipes.
const DRAIN: Duration = Duration::from_millis(200);
/// Chunks taken in one go before anything else gets its turn.
const BURST: usize = 64;
/// How long an empty hold may resist its removal before it is left to the end of the runtime.
const REMOVED_WITHIN: Duration = Duration::from_secs(2);

type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// Owns a run from its start until nothing of it is left. Ends with [`RunNews::Ended`] in every case.
pub async fn own(ctx: Arc<RunContext>, run: RunId, orders: watch::Receiver<Order>, report: Reporter) {
    if *orders.borrow() != Order::Run {
        return report(never_started(None, None));
    }
    let begun = match Output::new(&ctx) {
        Ok(output) => launch(&ctx, run).await.map(|launched| (launched, output)),
        Err(error) => Err(LaunchError::Pattern(error)),
    };
    let (launched, (output, log_ready)) = match begun {
        Ok(begun) => begun,
        Err(error) => return report(never_started(Some(error.class()), Some(error.told()))),
    };
    report(RunNews::Spawned { pid: launched.spawned.pid, port: launched.values.port });
    let health = Health {
        spec: ctx.spec.clone(),
        hold: launched.hold.clone(),
        values: launched.values.clone(),
        env: launched.env.clone(),
        log_ready,
    };
    let health = Box::pin(watch_health(health, output.loading(), report.clone()));
    Owner::new(ctx, run, launched, output, report).live(orders, health).await;
}

fn never_started(class: Option<FailureClass>, cause: Option<String>) -> RunNews {
    let exit = ExitReport { code: None, signal: None, class, stderr: Vec::new(), at: clock::wall() };
    RunNews::Ended { exit, cause, killed: false }
}

struct Owner {
    ctx: Arc<RunContext>,
    run: RunId,
    report: Reporter,
    hold: Arc<dyn Hold>,
    main: Pid,
    pidfd: Option<AsyncFd<OwnedFd>>,
    lease: Option<PortLease>,
    values: RunValues,
    env: Arc<[(OsString, OsString)]>,
    running: Running,
    output: Output,
    /// Both pipes have ended, and the main process has.
    drained: bool,
    exit: Option<Exit>,
    ending: Option<Ending>,
}

impl Owner {
    fn new(ctx: Arc<RunContext>, run: RunId, launched: Launched, output: Output, report: Reporter) -> Self {
        let Launched { hold, spawned, lease, values, env } = launched;
        // Without it the end is seen all the same once both pipes have ended. Only a machine out of memory says no here.
        let pidfd = watched(spawned.pidfd)
            .inspect_err(|error| tracing::warn!(service = %ctx.spec.name, error = %error, "a process is not watched"))
            .ok();
        let main = spawned.pid;
        Self {
            ctx,
            run,
            report,
            hold,
            main,
            pidfd,
            lease,
            values,
            env,
            running: spawned.running,
            output,
            drained: false,
            exit: None,
            ending: None,
        }
    }

    async fn live(mut self, mut orders: watch::Receiver<Order>, health: Task<()>) {
        let mut health = Some(health);
        let mut asking: Option<Task<bool>> = None;
        let mut listening = true;
        self.obey(*orders.borrow_and_update());
        loop {
            let sight = self.look();
            if sight.main_gone && sight.empty {
                break;
            }
            if sight.main_gone || self.ending.is_some() {
                // From here on no probe may start anything in the hold, and nobody cares how the run fares.
                health = None;
                if let Some(request) = self.work(sight) {
                    asking = Some(request);
                }
            }
            let wake = self.ending.as_ref().map(|ending| ending.next_look(sight));
            tokio::select! {
                biased;
                told = orders.changed(), if listening => {
                    // Without anybody who gives orders nobody would ever end it.
                    let order = if told.is_ok() { *orders.borrow_and_update() } else { Order::Kill };
                    listening = order != Order::Kill;
                    self.obey(order);
                }
                () = ended(self.pidfd.as_ref()), if self.exit.is_none() => self.reap().await,
                () = until(wake) => {}
                () = maybe(&mut health) => health = None,
                taken = maybe(&mut asking) => {
                    asking = None;
                    if let (false, Some(ending)) = (taken, &mut self.ending) {
                        ending.refused(clock::now());
                    }
                }
                item = self.running.next(), if !self.drained => self.soak(item),
            }
        }
        drop((health, asking));
        self.finish().await;
    }

    fn look(&self) -> Sight {
        let main_gone = self.exit.is_some();
        let empty = main_gone && is_empty(self.hold.as_ref());
        Sight { now: clock::now(), main_gone, empty }
    }

    /// Takes an order. A later one can only bring the end nearer.
    fn obey(&mut self, order: Order) {
        let kill_at = match order {
            Order::Run => return,
            Order::Stop { .. } if self.ctx.spec.stop.signal == StopSignal::SigKill => clock::now(),
            Order::Stop { kill_at } => kill_at,
            Order::Kill => clock::now(),
        };
        match &mut self.ending {
            Some(ending) => ending.hurry(kill_at),
            None => {
                let again = self.ctx.spec.engine.second_signal();
                self.ending = Some(Ending::new(kill_at, has_request(&self.ctx.spec), again));
            }
        }
    }

    /// Does what the way to the end asks for now. Gives the request to the service, if that is part of it.
    fn work(&mut self, sight: Sight) -> Option<Task<bool>> {
        // A main process that ended by itself: what it leaves keeps its port and its memory, so it goes at once.
        let by_itself = self.ending.is_none();
        let ending = self.ending.get_or_insert_with(|| Ending::new(sight.now, false, None));
        let mut request = None;
        for act in ending.step(sight) {
            match act {
                Act::Ask => request = Some(self.request(sight.now)),
                Act::Signal => self.tell_all(signal(self.ctx.spec.stop.signal)),
                Act::Kill => {
                    self.tell_main_outside(Signal::SIGKILL);
                    self.try_to("kill its processes", self.hold.kill());
                }
                Act::TellKilling => (self.report)(RunNews::Killing {
                    reason: if by_itself {
                        "its main process has ended; what it left is being killed".to_owned()
                    } else {
                        "its grace is over; what is left of it is being killed".to_owned()
                    },
                }),
                Act::TellStuck => (self.report)(RunNews::Stuck { reason: self.stuck() }),
            }
        }
        request
    }

    fn request(&self, now: Instant) -> Task<bool> {
        let (spec, values, env) = (self.ctx.spec.clone(), self.values.clone(), self.env.clone());
        // The signal follows at half of the grace, whatever the request does.
        let ending = self.ending.as_ref();
        let within = ending.map_or(Duration::ZERO, |e| e.next_look(self.look()).saturating_duration_since(now));
        Box::pin(ask(spec, values, env, self.hold.clone(), within))
    }

    fn tell_all(&self, signal: Signal) {
        self.tell_main_outside(signal);
        self.try_to("signal its processes", self.hold.signal(signal).map(drop));
    }

    /// To the main process, where the hold does not reach it: entering a cgroup may take a while under load, and one with
    /// the right to may have moved itself out.
    fn tell_main_outside(&self, signal: Signal) {
        if self.exit.is_some() || self.hold.members().is_ok_and(|members| members.contains(&self.main)) {
            return;
        }
        if let Some(pidfd) = &self.pidfd {
            self.try_to("signal its main process", pidfd::send(pidfd.get_ref(), signal).map(drop));
        }
    }

    /// What cannot be done is tried again at the next look, and a tree that cannot be killed ends as stuck.
    fn try_to(&self, what: &str, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            tracing::warn!(service = %self.ctx.spec.name, run = %self.run, error = %error, "cannot {what}");
        }
    }

    fn stuck(&self) -> String {
        let mut pids = self.hold.members().unwrap_or_default();
        if self.exit.is_none() && !pids.contains(&self.main) {
            pids.push(self.main);
        }
        let pids: Vec<String> = pids.iter().map(Pid::to_string).collect();
        format!(
            "process {} outlived SIGKILL for {}, as a hung driver or disk makes it; nothing is started in its place. \
             See what it waits for (/proc/PID/stack, dmesg); if it does not go, only a reboot ends it",
            pids.join(", "),
            format_duration(STUCK_AFTER)
        )
    }

    async fn reap(&mut self) {
        // The pidfd has said that it is dead, so this does not wait.
        let status = self.running.status().await;
        self.exit = Some(status.map_or(Exit::Unknown, exit_of));
    }

    /// Takes what the stream has, until it has nothing at the moment or others want their turn.
    fn soak(&mut self, first: Option<Item<Bytes>>) {
        self.take(first);
        for _ in 1..BURST {
            let next = if self.drained { None } else { self.running.next().now_or_never() };
            match next {
                Some(item) => self.take(item),
                None => break,
            }
        }
        // Also after a whole burst: nobody knows yet whether more is to come.
        self.output.pause(&self.ctx);
    }

    fn take(&mut self, item: Option<Item<Bytes>>) {
        match item {
            Some(Item::Done(status)) => {
                self.drained = true;
                self.exit.get_or_insert(status.map_or(Exit::Unknown, exit_of));
            }
            Some(item) => self.output.take(&item),
            None => self.drained = true,
        }
    }

    /// Nothing of it lives any more: takes what is left in the pipes and gives everything back.
    async fn finish(mut self) {
        let until = tokio::time::Instant::from_std(clock::now() + DRAIN);
        while !self.drained {
            match timeout_at(until, self.running.next()).await {
                Ok(item) => self.soak(item),
                Err(_) => break,
            }
        }
        self.output.finish(&self.ctx);
        self.give_back().await;
        let exit = self.exit.unwrap_or(Exit::Unknown);
        let cause = self.output.view.cause();
        let report = ExitReport {
            code: exit.code(),
            signal: exit.signal(),
            class: classify(exit, cause.map(|c| c.class)),
            stderr: self.output.view.last_lines(),
            at: clock::wall(),
        };
        let cause = cause.map(|c| c.line.clone());
        let killed = self.ending.as_ref().is_some_and(Ending::has_killed);
        (self.report)(RunNews::Ended { exit: report, cause, killed });
    }

    async fn give_back(&mut self) {
        let until = clock::now() + REMOVED_WITHIN;
        while let Err(error) = self.hold.remove() {
            if clock::now() >= until {
                self.try_to("give its containment back", Err(error));
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        self.try_to("strike it from the registry", self.ctx.registry.remove(self.run));
        self.lease = None;
    }
}

/// How a process ended, in our own words.
fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

/// Whether nobody is in the hold. One that is not there any more holds nobody; when the kernel does not say, somebody
/// may be in it.
fn is_empty(hold: &dyn Hold) -> bool {
    hold.is_empty().unwrap_or_else(|error| error.kind() == io::ErrorKind::NotFound)
}

fn signal(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::SigTerm => Signal::SIGTERM,
        StopSignal::SigInt => Signal::SIGINT,
        StopSignal::SigQuit => Signal::SIGQUIT,
        StopSignal::SigHup => Signal::SIGHUP,
        StopSignal::SigUsr1 => Signal::SIGUSR1,
        StopSignal::SigUsr2 => Signal::SIGUSR2,
        StopSignal::SigKill => Signal::SIGKILL,
    }
}

/// Puts a pidfd under the event loop's watch.
///
/// The constructor is deprecated because a type may give out another descriptor later; its replacement is unsafe code,
/// which this workspace has none of. An `OwnedFd` names the same open descriptor for as long as it lives.
#[allow(deprecated, reason = "sound for an OwnedFd, and the replacement needs unsafe code")]
fn watched(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

/// Ready once the process has ended.
async fn ended(pidfd: Option<&AsyncFd<OwnedFd>>) {
    match pidfd {
        // An error means that the runtime's event loop is going down; then nothing is ready ever again.
        Some(pidfd) if pidfd.readable().await.is_ok() => {}
        _ => pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}

async fn maybe<T>(task: &mut Option<Task<T>>) -> T {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}

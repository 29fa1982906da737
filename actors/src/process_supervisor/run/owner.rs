//! The future that owns a run.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use nix::sys::signal::Signal;
use tokio::time::{sleep, timeout, timeout_at};
use tokio_process_stream::Item;

use super::{
    ask::{ask, has_request},
    context::{Environment, Order, Orders, Origin, Reporter, RunContext},
    ending::{Act, Ending, Sight, stuck},
    health::HealthWatch,
    launch::{LaunchError, Launched, launch, never_started, take_over},
    output::Output,
    slumber::{Slumber, slumber},
    telling::Telling,
    waits::{Task, ended, exit_of, is_empty, maybe, signal, until},
};
use crate::{
    ids::{Pid, RunId},
    os::{
        clock,
        containment::Hold,
        pidfd::{self, EndWatch},
        ports::PortLease,
        running::Running,
    },
    process_supervisor::{
        classify::{Exit, classify},
        lifecycle::RunNews,
        probe::Health,
    },
    spec::{ServiceSpec, StopSignal},
    state::ExitReport,
    template::RunValues,
};

/// How long output is still read after the last process has ended. Nobody is left to write; what there is lies in the
/// pipes.
const DRAIN: Duration = Duration::from_millis(200);
/// Chunks taken in one go before anything else gets its turn.
const BURST: usize = 64;
/// How long an empty hold may resist its removal before it is left to the end of the runtime.
const REMOVED_WITHIN: Duration = Duration::from_secs(2);
/// How long a status may take that somebody else has to tell: a shim that was stopped, or has died.
const STATUS_WITHIN: Duration = Duration::from_secs(2);

/// Owns a run from its start until nothing of it is left. Ends with [`RunNews::Ended`], or with [`RunNews::Released`] if it
/// was told to let go.
pub async fn own(ctx: Arc<RunContext>, origin: Origin, orders: Orders, report: Reporter) {
    let run = origin.run();
    let is_new = matches!(origin, Origin::Fresh(_));
    if is_new && *orders.order.borrow() != Order::Run {
        return report(never_started(None, None));
    }
    let begun = match (Output::new(&ctx), origin) {
        (Ok(output), Origin::Fresh(run)) => launch(&ctx, run).await.map(|launched| (launched, output)),
        (Ok(mut output), Origin::Adopted(adopted)) => {
            output.0.look_back(&ctx);
            take_over(&ctx, adopted).map(|launched| (launched, output))
        }
        (Err(error), _) => Err(LaunchError::Pattern(error)),
    };
    let (launched, (mut output, log_ready)) = match begun {
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
        loading: output.loading(),
        said: output.said(),
        gate: ctx.gate.clone(),
    };
    let watch = HealthWatch::new(health, report.clone());
    output.tell_by(Telling::new(run, watch.known()));
    Owner::new(ctx, run, launched, output, report).live(orders, watch).await;
}

struct Owner {
    ctx: Arc<RunContext>,
    run: RunId,
    report: Reporter,
    hold: Arc<dyn Hold>,
    main: Pid,
    watch: Option<EndWatch>,
    lease: Option<PortLease>,
    values: RunValues,
    env: Environment,
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
        let watch = EndWatch::new(spawned.pidfd)
            .inspect_err(|error| tracing::warn!(service = %ctx.spec.name, error = %error, "a process is not watched"))
            .ok();
        let main = spawned.pid;
        Self {
            ctx,
            run,
            report,
            hold,
            main,
            watch,
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

    async fn live(mut self, orders: Orders, mut watch: HealthWatch) {
        let Orders { order: mut orders, spec: mut configured } = orders;
        let mut asking: Option<Task<bool>> = None;
        let mut rest: Option<Task<Slumber>> = None;
        let mut listening = true;
        // What was ordered while it was being launched is heard first.
        orders.mark_changed();
        loop {
            let sight = self.look();
            if sight.main_gone && sight.empty {
                break;
            }
            if sight.main_gone || self.ending.is_some() {
                // From here on no probe may start anything in the hold, and nobody cares how the run fares.
                watch.end();
                rest = None;
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
                    if order == Order::Release && self.ending.is_none() && self.exit.is_none() {
                        watch.end();
                        return self.let_go();
                    }
                    match order {
                        Order::Sleep { by } if self.may_rest() => {
                            // Whoever sleeps is not asked whether it lives, or it would wake up.
                            watch.pause();
                            rest = Some(self.slumber(Slumber::Asleep, Some(by)));
                        }
                        Order::Wake if self.may_rest() => rest = Some(self.slumber(Slumber::Awake, None)),
                        _ => self.obey(order),
                    }
                }
                done = maybe(&mut rest) => {
                    rest = None;
                    match done {
                        Slumber::Awake => watch.resume(),
                        Slumber::Asleep => (self.report)(RunNews::Asleep),
                        Slumber::Refused(news) => (self.report)(news),
                    }
                }
                // Without the giver of orders nothing changes any more, as is seen above.
                Ok(()) = configured.changed(), if listening && self.ending.is_none() => {
                    let spec = configured.borrow_and_update().clone();
                    self.reconfigure(spec, &mut watch);
                }
                () = ended(self.watch.as_ref()), if self.exit.is_none() => self.reap().await,
                () = until(wake) => {}
                () = watch.next() => self.output.tell(&self.ctx),
                taken = maybe(&mut asking) => {
                    asking = None;
                    if let (false, Some(ending)) = (taken, &mut self.ending) {
                        ending.refused(clock::now());
                    }
                }
                item = self.running.next(), if !self.drained => self.soak(item),
            }
        }
        drop((watch, asking, rest));
        self.finish().await;
    }

    /// What runs goes on by another spec, as far as that is not part of the process itself.
    fn reconfigure(&mut self, spec: Arc<ServiceSpec>, watch: &mut HealthWatch) {
        if let Err(error) = self.output.replace(&spec) {
            // Patterns were compiled when the configuration was checked.
            tracing::warn!(service = %spec.name, error = %error, "its patterns stay as they were");
        }
        watch.replace(Arc::clone(&spec));
        self.ctx = Arc::new(RunContext { spec, ..(*self.ctx).clone() });
    }

    /// Leaves everything as it is: process, containment, entry in the registry.
    fn let_go(mut self) {
        self.output.pause(&self.ctx, self.hold.as_ref());
        // The pipes first: a shim that sees its runtime gone would otherwise still fill them.
        drop(self.running);
        self.hold.release();
        (self.report)(RunNews::Released);
    }

    fn look(&self) -> Sight {
        let main_gone = self.exit.is_some();
        let empty = main_gone && is_empty(self.hold.as_ref());
        Sight { now: clock::now(), main_gone, empty }
    }

    /// Whether it may be put to sleep, or woken.
    fn may_rest(&self) -> bool {
        self.ending.is_none() && self.exit.is_none()
    }

    /// Has the engine do what leads to `wanted`.
    fn slumber(&self, wanted: Slumber, by: Option<Instant>) -> Task<Slumber> {
        let within = by.map_or(self.ctx.spec.ready.timeout, |by| by.saturating_duration_since(clock::now()));
        Box::pin(slumber(self.ctx.spec.clone(), self.values.port, wanted, within))
    }

    /// Takes an order. A later one can only bring the end nearer.
    fn obey(&mut self, order: Order) {
        let kill_at = match order {
            // What has ended, or is being ended, is not let go of.
            Order::Run | Order::Release | Order::Sleep { .. } | Order::Wake => return,
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
        if let Some(watch) = &self.watch {
            self.try_to("signal its main process", pidfd::send(watch, signal).map(drop));
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
        stuck(&pids)
    }

    async fn reap(&mut self) {
        // The pidfd has said that it is dead, so this does not wait, but for the word of a shim.
        let status = timeout(STATUS_WITHIN, self.running.status()).await.ok().flatten();
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
        self.output.pause(&self.ctx, self.hold.as_ref());
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
        self.output.finish(&self.ctx, self.hold.as_ref());
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
        let lost = if exit == Exit::Unknown { self.hold.trouble() } else { None };
        let cause = lost.or_else(|| cause.map(|c| c.line.clone()));
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

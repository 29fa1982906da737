//! The actor around the queue: carries out what it decides, and keeps its time.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use actix::{Actor, AsyncContext, Context, SpawnHandle};
use actix_rt::ArbiterHandle;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    attempt::{Attempt, AttemptEnd, AttemptNews, Doer, JobFolder, Order, Teller},
    expiry, folder,
    queue::{Effect, Event, Moment, Queue},
    recover::Remembered,
    writer::{Row, Told, write},
};
use crate::{
    event::EventBus,
    failure::FailureClass,
    gate::Ticket,
    history_store::HistorySink,
    job::{JobError, JobId, JobView},
    os::clock,
    shutdown_coordinator::messages::{StopOutcome, StopUnit, UnitStopped},
    spec::{JobDefinition, ShutdownSpec},
};

/// Everything it is given at its birth.
pub struct QueueParts {
    /// The kinds of job there are.
    pub definitions: Vec<Arc<JobDefinition>>,
    /// What earlier runtimes have left.
    pub before: Remembered,
    /// Where jobs are written down.
    pub history: HistorySink,
    /// The database behind it, to look up jobs that ended long ago.
    pub history_path: PathBuf,
    /// Where their changes are told.
    pub bus: EventBus,
    /// Their folders lie below it.
    pub state_dir: PathBuf,
    /// Does the work.
    pub doer: Doer,
    /// Waits for the disk where files of jobs are written and removed.
    pub thread: ArbiterHandle,
    /// How long running jobs may go on when the runtime stops, and what becomes of them.
    pub shutdown: ShutdownSpec,
    /// Set once the runtime stops, for whoever works.
    pub stopping: watch::Sender<bool>,
}

/// Keeps jobs in order. See the [module](super).
pub struct JobQueue {
    pub(super) queue: Queue,
    /// What was to be done when it was made.
    first: Vec<Effect>,
    pub(super) history: HistorySink,
    pub(super) history_path: PathBuf,
    bus: EventBus,
    pub(super) state_dir: PathBuf,
    doer: Doer,
    pub(super) thread: ArbiterHandle,
    pub(super) shutdown: ShutdownSpec,
    pub(super) stopping: watch::Sender<bool>,
    /// Rows on their way to the disk go here, in order.
    pub(super) rows: Option<mpsc::UnboundedSender<Row>>,
    /// Writes that are not answered, and who waits for them.
    pub(super) writing: HashMap<(JobId, u64), Vec<oneshot::Sender<()>>>,
    /// Jobs that are on their way to the disk for the first time, with the bytes of their parameters.
    pub(super) coming: HashMap<JobId, usize>,
    orders: HashMap<JobId, watch::Sender<Order>>,
    pub(super) followers: HashMap<JobId, watch::Sender<Arc<JobView>>>,
    alarm: Option<(Instant, SpawnHandle)>,
    /// Who is told when it has stopped.
    pub(super) stop: Option<StopUnit>,
}

impl JobQueue {
    /// One that has not begun.
    #[must_use]
    pub fn new(parts: QueueParts) -> Self {
        let QueueParts { definitions, before, history, history_path, bus, state_dir, doer, thread, shutdown, stopping } =
            parts;
        let (queue, first) = Queue::restored(&definitions, before, now());
        Self {
            queue,
            first,
            history,
            history_path,
            bus,
            state_dir,
            doer,
            thread,
            shutdown,
            stopping,
            rows: None,
            writing: HashMap::new(),
            coming: HashMap::new(),
            orders: HashMap::new(),
            followers: HashMap::new(),
            alarm: None,
            stop: None,
        }
    }

    /// One step of the queue, and what comes of it.
    pub(super) fn step(&mut self, event: Event, ctx: &mut Context<Self>) {
        let effects = self.queue.step(event, now());
        self.carry_out(effects, ctx);
    }

    fn carry_out(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Write { row, number } => {
                    self.writing.entry((row.id, number)).or_default();
                    self.write(Row { job: row, told: Told::Queue(number) });
                }
                Effect::Tell(event) => drop(self.bus.emit(event)),
                Effect::Show(view) => self.show(view),
                Effect::Begin { job, slot, definition } => self.begin(&job, slot, definition, ctx),
                Effect::Order(id, order) => {
                    if let Some(orders) = self.orders.get(&id) {
                        orders.send_replace(order);
                    }
                }
                Effect::Over(id) => drop(self.orders.remove(&id)),
            }
        }
        self.arm(ctx);
        self.check_end();
    }

    /// Hands a row to the writer.
    pub(super) fn write(&mut self, row: Row) {
        // Gone only when the actor is on its way out, with everything else.
        let Some(rows) = &self.rows else { return };
        drop(rows.send(row));
    }

    fn show(&mut self, view: Arc<JobView>) {
        let (id, is_over) = (view.id, view.state.is_final());
        if let Some(followers) = self.followers.get(&id) {
            followers.send_replace(view);
            if is_over || followers.is_closed() {
                self.followers.remove(&id);
            }
        }
    }

    fn begin(&mut self, job: &JobView, slot: u32, definition: Arc<JobDefinition>, ctx: &mut Context<Self>) {
        let (orders, order) = watch::channel(Order::Go);
        self.orders.insert(job.id, orders);
        let attempt = Attempt {
            id: job.id,
            number: job.attempt,
            definition,
            params: job.params.clone(),
            folder: JobFolder::of(&self.state_dir, job.id),
            ticket: Ticket { arrival: clock::now(), priority: job.priority },
            slot,
            has_poisoned: job.attempts.iter().any(|attempt| attempt.error.poisons()),
            order,
        };
        let teller = Teller::new(job.id, job.attempt, ctx.address().recipient());
        let doer = Arc::clone(&self.doer);
        // A thread that has ended drops both, which tells that the attempt is over.
        self.thread.spawn(async move {
            let folder = attempt.folder.clone();
            let made = tokio::task::spawn_blocking(move || folder::prepare(&folder)).await;
            match made.unwrap_or_else(|lost| Err(lost.into())) {
                Ok(()) => doer(attempt, teller),
                Err(error) => {
                    let message =
                        format!("its output folder {} cannot be made: {error}", attempt.folder.output().display());
                    let error = JobError::new(Some(FailureClass::Unknown), message);
                    teller.tell(AttemptNews::Ended(AttemptEnd::Failed(error)));
                }
            }
        });
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let next = self.queue.next_wake();
        if self.alarm.as_ref().map(|(at, _)| *at) == next {
            return;
        }
        if let Some((_, earlier)) = self.alarm.take() {
            ctx.cancel_future(earlier);
        }
        self.alarm = next.map(|at| {
            let wait = at.saturating_duration_since(clock::now());
            let handle = ctx.run_later(wait, |actor, ctx| {
                actor.alarm = None;
                actor.step(Event::Wake, ctx);
            });
            (at, handle)
        });
    }

    /// Answers whoever stops the queue once all attempts are over and everything has been handed to the disk.
    pub(super) fn check_end(&mut self) {
        if !self.queue.is_idle() || !self.writing.is_empty() || !self.coming.is_empty() {
            return;
        }
        if let Some(StopUnit { name, force, answer, .. }) = self.stop.take() {
            let outcome = if force { StopOutcome::Killed } else { StopOutcome::Clean };
            answer.do_send(UnitStopped { name, outcome });
        }
    }

    /// Takes away what jobs have made that ended long ago, now and again.
    fn expire(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(expiry::PAUSE, Self::expire);
        let keep = expiry::Keep::of(self.queue.definitions());
        let (state_dir, history) = (self.state_dir.clone(), self.history_path.clone());
        let (found, is_found) = oneshot::channel();
        let known = keep.clone();
        self.thread.spawn(async move {
            let look = move || expiry::find(&state_dir, &history, &known, clock::wall());
            // Nobody waits any more, or the look panicked: the next one is in ten minutes.
            drop(tokio::task::spawn_blocking(look).await.map(|rows| found.send(rows)));
        });
        let judge = actix::fut::wrap_future::<_, Self>(is_found);
        ctx.spawn(actix::fut::ActorFutureExt::map(judge, move |found, actor, _| {
            let (queue, coming) = (&actor.queue, &actor.coming);
            let open: HashSet<JobId> = coming.keys().copied().collect();
            let is_open = |id| open.contains(&id) || queue.is_open(id);
            let known = |id| queue.get(id).map(|view| expiry::Ended::of(view));
            let gone = expiry::choose(found.unwrap_or_default(), is_open, known, &keep, clock::wall());
            if !gone.is_empty() {
                let state_dir = actor.state_dir.clone();
                actor.thread.spawn(async move {
                    // A panic there has been reported by the panic hook.
                    drop(tokio::task::spawn_blocking(move || expiry::remove(&state_dir, &gone)).await);
                });
            }
        }));
    }
}

impl fmt::Debug for JobQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobQueue").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Actor for JobQueue {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (rows, written) = mpsc::unbounded_channel();
        self.rows = Some(rows);
        actix_rt::spawn(write(self.history.clone(), written, ctx.address().downgrade().recipient()));
        let first = std::mem::take(&mut self.first);
        self.carry_out(first, ctx);
        self.expire(ctx);
    }
}

/// This moment.
pub(super) fn now() -> Moment {
    Moment { at: clock::now(), wall: clock::wall() }
}

// They look into a real history.
#[cfg(all(test, feature = "history"))]
#[path = "actor_tests.rs"]
mod tests;

//! The actor on the history's own thread: gathers, commits, acknowledges, and takes care of the database.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use actix::{Actor, AsyncContext, Context, Handler, Message, SpawnHandle};
use tokio::sync::{oneshot, watch};

use super::{
    bus::{Mark, rest},
    database::Database,
    messages::{GetHealth, HistoryHealth, NotRecorded, Record, RecordAll},
    retention::{Progress, Retention},
    sink::{Counts, Ticket},
    store::{News, Store},
};
use crate::{
    event::{EventBus, EventKind, Severity},
    os::clock,
    shutdown_coordinator::messages::{StopOutcome, StopUnit, UnitStopped},
};

/// How often the files are looked at while nobody writes.
const LOOK: Duration = Duration::from_secs(10);
/// How often old rows are forgotten and the database is read through.
const CARE: Duration = Duration::from_secs(3600);
/// Between two steps of retention, so that records are written in the meantime.
const BETWEEN_STEPS: Duration = Duration::from_millis(10);

/// The history's actor. [`History::start`](super::History::start) makes it.
#[derive(Debug)]
pub struct HistoryStore {
    store: Store,
    retention: Retention,
    bus: EventBus,
    mark: Mark,
    health: watch::Sender<HistoryHealth>,
    counts: Arc<Counts>,
    /// Those who wait for the next commit.
    waiting: Vec<oneshot::Sender<Result<(), NotRecorded>>>,
    commit_due: bool,
    retry: Option<SpawnHandle>,
    closed: bool,
    /// Dropped with the actor, so that its end is seen from outside.
    _alive: mpsc::Sender<()>,
}

/// One record with the place it takes among those in flight.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Take {
    pub(super) record: Record,
    pub(super) ticket: Ticket,
}

/// To itself, behind everything that is in the mailbox now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
struct Commit;

/// What the actor is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) retention: Retention,
    pub(super) bus: EventBus,
    pub(super) mark: Mark,
    pub(super) health: watch::Sender<HistoryHealth>,
    pub(super) counts: Arc<Counts>,
    pub(super) alive: mpsc::Sender<()>,
}

impl HistoryStore {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { store, retention, bus, mark, health, counts, alive } = parts;
        let (waiting, commit_due, retry, closed) = (Vec::new(), false, None, false);
        Self { store, retention, bus, mark, health, counts, waiting, commit_due, retry, closed, _alive: alive }
    }

    fn add(&mut self, record: Record, ctx: &mut Context<Self>) {
        if self.store.add(record) {
            self.commit(ctx);
        } else if !self.commit_due {
            // A message to itself is handled once the mailbox is empty: that is what gathers the group.
            self.commit_due = true;
            ctx.notify(Commit);
        }
    }

    fn commit(&mut self, ctx: &mut Context<Self>) {
        let result = self.store.commit(clock::now(), clock::wall());
        for waiting in self.waiting.drain(..) {
            // Whoever gave up waiting does not mind.
            drop(waiting.send(result.clone()));
        }
        self.after(ctx);
    }

    /// Tells what is new and sets the next try.
    fn after(&mut self, ctx: &mut Context<Self>) {
        for news in self.store.take_news() {
            self.bus.emit(told(news));
        }
        let (state, buffered, dropped) = (self.store.state(), self.store.buffered(), self.store.dropped());
        let health = HistoryHealth { state, buffered, dropped };
        self.health.send_if_modified(|known| {
            let changed = *known != health;
            *known = health;
            changed
        });
        if let Some(retry) = self.retry.take() {
            ctx.cancel_future(retry);
        }
        self.retry = self.store.retry_at().filter(|_| !self.closed).map(|at| {
            ctx.run_later(at.saturating_duration_since(clock::now()), |actor, ctx| {
                actor.retry = None;
                actor.commit(ctx);
            })
        });
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if !self.closed {
            self.store.with(clock::now(), clock::wall(), Database::check);
            self.after(ctx);
            ctx.run_later(LOOK, Self::look);
        }
    }

    fn care(&mut self, ctx: &mut Context<Self>) {
        if !self.closed {
            self.store.with(clock::now(), clock::wall(), |database| database.inspect());
            self.after(ctx);
            self.forget(ctx);
            ctx.run_later(CARE, Self::care);
        }
    }

    fn forget(&mut self, ctx: &mut Context<Self>) {
        if self.closed {
            return;
        }
        let (retention, wall) = (self.retention, clock::wall());
        let step = |database: &mut Database| Ok(retention.step(database.connection(), wall)?);
        let progress = self.store.with(clock::now(), wall, step);
        self.after(ctx);
        if progress == Some(Progress::More) {
            ctx.run_later(BETWEEN_STEPS, Self::forget);
        }
    }

    fn close(&mut self, left: Duration) -> StopOutcome {
        for event in rest(&self.bus, &self.mark) {
            if self.store.add(Record::Event(event)) {
                // What comes of it shows when the store is closed below.
                drop(self.store.commit(clock::now(), clock::wall()));
            }
        }
        let closed = self.store.close(left, clock::now(), clock::wall());
        self.closed = true;
        for waiting in self.waiting.drain(..) {
            drop(waiting.send(if closed.is_ok() { Ok(()) } else { Err(NotRecorded::Closed) }));
        }
        match closed {
            Ok(()) => StopOutcome::Clean,
            Err(reason) => {
                tracing::error!(%reason, "the history could not be closed cleanly");
                StopOutcome::Stuck(reason)
            }
        }
    }
}

/// Says it in the log, and as the event that says it to everybody.
fn told(news: News) -> EventKind {
    let raised = |alert: &str, message| {
        tracing::error!(alert, "{message}");
        let severity = Severity::Critical;
        EventKind::AlertRaised { alert: alert.to_owned(), severity, service: None, message }
    };
    let cleared = |alert: &str| {
        tracing::warn!(alert, "the history is written again");
        EventKind::AlertCleared { alert: alert.to_owned(), service: None }
    };
    match news {
        News::Degraded(reason) => raised(
            "history_degraded",
            format!("the history cannot be written: {reason}. Records are kept in memory and tried again."),
        ),
        News::Overflowing(reason) => {
            raised("history_degraded", format!("the history cannot be written and records are lost: {reason}."))
        }
        News::Recovered => cleared("history_degraded"),
        News::Damaged(what) => raised("history_damaged", format!("the history was damaged: {what}.")),
        News::Replaced => cleared("history_damaged"),
    }
}

impl Actor for HistoryStore {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.commit(ctx);
        self.forget(ctx);
        ctx.run_later(LOOK, Self::look);
        ctx.run_later(CARE, Self::care);
    }
}

impl Handler<Take> for HistoryStore {
    type Result = ();

    fn handle(&mut self, msg: Take, ctx: &mut Self::Context) {
        if self.closed {
            self.counts.lose(1, "the history is closed");
        } else {
            self.add(msg.record, ctx);
        }
        drop(msg.ticket);
    }
}

impl Handler<RecordAll> for HistoryStore {
    type Result = ();

    fn handle(&mut self, RecordAll { records, written }: RecordAll, ctx: &mut Self::Context) {
        if self.closed {
            // Whoever gave up waiting does not mind.
            return drop(written.send(Err(NotRecorded::Closed)));
        }
        for record in records {
            self.add(record, ctx);
        }
        self.waiting.push(written);
        if !self.commit_due {
            self.commit_due = true;
            ctx.notify(Commit);
        }
    }
}

impl Handler<Commit> for HistoryStore {
    type Result = ();

    fn handle(&mut self, _: Commit, ctx: &mut Self::Context) {
        self.commit_due = false;
        if !self.closed {
            self.commit(ctx);
        }
    }
}

impl Handler<GetHealth> for HistoryStore {
    type Result = HistoryHealth;

    fn handle(&mut self, _: GetHealth, _: &mut Self::Context) -> HistoryHealth {
        let mut health = self.health.borrow().clone();
        health.dropped += self.counts.dropped();
        health
    }
}

impl Handler<StopUnit> for HistoryStore {
    type Result = ();

    /// Writes what is left, also the bus's last events, closes the database and answers.
    fn handle(&mut self, msg: StopUnit, ctx: &mut Self::Context) {
        let outcome = if self.closed {
            StopOutcome::Clean
        } else {
            let outcome = self.close(msg.until.saturating_duration_since(clock::now()));
            self.after(ctx);
            outcome
        };
        msg.answer.do_send(UnitStopped { name: msg.name, outcome });
    }
}

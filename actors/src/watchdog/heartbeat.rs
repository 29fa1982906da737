//! Asks every actor, and each thread that works for them, for a sign of life.
//!
//! An answer says how long the question had lain in the mailbox, so that nobody has to wait for it: it is picked up at the
//! next look. One that owes an answer is not asked again, so questions never pile up before an actor that hangs.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    time::{Duration, Instant},
};

use actix::{Addr, Handler, Message, MessageResult, WeakAddr, WeakRecipient};
use actix_rt::ArbiterHandle;
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::sample::ActorSample;
use crate::{
    history_store::HistoryStore,
    ids::ServiceName,
    job_queue::JobQueue,
    os::clock,
    process_supervisor::ProcessSupervisor,
    resource_orchestrator::ResourceOrchestrator,
    services::{ServiceSet, Supervised},
    shutdown_coordinator::ShutdownCoordinator,
};

/// Are you there? Answered with how long the question has lain in the mailbox.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Duration")]
pub struct Ping {
    /// When it was asked.
    pub asked: Instant,
}

impl Ping {
    fn answer(self) -> MessageResult<Self> {
        MessageResult(clock::now().saturating_duration_since(self.asked))
    }
}

// Here, because it is the same for each of them and says nothing about any.

impl Handler<Ping> for ProcessSupervisor {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) -> Self::Result {
        ping.answer()
    }
}

impl Handler<Ping> for ResourceOrchestrator {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) -> Self::Result {
        ping.answer()
    }
}

impl Handler<Ping> for JobQueue {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) -> Self::Result {
        ping.answer()
    }
}

impl Handler<Ping> for HistoryStore {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) -> Self::Result {
        ping.answer()
    }
}

impl Handler<Ping> for ShutdownCoordinator {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) -> Self::Result {
        ping.answer()
    }
}

/// Somebody who is there as long as the runtime is.
#[derive(Debug, Clone)]
pub struct Permanent {
    name: &'static str,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    Actor(WeakRecipient<Ping>),
    Thread(ArbiterHandle),
}

impl Permanent {
    /// An actor of this name. It is not kept alive by being asked.
    pub fn actor<A>(name: &'static str, actor: &Addr<A>) -> Self
    where
        A: Handler<Ping>,
        A::Context: actix::dev::ToEnvelope<A, Ping>,
    {
        Self { name, way: Way::Actor(actor.downgrade().recipient()) }
    }

    /// A thread of this name on which futures run.
    #[must_use]
    pub fn thread(name: &'static str, thread: ArbiterHandle) -> Self {
        Self { name, way: Way::Thread(thread) }
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Permanent(&'static str),
    Service(ServiceName),
    Worker(ServiceName),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent(name) => f.write_str(name),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Worker(name) => write!(f, "worker {name}"),
        }
    }
}

/// An answer on its way; nothing when nobody will ever give it.
type Answer = Pin<Box<dyn Future<Output = Option<Duration>> + Send>>;

/// What is known of one of them.
struct Pulse {
    /// When it was asked last, or found to be gone.
    asked: Instant,
    /// What it owes.
    owed: Owed,
    /// How long its last answer took.
    last: Option<Duration>,
    /// Whether it was seen in this round: who is no more is forgotten.
    is_there: bool,
}

enum Owed {
    Nothing,
    Answer(Answer),
    /// It is gone, and answers nobody.
    Everything,
}

/// Everybody's pulse.
pub struct Heartbeat {
    permanent: Vec<Permanent>,
    services: ServiceSet,
    workers: ServiceSet,
    known: HashMap<Who, Pulse>,
    /// How long an answer may take before it is talked of.
    patience: Duration,
    /// How often it is looked.
    interval: Duration,
    looked: Option<Instant>,
}

impl Heartbeat {
    /// Asks these, and the supervisors of all services and workers, and looks every `interval`. Each is asked anew when half
    /// of `patience` has passed since it was asked last.
    #[must_use]
    pub fn new(
        permanent: Vec<Permanent>,
        services: ServiceSet,
        workers: ServiceSet,
        interval: Duration,
        patience: Duration,
    ) -> Self {
        Self { permanent, services, workers, known: HashMap::new(), patience, interval, looked: None }
    }

    /// Picks up the answers that have come and asks again. Gives what is known of everybody; one that was never asked
    /// before is among them once it has answered, at the latest from the next look on.
    pub fn look(&mut self, now: Instant) -> Vec<ActorSample> {
        // Whoever was held up himself, with the whole process for example, must not blame others for it.
        let in_time = self.interval + self.patience;
        let late = self.looked.is_some_and(|last| now.saturating_duration_since(last) > in_time);
        self.looked = Some(now);
        let everybody = self.everybody();
        for (who, ask) in everybody {
            match self.known.get_mut(&who) {
                Some(pulse) => {
                    pulse.is_there = true;
                    pulse.take(now, late);
                    match pulse.owed {
                        Owed::Nothing if now.saturating_duration_since(pulse.asked) >= self.patience / 2 => {
                            pulse.ask(&ask, now);
                        }
                        // Another one of that name may be there by now.
                        Owed::Everything => pulse.ask_again(&ask, now),
                        Owed::Nothing | Owed::Answer(_) => {}
                    }
                }
                None => {
                    let mut pulse = Pulse { asked: now, owed: Owed::Nothing, last: None, is_there: true };
                    pulse.ask(&ask, now);
                    self.known.insert(who, pulse);
                }
            }
        }
        self.known.retain(|_, pulse| std::mem::take(&mut pulse.is_there));
        self.known.iter().filter_map(|(who, pulse)| pulse.shown(who, now)).collect()
    }

    fn everybody(&self) -> Vec<(Who, Ask)> {
        let permanent = self.permanent.iter().map(|one| (Who::Permanent(one.name), Ask::Way(one.way.clone())));
        let (services, workers) = (self.services.all(), self.workers.all());
        let asked = |one: &Supervised| Ask::Supervisor(one.supervisor.clone());
        let services = services.iter().map(|one| (Who::Service(one.spec.name.clone()), asked(one)));
        let workers = workers.iter().map(|one| (Who::Worker(one.spec.name.clone()), asked(one)));
        permanent.chain(services).chain(workers).collect()
    }
}

/// How somebody is asked.
enum Ask {
    Way(Way),
    Supervisor(WeakAddr<ProcessSupervisor>),
}

impl Ask {
    /// Asks; nothing when it is gone.
    fn ask(&self, asked: Instant) -> Option<Answer> {
        let ping = Ping { asked };
        match self {
            Self::Supervisor(supervisor) => Some(Box::pin(supervisor.upgrade()?.send(ping).map(Result::ok))),
            Self::Way(Way::Actor(actor)) => Some(Box::pin(actor.upgrade()?.send(ping).map(Result::ok))),
            Self::Way(Way::Thread(thread)) => {
                let (answer, answered) = oneshot::channel();
                let is_there = thread.spawn_fn(move || {
                    // An error means that nobody wants to know any more.
                    answer.send(clock::now().saturating_duration_since(asked)).ok();
                });
                is_there.then(|| Box::pin(answered.map(Result::ok)) as Answer)
            }
        }
    }
}

impl Pulse {
    /// Looks whether the answer has come. Where the one who looks was `late`, what he sees says nothing.
    fn take(&mut self, now: Instant, late: bool) {
        if late {
            self.asked = now;
        }
        let Owed::Answer(answer) = &mut self.owed else { return };
        match answer.now_or_never() {
            Some(Some(took)) => {
                self.last = Some(if late { Duration::ZERO } else { took });
                self.owed = Owed::Nothing;
            }
            Some(None) => self.owed = Owed::Everything,
            None => {}
        }
    }

    fn ask(&mut self, ask: &Ask, now: Instant) {
        self.asked = now;
        self.owed = match ask.ask(now) {
            Some(mut answer) => match (&mut answer).now_or_never() {
                // The question is in the mailbox by now.
                None => Owed::Answer(answer),
                Some(Some(took)) => {
                    self.last = Some(took);
                    Owed::Nothing
                }
                Some(None) => Owed::Everything,
            },
            None => Owed::Everything,
        };
    }

    /// Asks one that was gone. As long as it is, it counts from the first time.
    fn ask_again(&mut self, ask: &Ask, now: Instant) {
        let gone = self.asked;
        self.ask(ask, now);
        if matches!(self.owed, Owed::Everything) {
            self.asked = gone;
        }
    }

    /// A question that was only just asked says nothing yet: the answer before it counts.
    fn shown(&self, who: &Who, now: Instant) -> Option<ActorSample> {
        let waited = now.saturating_duration_since(self.asked);
        let (lag, answered) = match (&self.owed, self.last) {
            (Owed::Nothing, Some(last)) => (last, true),
            (Owed::Answer(_), Some(last)) if waited.is_zero() => (last, true),
            (Owed::Nothing, None) => return None,
            (Owed::Answer(_), None) if waited.is_zero() => return None,
            (Owed::Answer(_) | Owed::Everything, _) => (waited, false),
        };
        Some(ActorSample { name: who.to_string(), lag, answered })
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "heartbeat_tests.rs"]
mod tests;

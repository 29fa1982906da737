//! Where those who see a service misbehave say so: its output, an answer, a job. Whoever judges that has a place to hear it
//! once it is there; until then, and where nothing is watched, nobody minds.

use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix::{Message, Recipient};
use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use crate::{
    failure::{FailureAction, FailureClass},
    ids::{RunId, ServiceName},
    job::JobId,
};

/// A failure of a program that goes on running. Answered as soon as whatever shows its state has been looked at, so that
/// whoever is about to end it does not take the evidence along; at most some seconds later.
#[derive(Debug, Clone, PartialEq, Message)]
#[rtype(result = "()")]
pub struct FailureSeen {
    /// Whose.
    pub service: ServiceName,
    /// Of which run.
    pub run: RunId,
    /// Its class.
    pub class: FailureClass,
    /// What the rule that recognised it wants done.
    pub action: FailureAction,
    /// The line, shortened, as it came: it may hold anything.
    pub line: String,
    /// Where it was seen.
    pub seen: SeenIn,
}

/// Where a failure was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenIn {
    /// In its output.
    Output,
    /// In an answer to a request, with this status.
    Answer(u16),
    /// In a job, which sees to the action itself.
    Job(JobId),
}

/// The way to whoever judges. Clones lead to the same.
#[derive(Clone, Default)]
pub struct Witness(Arc<Shared>);

/// A failure that was told of a run, as it is remembered for the jobs that work with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Its class.
    pub class: FailureClass,
    /// What the rule that recognised it wants done.
    pub action: FailureAction,
    /// The line.
    pub line: String,
    /// When it was told last, by the count of everything that was told.
    pub number: u64,
}

/// What was told of one run: of each class and action the last that was, so that no line hides a severer one. There are few of
/// both.
#[derive(Debug)]
struct Told {
    run: RunId,
    traces: Vec<Trace>,
}

/// What is remembered.
#[derive(Debug, Default)]
struct Memory {
    count: u64,
    /// Of the last run of each service of which anything was told.
    told: HashMap<ServiceName, Told>,
}

#[derive(Default)]
struct Shared {
    judge: ArcSwapOption<Recipient<FailureSeen>>,
    memory: Mutex<Memory>,
    /// Something was told.
    heard: Notify,
    /// How many jobs are at work with each service.
    at_work: Mutex<HashMap<ServiceName, u32>>,
}

impl Witness {
    /// Whatever is seen from now on is told there.
    pub fn appoint(&self, judge: Recipient<FailureSeen>) {
        self.0.judge.store(Some(Arc::new(judge)));
    }

    /// Nobody judges any more. To be called by whoever was appointed, when he goes: the way to him would otherwise keep what
    /// his thread waits with.
    pub fn dismiss(&self) {
        self.0.judge.store(None);
    }

    /// Tells, and does not wait. What does not fit into a full mailbox is dropped: a flood says the same thing over and
    /// over.
    pub fn tell(&self, seen: FailureSeen) {
        self.remember(&seen);
        if let Some(judge) = self.0.judge.load().as_ref()
            && judge.try_send(seen).is_err()
        {
            tracing::debug!("a failure that was seen is not judged: there are too many of them");
        }
    }

    /// Tells, and comes back when its traces have been looked at, or nobody looks.
    pub async fn report(&self, seen: FailureSeen) {
        self.remember(&seen);
        let judge = self.0.judge.load_full();
        if let Some(judge) = judge
            && judge.send(seen).await.is_err()
        {
            tracing::debug!("a failure that was seen is not judged: whoever judges has ended");
        }
    }

    /// Whether something was told of this run that [poisons](FailureAction::RestartOnce) it until its end.
    #[must_use]
    pub fn is_poisoned(&self, service: &ServiceName, run: RunId) -> bool {
        self.traces(service, run).iter().any(|trace| trace.action == FailureAction::RestartOnce)
    }

    /// How much was told so far: what is told from now on has a higher [`number`](Trace::number).
    #[must_use]
    pub fn so_far(&self) -> u64 {
        lock(&self.0.memory).count
    }

    /// What was told of this run, as long as nothing was told of a later one.
    #[must_use]
    pub fn traces(&self, service: &ServiceName, run: RunId) -> Vec<Trace> {
        let memory = lock(&self.0.memory);
        memory.told.get(service).filter(|told| told.run == run).map(|told| told.traces.clone()).unwrap_or_default()
    }

    /// Waits until something that wants anything done was told of this run after so much had been told.
    pub async fn until_told(&self, service: &ServiceName, run: RunId, after: u64) {
        let is_it = |trace: &Trace| trace.number > after && trace.action != FailureAction::None;
        loop {
            let mut next = pin!(self.0.heard.notified());
            // What is told from here on is not missed.
            next.as_mut().enable();
            if self.traces(service, run).iter().any(is_it) {
                return;
            }
            next.await;
        }
    }

    fn remember(&self, seen: &FailureSeen) {
        let mut memory = lock(&self.0.memory);
        memory.count += 1;
        let trace = Trace { class: seen.class, action: seen.action, line: seen.line.clone(), number: memory.count };
        let told =
            memory.told.entry(seen.service.clone()).or_insert_with(|| Told { run: seen.run, traces: Vec::new() });
        if told.run != seen.run {
            *told = Told { run: seen.run, traces: Vec::new() };
        }
        told.traces.retain(|earlier| (earlier.class, earlier.action) != (trace.class, trace.action));
        told.traces.push(trace);
        drop(memory);
        self.0.heard.notify_waiters();
    }

    /// A job works with this service until what comes back is dropped.
    #[must_use]
    pub fn job_begins(&self, service: &ServiceName) -> AtWork {
        *lock(&self.0.at_work).entry(service.clone()).or_default() += 1;
        AtWork { witness: self.clone(), service: service.clone() }
    }

    /// Whether a job works with this service.
    #[must_use]
    pub fn has_job(&self, service: &ServiceName) -> bool {
        lock(&self.0.at_work).contains_key(service)
    }
}

/// Nothing panics while one of them is locked.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Witness").field("is_heard", &self.0.judge.load().is_some()).finish_non_exhaustive()
    }
}

/// A job that works with a service.
#[derive(Debug)]
pub struct AtWork {
    witness: Witness,
    service: ServiceName,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut at_work = lock(&self.witness.0.at_work);
        if let Some(count) = at_work.get_mut(&self.service) {
            *count -= 1;
            if *count == 0 {
                at_work.remove(&self.service);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[test]
    fn a_service_has_a_job_until_the_last_one_is_gone() {
        let (witness, webui) = (Witness::default(), "webui".parse().expect("a name"));
        let (first, second) = (witness.job_begins(&webui), witness.job_begins(&webui));
        drop(first);
        assert!(witness.has_job(&webui) && !witness.has_job(&"chat".parse().expect("a name")));
        drop(second);
        assert!(!witness.has_job(&webui));
    }

    #[test]
    fn of_each_class_the_last_line_of_the_last_run_is_remembered() {
        let (witness, service, run) = (Witness::default(), "webui".parse().expect("a name"), RunId::fresh());
        let seen = |run, class: FailureClass, line: &str| FailureSeen {
            service: "webui".parse().expect("a name"),
            run,
            class,
            action: class.action(),
            line: line.to_owned(),
            seen: SeenIn::Output,
        };
        for line in ["first", "second"] {
            witness.tell(seen(run, FailureClass::Nan, line));
        }
        let mark = witness.so_far();
        witness.tell(seen(run, FailureClass::OomGpu, "third"));
        let told: Vec<(String, bool)> =
            witness.traces(&service, run).into_iter().map(|trace| (trace.line, trace.number > mark)).collect();
        assert_eq!(told, [("second".to_owned(), false), ("third".to_owned(), true)]);
        assert!(witness.is_poisoned(&service, run));
        let next = RunId::fresh();
        assert_eq!((witness.traces(&service, next).len(), witness.is_poisoned(&service, next)), (0, false));
        witness.tell(seen(next, FailureClass::Nan, "fourth"));
        assert_eq!((witness.traces(&service, run).len(), witness.traces(&service, next).len()), (0, 1));
    }

    #[actix_rt::test]
    async fn no_line_hides_a_severer_one_of_its_class_and_who_waits_hears_what_wants_something_done() {
        let (witness, service, run) = (Witness::default(), "webui".parse().expect("a name"), RunId::fresh());
        let tell = |action| {
            witness.tell(FailureSeen {
                service: "webui".parse().expect("a name"),
                run,
                class: FailureClass::Driver,
                action,
                line: "device lost".to_owned(),
                seen: SeenIn::Output,
            });
        };
        let mut hears = pin!(witness.until_told(&service, run, 0));
        assert!(poll!(hears.as_mut()).is_pending());
        tell(FailureAction::None);
        assert!(poll!(hears.as_mut()).is_pending());
        tell(FailureAction::Quarantine);
        hears.await;
        tell(FailureAction::None);
        let told: Vec<FailureAction> = witness.traces(&service, run).iter().map(|trace| trace.action).collect();
        assert_eq!(told, [FailureAction::Quarantine, FailureAction::None]);
        let mut hears = pin!(witness.until_told(&service, run, witness.so_far()));
        assert!(poll!(hears.as_mut()).is_pending(), "that was before");
    }
}

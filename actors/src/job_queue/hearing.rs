//! Each message as the event that it is to the queue.

use std::{sync::Arc, time::Duration};

use actix::{ActorFutureExt, Context, Handler, MessageResult, ResponseActFuture, WrapFuture};
use tokio::sync::{oneshot, watch};

use super::{
    actor::JobQueue,
    attempt::AttemptTold,
    messages::{Cancel, CancelError, CountJobs, CountedJobs, FollowJob, GetJob, ListJobs, RedefineJobs},
    queue::Event,
    writer::Written,
};
use crate::{
    job::JobView,
    os::clock,
    shutdown_coordinator::messages::StopUnit,
    spec::{JobDefinition, JobWork},
};

/// On top of the grace of a job's process: the wait for its tree to be gone after the kill.
const KILL_BOUND: Duration = Duration::from_secs(3);

impl Handler<AttemptTold> for JobQueue {
    type Result = ();

    fn handle(&mut self, AttemptTold { id, number, news }: AttemptTold, ctx: &mut Self::Context) {
        self.step(Event::News { id, number, news }, ctx);
    }
}

impl Handler<Written> for JobQueue {
    type Result = ();

    fn handle(&mut self, Written { id, number, result }: Written, ctx: &mut Self::Context) {
        let waiters = self.writing.remove(&(id, number));
        self.step(Event::Written { id, number, result }, ctx);
        // Whoever waits learns it by this.
        drop(waiters);
    }
}

impl Handler<Cancel> for JobQueue {
    type Result = ResponseActFuture<Self, Result<JobView, CancelError>>;

    fn handle(&mut self, Cancel(id): Cancel, ctx: &mut Self::Context) -> Self::Result {
        if let Err(error) = self.queue.may_cancel(id) {
            return Box::pin(actix::fut::ready(Err(error)));
        }
        self.step(Event::Cancel(id), ctx);
        let (told, written) = oneshot::channel();
        let last = self.queue.last_write(id).and_then(|number| self.writing.get_mut(&(id, number)));
        if let Some(waiters) = last {
            waiters.push(told);
        }
        // Where nothing is to be waited for, the other end is gone already.
        Box::pin(
            written.into_actor(self).map(move |_, actor, _| {
                actor.queue.get(id).map(|view| (**view).clone()).ok_or(CancelError::Unknown(id))
            }),
        )
    }
}

impl Handler<GetJob> for JobQueue {
    type Result = Option<Arc<JobView>>;

    fn handle(&mut self, GetJob(id): GetJob, _: &mut Self::Context) -> Self::Result {
        self.queue.get(id).cloned()
    }
}

impl Handler<ListJobs> for JobQueue {
    type Result = Vec<Arc<JobView>>;

    fn handle(&mut self, list: ListJobs, _: &mut Self::Context) -> Self::Result {
        self.queue.list(&list)
    }
}

impl Handler<CountJobs> for JobQueue {
    type Result = Vec<CountedJobs>;

    fn handle(&mut self, _: CountJobs, _: &mut Self::Context) -> Self::Result {
        self.queue.count().into_iter().map(|((job, state), count)| CountedJobs { job, state, count }).collect()
    }
}

impl Handler<FollowJob> for JobQueue {
    type Result = Option<watch::Receiver<Arc<JobView>>>;

    fn handle(&mut self, FollowJob(id): FollowJob, _: &mut Self::Context) -> Self::Result {
        let view = self.queue.get(id)?;
        if !self.queue.is_open(id) {
            return Some(watch::channel(Arc::clone(view)).1);
        }
        let follow = || watch::channel(Arc::clone(view)).0;
        Some(self.followers.entry(id).or_insert_with(follow).subscribe())
    }
}

impl Handler<RedefineJobs> for JobQueue {
    type Result = ();

    fn handle(&mut self, RedefineJobs(definitions): RedefineJobs, ctx: &mut Self::Context) {
        self.step(Event::Defined(definitions), ctx);
    }
}

impl Handler<StopUnit> for JobQueue {
    type Result = MessageResult<StopUnit>;

    fn handle(&mut self, stop: StopUnit, ctx: &mut Context<Self>) -> Self::Result {
        self.stopping.send_replace(true);
        let event = match stop.force {
            true => Event::Force,
            false => {
                let left = stop.until.saturating_duration_since(clock::now());
                let definitions = self.queue.definitions().values();
                let slowest = definitions.map(|one| stopping_takes(one)).max().unwrap_or_default();
                let drain = self.shutdown.drain.min(left.saturating_sub(slowest.min(left / 2)));
                Event::Stop { drain, running: self.shutdown.running_jobs }
            }
        };
        self.stop = Some(stop);
        self.step(event, ctx);
        MessageResult(())
    }
}

/// How long the end of a job of this kind may take once it has been told to stop.
fn stopping_takes(definition: &JobDefinition) -> Duration {
    match &definition.work {
        JobWork::Process(process) => process.service.stop.grace.saturating_add(KILL_BOUND),
        JobWork::Request(_) => KILL_BOUND,
    }
}

//! Takes jobs in: what is accepted is on disk, and of what is refused nothing is kept.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use actix::{ActorFutureExt, Context, Handler, ResponseActFuture, WrapFuture};
use actix_rt::ArbiterHandle;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use super::{
    actor::JobQueue,
    attempt::JobFolder,
    finished::bytes,
    folder::{self, Placed},
    messages::{Contents, JobSpec, Submit, SubmitError, Upload},
    names,
    params::{FileGiven, check},
    queue::{Event, MOST_OPEN, MOST_OPEN_BYTES},
    writer::{Row, Told},
};
use crate::{
    job::{JobError, JobId, JobName, JobOutcome, JobState, JobView},
    os::clock,
    spec::JobDefinition,
};

/// When to come again while the queue is full: jobs take seconds to minutes.
const COME_AGAIN: Duration = Duration::from_secs(10);

impl Handler<Submit> for JobQueue {
    type Result = ResponseActFuture<Self, Result<JobView, SubmitError>>;

    fn handle(&mut self, Submit(spec): Submit, _: &mut Self::Context) -> Self::Result {
        let JobSpec { job, params, files, priority } = spec;
        let (given, files) = place(files);
        let view = match self.judge(&job, &params, &given, priority) {
            Ok(view) => view,
            Err(error) => {
                self.discard(None, files);
                return Box::pin(actix::fut::ready(Err(error)));
            }
        };
        let id = view.id;
        self.coming.insert(id, bytes(&view));
        let folder = JobFolder::of(&self.state_dir, id);
        let way = Way { thread: self.thread.clone(), rows: self.rows.clone(), folder };
        let taken = async move { way.take(view, &given, files).await };
        Box::pin(taken.into_actor(self).map(move |taken, actor, ctx| actor.settle(id, taken, ctx)))
    }
}

impl JobQueue {
    /// The job as it is to be written, if nothing speaks against it.
    fn judge(
        &self,
        job: &str,
        params: &Map<String, Value>,
        files: &[FileGiven],
        priority: i32,
    ) -> Result<JobView, SubmitError> {
        if *self.stopping.borrow() {
            return Err(SubmitError::Stopping);
        }
        let definitions: &BTreeMap<JobName, Arc<JobDefinition>> = self.queue.definitions();
        let unknown = || SubmitError::UnknownJob { job: job.to_owned(), known: definitions.keys().cloned().collect() };
        let (name, definition) = definitions.iter().find(|(name, _)| name.as_str() == job).ok_or_else(unknown)?;
        let params = check(definition, params, files).map_err(SubmitError::Params)?;
        let view = fresh(name.clone(), params, priority);
        let (open, taken) = self.queue.open();
        let queued = open + self.coming.len();
        if queued >= MOST_OPEN || taken + self.coming.values().sum::<usize>() + bytes(&view) > MOST_OPEN_BYTES {
            return Err(SubmitError::Full { queued, retry_after: COME_AGAIN });
        }
        Ok(view)
    }

    /// What was to be written has been tried.
    fn settle(
        &mut self,
        id: JobId,
        taken: Result<JobView, Lost>,
        ctx: &mut Context<Self>,
    ) -> Result<JobView, SubmitError> {
        self.coming.remove(&id);
        match taken {
            Ok(view) => {
                self.step(Event::Accepted(Box::new(view.clone())), ctx);
                Ok(self.queue.get(id).map_or(view, |view| (**view).clone()))
            }
            Err(Lost { files, row, why }) => {
                if let Some(row) = row {
                    // It may be written yet, when the disk works again: then this is written after it.
                    self.write(Row { job: Box::new(refused(*row, &why)), told: Told::Nobody });
                }
                self.discard(Some(JobFolder::of(&self.state_dir, id)), files);
                self.check_end();
                Err(SubmitError::NotWritten(why))
            }
        }
    }

    /// Nothing of a job that is refused is kept.
    fn discard(&self, folder: Option<JobFolder>, files: Vec<Placed>) {
        let moved = files.iter().any(|file| matches!(file.contents, Contents::Moved(_)));
        if folder.is_none() && !moved {
            return;
        }
        self.thread.spawn(async move {
            let remove = move || folder::remove(folder.as_ref(), &files);
            let removed = tokio::task::spawn_blocking(remove).await.unwrap_or_else(|lost| Err(lost.into()));
            if let Err(error) = removed {
                tracing::warn!(%error, "files of a job that was refused are left");
            }
        });
    }
}

/// The way of a job to the disk.
struct Way {
    thread: ArbiterHandle,
    rows: Option<mpsc::UnboundedSender<Row>>,
    folder: JobFolder,
}

/// A job that did not get to the disk.
struct Lost {
    /// What was sent along and not kept.
    files: Vec<Placed>,
    /// What was handed to the writer.
    row: Option<Box<JobView>>,
    why: String,
}

impl Way {
    /// Writes the files of a job, then the job.
    async fn take(self, view: JobView, given: &[FileGiven], files: Vec<Placed>) -> Result<JobView, Lost> {
        let sizes = if files.is_empty() { Vec::new() } else { self.keep(files).await? };
        let view = sized(view, given, &sizes);
        let ended = || "the runtime has ended".to_owned();
        let (told, written) = oneshot::channel();
        let row = Row { job: Box::new(view.clone()), told: Told::Waiter(told) };
        let handed = self.rows.is_some_and(|rows| rows.send(row).is_ok());
        let result = if handed { written.await.unwrap_or_else(|_| Err(ended())) } else { Err(ended()) };
        let row = handed.then(|| Box::new(view.clone()));
        result.map(|()| view).map_err(|why| Lost { files: Vec::new(), row, why })
    }

    async fn keep(&self, files: Vec<Placed>) -> Result<Vec<u64>, Lost> {
        let (answer, kept) = oneshot::channel();
        let folder = self.folder.clone();
        self.thread.spawn(async move {
            let keep = move || folder::keep(&folder, &files).map_err(|error| (error, files));
            let kept = tokio::task::spawn_blocking(keep).await;
            // An error means that nobody waits, or that it panicked, which the panic hook has told.
            drop(kept.map(|kept| answer.send(kept)));
        });
        let lost = |_| Err((io::Error::other("the runtime has ended"), Vec::new()));
        let why = |(error, files)| Lost { files, row: None, why: format!("its files cannot be kept: {error}") };
        kept.await.unwrap_or_else(lost).map_err(why)
    }
}

/// Gives each file its name in the input folder.
fn place(uploads: Vec<Upload>) -> (Vec<FileGiven>, Vec<Placed>) {
    let mut taken = Vec::new();
    let one = |Upload { param, name, contents }: Upload| {
        let name = names::plain(&name, &taken);
        taken.push(name.clone());
        (FileGiven { param, name: name.clone(), size: 0 }, Placed { name, contents })
    };
    uploads.into_iter().map(one).unzip()
}

/// With the sizes of its files, which are known once they are written.
fn sized(mut view: JobView, given: &[FileGiven], sizes: &[u64]) -> JobView {
    for (FileGiven { param, name, .. }, size) in given.iter().zip(sizes) {
        view.params.insert(param.clone(), json!({ "file": name, "size": size }));
    }
    view
}

fn fresh(job: JobName, params: Map<String, Value>, priority: i32) -> JobView {
    JobView {
        id: JobId::fresh(),
        job,
        state: JobState::Queued,
        outcome: None,
        reason: None,
        params,
        priority,
        attempt: 0,
        progress: None,
        submitted: clock::wall(),
        started: None,
        finished: None,
        error: None,
        attempts: Vec::new(),
        result: None,
    }
}

/// A job that was never accepted, as the history is to have it if it has it at all.
fn refused(row: JobView, why: &str) -> JobView {
    let message = format!("it was not accepted, since it could not be written down: {why}");
    JobView {
        state: JobState::Cancelled,
        outcome: Some(JobOutcome::Cancelled),
        reason: Some(message.clone()),
        finished: Some(clock::wall()),
        error: Some(JobError::new(None, message)),
        ..row
    }
}

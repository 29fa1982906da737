//! Queues of notices, and the tasks that empty them.

use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{Notice, exec::Program};
use crate::{
    event::{EventBus, EventStream},
    os::containment::Containment,
    spec::NotifySpec,
};

/// Notices that wait, for each way.
const QUEUE: usize = 32;
/// How long a webhook may take to answer.
const BOUND: Duration = Duration::from_secs(10);

/// An answer on its way: nothing, or why it was none.
pub type Posting = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Sends to a URL. How that is done (TLS, certificates) is not known in here: whoever builds the runtime hands it in.
pub trait Post: fmt::Debug + Send + Sync {
    /// Sends this JSON with `POST`. Any status below 400 will do.
    fn post(&self, url: &str, json: Bytes) -> Posting;
}

/// Of what, and by what, people are told.
#[derive(Debug, Clone)]
pub struct Means {
    /// The runtime's name.
    pub runtime: String,
    /// Where alerts are heard, whoever raises them.
    pub bus: EventBus,
    /// `None` in a build that cannot.
    pub post: Option<Arc<dyn Post>>,
    /// Where a program's tree is held.
    pub containment: Arc<dyn Containment>,
    /// Where it runs.
    pub state_dir: PathBuf,
}

/// Tells people. To be ended with [`end`](Self::end).
#[derive(Debug)]
pub struct Notifier {
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

/// The ways by which people are told.
#[derive(Debug, Default)]
struct Queues(Vec<(&'static str, mpsc::Sender<Arc<Notice>>)>);

impl Notifier {
    /// Tells of all alerts from now on, if anybody is to be told. To be called inside an actix system.
    #[must_use]
    pub fn start(spec: &NotifySpec, means: Means) -> Option<Self> {
        let (stop, stopping) = watch::channel(false);
        let (mut queues, mut tasks) = (Queues::default(), Vec::new());
        match (&spec.webhook, means.post) {
            (Some(url), Some(post)) => {
                let queue = queues.add("webhook");
                tasks.push(actix_rt::spawn(post_all(url.clone(), post, queue, stopping.clone())));
            }
            (Some(_), None) => tracing::warn!(
                "watchdog.notify.webhook is not told of anything: this build cannot speak HTTP (Cargo feature `gateway`)"
            ),
            (None, _) => {}
        }
        if let Some(command) = spec.exec.clone().filter(|command| !command.is_empty()) {
            let program = Program { command, containment: means.containment, state_dir: means.state_dir };
            tasks.push(actix_rt::spawn(run_all(program, queues.add("exec"), stopping.clone())));
        }
        if tasks.is_empty() {
            return None;
        }
        tasks.push(actix_rt::spawn(listen(means.bus.subscribe(None), means.runtime, queues, stopping)));
        Some(Self { tasks, stop })
    }

    /// Ends the tasks: a program that runs is killed, and what waits is dropped.
    pub async fn end(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A panic in it has been reported by the panic hook.
            drop(task.await);
        }
    }
}

impl Queues {
    fn add(&mut self, way: &'static str) -> mpsc::Receiver<Arc<Notice>> {
        let (sender, queue) = mpsc::channel(QUEUE);
        self.0.push((way, sender));
        queue
    }

    /// Tells, and does not wait.
    fn tell(&self, notice: Notice) {
        let notice = Arc::new(notice);
        for (way, queue) in &self.0 {
            if queue.try_send(Arc::clone(&notice)).is_err() {
                tracing::warn!(alert = notice.alert, "watchdog.notify.{way} is not told: {QUEUE} alerts wait already");
            }
        }
    }
}

async fn listen(mut events: EventStream, runtime: String, queues: Queues, mut stopping: watch::Receiver<bool>) {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let Some(event) = event else { return };
        if let Some(notice) = Notice::of(&event, &runtime) {
            queues.tell(notice);
        }
    }
}

async fn post_all(
    url: String,
    post: Arc<dyn Post>,
    mut queue: mpsc::Receiver<Arc<Notice>>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let told = async {
            let notice = queue.recv().await?;
            let json = match serde_json::to_vec(notice.as_ref()) {
                Ok(json) => json.into(),
                Err(error) => return Some((notice, Err(error.to_string()))),
            };
            let posted = timeout(BOUND, post.post(&url, json)).await;
            Some((notice, posted.unwrap_or_else(|_| Err(format!("no answer within {BOUND:?}")))))
        };
        let told = tokio::select! {
            told = told => told,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        match told {
            Some((_, Ok(()))) => {}
            // Without the URL: that of a chat is as good as a password.
            Some((notice, Err(why))) => {
                tracing::warn!(alert = notice.alert, "watchdog.notify.webhook was not told: {why}");
            }
            None => return,
        }
    }
}

async fn run_all(program: Program, mut queue: mpsc::Receiver<Arc<Notice>>, mut stopping: watch::Receiver<bool>) {
    loop {
        let notice = tokio::select! {
            notice = queue.recv() => notice,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let Some(notice) = notice else { return };
        let told = program.run(notice.line(), &mut stopping).await;
        if *stopping.borrow() {
            return;
        }
        if let Err(why) = told {
            let command = program.command.first().map_or("", String::as_str);
            tracing::warn!(alert = notice.alert, "watchdog.notify.exec: `{command}`: {why}");
        }
    }
}

#[cfg(test)]
#[path = "notifier_tests.rs"]
mod tests;

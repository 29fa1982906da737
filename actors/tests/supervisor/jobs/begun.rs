//! One attempt at a job, what it is done with, and what is told of it.

use std::{path::Path, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler};
use greenroom_actors::{
    event::EventBus,
    gate::Ticket,
    ids::ServiceName,
    job::{JobError, JobId, JobResult},
    job_queue::{
        attempt::{Attempt, AttemptEnd, AttemptNews, AttemptTold, JobFolder, Order, Teller},
        runner::{Rim, far::Far, tidy::Tidy},
    },
    os::clock,
    spec::{CleanupSpec, JobDefinition, JobWork},
};
use serde_json::{Map, Value};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{rig::PATIENCE, roster::House};

/// A kind of job of which nothing more is said: no params, no bound, one at a time, never again.
pub fn definition(name: ServiceName, work: JobWork) -> JobDefinition {
    JobDefinition {
        name,
        serves: Vec::new(),
        params: Vec::new(),
        work,
        timeout: Duration::ZERO,
        retries: 0,
        max_parallel: 1,
        keep_output: Duration::ZERO,
        cleanup: CleanupSpec::default(),
    }
}

/// What attempts are done with in this house, without workers.
pub fn rim(house: &House, bus: EventBus, state_dir: &Path, stopping: watch::Receiver<bool>) -> Rim {
    Rim {
        services: house.actors.roster.services().clone(),
        workers: Default::default(),
        memory: house.actors.memory.clone(),
        orchestrator: house.actors.orchestrator.downgrade(),
        bus,
        state_dir: state_dir.to_owned(),
        max_waiting: 8,
        stopping,
        containment: Arc::clone(&house.containment),
        far: Far::default(),
        tidy: Tidy::default(),
        witness: Default::default(),
    }
}

/// Which attempt it is.
#[derive(Clone, Copy)]
pub struct Which {
    pub number: u32,
    /// Which of the workers does it.
    pub slot: u32,
    /// Whether an earlier one has had its run restarted.
    pub has_poisoned: bool,
}

impl Which {
    pub const FIRST: Self = Self { number: 1, slot: 1, has_poisoned: false };
}

/// One attempt that is under way.
pub struct Begun {
    pub news: mpsc::UnboundedReceiver<AttemptNews>,
    pub order: watch::Sender<Order>,
    pub folder: JobFolder,
    pub task: JoinHandle<()>,
}

struct Hears(mpsc::UnboundedSender<AttemptNews>);

impl Actor for Hears {
    type Context = Context<Self>;
}

impl Handler<AttemptTold> for Hears {
    type Result = ();

    fn handle(&mut self, told: AttemptTold, _: &mut Self::Context) {
        // The test may be over.
        drop(self.0.send(told.news));
    }
}

impl Begun {
    /// An attempt at a new job, which has its folder in this state dir; `run` does it.
    pub fn new<F: Future<Output = ()> + 'static>(
        state_dir: &Path,
        definition: Arc<JobDefinition>,
        which: Which,
        params: Value,
        run: impl FnOnce(Attempt, Teller) -> F,
    ) -> Self {
        let Value::Object(params) = params else { panic!("an object") };
        let id = JobId::fresh();
        let folder = JobFolder::of(state_dir, id);
        let (order, ordered) = watch::channel(Order::Go);
        let attempt = Attempt {
            id,
            number: which.number,
            definition,
            params,
            folder: folder.clone(),
            ticket: Ticket { arrival: clock::now(), priority: 0 },
            slot: which.slot,
            has_poisoned: which.has_poisoned,
            order: ordered,
        };
        let (told, news) = mpsc::unbounded_channel();
        let teller = Teller::new(id, which.number, Hears(told).start().recipient());
        Self { news, order, folder, task: actix_rt::spawn(run(attempt, teller)) }
    }

    pub async fn next(&mut self) -> AttemptNews {
        tokio::time::timeout(PATIENCE, self.news.recv()).await.expect("news").expect("it is not over")
    }

    /// The next news of which `pick` makes something.
    pub async fn until<T>(&mut self, pick: impl Fn(&AttemptNews) -> Option<T>) -> T {
        loop {
            let news = self.next().await;
            if let Some(found) = pick(&news) {
                return found;
            }
            assert!(!matches!(news, AttemptNews::Ended(_) | AttemptNews::Over), "{news:?}");
        }
    }

    pub async fn runs(&mut self) {
        self.until(|news| (*news == AttemptNews::Running).then_some(())).await;
    }

    /// How it ends, and that nothing is told after it but that it is over.
    pub async fn end(mut self) -> AttemptEnd {
        let end = loop {
            if let AttemptNews::Ended(end) = self.next().await {
                break end;
            }
        };
        assert_eq!(self.next().await, AttemptNews::Over);
        self.task.await.expect("it ends");
        end
    }

    pub async fn done(self) -> JobResult {
        match self.end().await {
            AttemptEnd::Done(result) => result,
            other => panic!("{other:?}"),
        }
    }

    pub async fn failed(self) -> JobError {
        match self.end().await {
            AttemptEnd::Failed(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

pub fn nothing() -> Value {
    Value::Object(Map::new())
}

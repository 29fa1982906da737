//! A queue of one kind of job, and one attempt of it.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler};
use greenroom_actors::{
    event::EventBus,
    gate::Ticket,
    job::{JobError, JobId, JobResult},
    job_queue::{
        attempt::{Attempt, AttemptEnd, AttemptNews, AttemptTold, JobFolder, Order, Teller},
        runner::{Rim, far::Far, process, tidy::Tidy},
    },
    os::clock,
    spec::{
        CleanupSpec, JobDefinition, JobWork, ParamKind, ParamSpec, ProcessJob, ResourcesSpec, RestartPolicy,
        ServiceSpec, StartMode, WorkerSpec,
    },
    template::{Part, Template},
};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    rig::{PATIENCE, script},
    roster::House,
};

/// A worker that runs a shell script, with `$1` for its output and `$2` for the folder of the test.
pub fn worker(text: &str, dir: &TempDir) -> ServiceSpec {
    let mut spec = ServiceSpec { name: "image".parse().expect("a name"), ..script(text) };
    spec.command.extend([
        Template::text("sh"),
        Template(vec![Part::Output]),
        Template::text(dir.path().display().to_string()),
    ]);
    spec.start = StartMode::OnDemand;
    spec.restart.policy = RestartPolicy::Never;
    spec.stop.grace = Duration::from_millis(300);
    let job = spec.name.clone();
    spec.worker = Some(WorkerSpec { job, progress: None, task: None });
    spec
}

/// A queue of one kind of job, which is asked for by the test.
pub struct Queue {
    pub house: House,
    pub rim: Rim,
    pub stopping: watch::Sender<bool>,
    pub job: ProcessJob,
    pub definition: Arc<JobDefinition>,
    pub dir: TempDir,
}

/// One attempt that is under way.
pub struct Begun {
    pub news: mpsc::UnboundedReceiver<AttemptNews>,
    pub order: watch::Sender<Order>,
    pub folder: JobFolder,
    pub task: JoinHandle<()>,
}

pub struct Hears(pub mpsc::UnboundedSender<AttemptNews>);

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

impl Queue {
    pub async fn new(text: &str) -> Self {
        Self::with(text, Vec::new(), ResourcesSpec::default(), |_| ()).await
    }

    pub async fn with(
        text: &str,
        others: Vec<ServiceSpec>,
        resources: ResourcesSpec,
        change: impl FnOnce(&mut ServiceSpec),
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let mut service = worker(text, &dir);
        change(&mut service);
        let params = vec![
            ParamSpec { name: "prompt".to_owned(), kind: ParamKind::Text, default: None, flag: None },
            ParamSpec { name: "seed".to_owned(), kind: ParamKind::Int, default: None, flag: Some("--seed".to_owned()) },
        ];
        let job = ProcessJob { service: service.clone(), clip_on_cpu: None, vae_on_cpu: None, batch_size: None };
        let definition = Arc::new(JobDefinition {
            name: service.name.clone(),
            serves: Vec::new(),
            params,
            work: JobWork::Process(Box::new(job.clone())),
            timeout: Duration::ZERO,
            retries: 0,
            max_parallel: 1,
            keep_output: Duration::ZERO,
            cleanup: CleanupSpec::default(),
        });
        let services = others.into_iter().chain([service]).collect();
        let bus = EventBus::new(1);
        let house = House::of(services, resources, bus.clone()).await;
        let (stopping, stops) = watch::channel(false);
        let set = house.actors.roster.services().clone();
        let rim = Rim {
            services: set.clone(),
            workers: set,
            memory: house.actors.memory.clone(),
            orchestrator: house.actors.orchestrator.downgrade(),
            bus,
            state_dir: dir.path().to_owned(),
            max_waiting: 8,
            stopping: stops,
            containment: Arc::clone(&house.containment),
            far: Far::default(),
            tidy: Tidy::default(),
            witness: Default::default(),
        };
        Self { house, rim, stopping, job, definition, dir }
    }

    pub fn begin(&self, params: Value) -> Begun {
        self.begin_at(1, params)
    }

    /// By this of its workers.
    pub fn begin_at(&self, slot: u32, params: Value) -> Begun {
        let Value::Object(params) = params else { panic!("an object") };
        let id = JobId::fresh();
        let folder = JobFolder::of(self.dir.path(), id);
        let (order, ordered) = watch::channel(Order::Go);
        let ticket = Ticket { arrival: clock::now(), priority: 0 };
        let mut attempt = Attempt {
            id,
            number: 1,
            definition: Arc::clone(&self.definition),
            params,
            folder: folder.clone(),
            ticket,
            slot,
            has_poisoned: false,
            order: ordered,
        };
        let (told, news) = mpsc::unbounded_channel();
        let (job, rim) = (self.job.clone(), self.rim.clone());
        let teller = Teller::new(id, 1, Hears(told).start().recipient());
        let task = actix_rt::spawn(async move { process::run(&mut attempt, &job, &rim, &teller).await });
        Begun { news, order, folder, task }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What waits for the file `go` goes on.
    pub fn let_end(&self) {
        fs::write(self.path("go"), "").expect("written");
    }

    pub async fn stop(self) {
        self.stopping.send_replace(true);
        self.house.stop().await;
    }
}

impl Begun {
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

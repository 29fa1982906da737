//! A queue of one kind of job.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use greenroom_actors::{
    event::EventBus,
    job_queue::runner::{Rim, process},
    spec::{
        JobDefinition, JobWork, ParamKind, ParamSpec, ProcessJob, ResourcesSpec, RestartPolicy, ServiceSpec, StartMode,
        WorkerSpec,
    },
    template::{Part, Template},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use super::begun::{Begun, Which, definition, rim};
use crate::{rig::script, roster::House};

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
        let work = JobWork::Process(Box::new(job.clone()));
        let definition = Arc::new(JobDefinition { params, ..definition(service.name.clone(), work) });
        let services = others.into_iter().chain([service]).collect();
        let bus = EventBus::new(1);
        let house = House::of(services, resources, bus.clone()).await;
        let (stopping, stops) = watch::channel(false);
        let workers = house.actors.roster.services().clone();
        let rim = Rim { workers, ..rim(&house, bus, dir.path(), stops) };
        Self { house, rim, stopping, job, definition, dir }
    }

    pub fn begin(&self, params: Value) -> Begun {
        self.begin_at(1, params)
    }

    /// By this of its workers.
    pub fn begin_at(&self, slot: u32, params: Value) -> Begun {
        let (job, rim) = (self.job.clone(), self.rim.clone());
        let run = |mut attempt, teller| async move { process::run(&mut attempt, &job, &rim, &teller).await };
        Begun::new(self.dir.path(), Arc::clone(&self.definition), Which { slot, ..Which::FIRST }, params, run)
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

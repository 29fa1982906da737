//! Jobs by processes of their own, on a worker with the whole of the actors behind it.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler};
use greenroom_actors::{
    engines::Engines,
    event::EventBus,
    failure::FailureClass,
    gate::Ticket,
    job::{JobError, JobId, JobResult},
    job_queue::{
        attempt::{Attempt, AttemptEnd, AttemptNews, AttemptTold, JobFolder, Order, StopWhy, Teller},
        runner::{Rim, far::Far, process, tidy::Tidy},
    },
    lease::Wish,
    os::clock,
    process_supervisor::messages::LoadService,
    spec::{
        CleanupAction, CleanupSpec, DeclaredCard, Figure, GpuBackend, JobDefinition, JobWork, ParamKind, ParamSpec,
        ProcessJob, ReloadPolicy, ResourcesSpec, RestartPolicy, ServiceSpec, StartMode, WorkerSpec,
    },
    state::ServiceState,
    template::{Part, Template},
    units::ByteSize,
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    rig::{PATIENCE, line_of, runs, script},
    roster::{House, until},
};

const GIB: u64 = 1 << 30;

/// A worker that runs a shell script, with `$1` for its output and `$2` for the folder of the test.
fn worker(text: &str, dir: &TempDir) -> ServiceSpec {
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
struct Queue {
    house: House,
    rim: Rim,
    stopping: watch::Sender<bool>,
    job: ProcessJob,
    definition: Arc<JobDefinition>,
    dir: TempDir,
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
    async fn new(text: &str) -> Self {
        Self::with(text, Vec::new(), ResourcesSpec::default(), |_| ()).await
    }

    async fn with(
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

    fn begin(&self, params: Value) -> Begun {
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
            slot: 1,
            has_poisoned: false,
            order: ordered,
        };
        let (told, news) = mpsc::unbounded_channel();
        let (job, rim) = (self.job.clone(), self.rim.clone());
        let teller = Teller::new(id, 1, Hears(told).start().recipient());
        let task = actix_rt::spawn(async move { process::run(&mut attempt, &job, &rim, &teller).await });
        Begun { news, order, folder, task }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn stop(self) {
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

fn nothing() -> Value {
    Value::Object(Map::new())
}

#[actix::test]
async fn a_job_fills_in_its_command_and_what_it_made_is_listed() {
    let mut queue = Queue::new("printf '%s|' \"$@\" > \"$1.txt\"; echo '{\"n\": 7}' > \"$1.json\"").await;
    queue.job.service.command.push(Template(vec![Part::Text("p=".to_owned()), Part::Param("prompt".to_owned())]));
    let begun = queue.begin(json!({ "prompt": "a \"heron\", $HOME", "seed": 42 }));
    let output = begun.folder.output();
    let result = begun.done().await;
    assert_eq!(
        (result.files, result.json),
        (vec!["output.json".to_owned(), "output.txt".to_owned()], Some(json!({"n": 7})))
    );
    let said = fs::read_to_string(output.join("output.txt")).expect("written");
    let expected =
        format!("{0}/output|{1}|p=a \"heron\", $HOME|--seed|42|", output.display(), queue.dir.path().display());
    assert_eq!(said, expected);
    let rests = queue.house.find("image").status.borrow().clone();
    assert_eq!((rests.state, rests.restarts_consecutive), (ServiceState::Stopped, 0));
    queue.stop().await;
}

#[actix::test]
async fn a_job_is_run_once_however_short_it_is() {
    let queue = Queue::new("echo x >> \"$2/runs\"; : > \"$1\"").await;
    for n in 1..=20 {
        let result = queue.begin(nothing()).done().await;
        assert_eq!(result.files, ["output"]);
        assert_eq!(fs::read_to_string(queue.path("runs")).expect("it ran").lines().count(), n);
    }
    queue.stop().await;
}

#[actix::test]
async fn a_failure_has_its_status_class_and_last_words_and_the_next_job_may_come() {
    let text = "if [ -e \"$2/well\" ]; then : > \"$1\"; else echo first >&2; echo 'CUDA out of memory' >&2; exit 3; fi";
    let queue = Queue::new(text).await;
    let error = queue.begin(nothing()).failed().await;
    assert_eq!((error.class, error.code, error.signal), (Some(FailureClass::OomGpu), Some(3), None));
    assert_eq!(error.stderr, ["first", "CUDA out of memory"]);
    let expected = "ended with exit code 3 (oom_gpu): `CUDA out of memory`; give it less to hold";
    assert!(error.message.starts_with(expected), "{}", error.message);
    fs::write(queue.path("well"), "").expect("written");
    queue.begin(nothing()).done().await;
    queue.stop().await;
}

#[actix::test]
async fn a_job_that_ends_well_and_makes_nothing_has_failed_and_so_has_one_without_a_program() {
    let mut queue = Queue::new("exit 0").await;
    let error = queue.begin(nothing()).failed().await;
    assert_eq!((error.class, error.code), (Some(FailureClass::Exit), Some(0)));
    assert!(error.message.starts_with("it ended with status 0 and made nothing"), "{}", error.message);
    queue.job.service.command[0] = Template::text("/no/such/program");
    let error = queue.begin(nothing()).failed().await;
    assert_eq!((error.class, error.code), (Some(FailureClass::MissingCommand), None));
    assert!(error.message.contains("could not be started: cannot run `/no/such/program`"), "{}", error.message);
    queue.stop().await;
}

#[actix::test]
async fn a_cancelled_job_has_really_stopped_whatever_it_does_against_it() {
    let text = "trap '' TERM; setsid sleep 1000 & echo $! > \"$2/away\"; echo $$ > \"$2/main\"; \
                while :; do sleep 1000; done";
    for why in [StopWhy::Cancelled, StopWhy::TimedOut] {
        let queue = Queue::new(text).await;
        let mut begun = queue.begin(nothing());
        begun.runs().await;
        let (away, main) = (line_of(queue.path("away")).await, line_of(queue.path("main")).await);
        assert!(runs(&away) && runs(&main));
        begun.order.send_replace(Order::Stop(why));
        let stopped = begun.until(|news| matches!(news, AttemptNews::Ended(AttemptEnd::Stopped)).then_some(())).await;
        assert_eq!((runs(&away), runs(&main), stopped), (false, false, ()), "told before it has stopped");
        assert_eq!(begun.next().await, AttemptNews::Over);
        queue.stop().await;
    }
}

#[actix::test]
async fn one_that_is_stopped_after_its_end_has_ended_by_itself() {
    let queue = Queue::new(": > \"$1\"").await;
    let mut begun = queue.begin(nothing());
    begun.runs().await;
    until(&queue.house.find("image"), |status| status.last_exit.is_some()).await;
    begun.order.send_replace(Order::Stop(StopWhy::Cancelled));
    assert_eq!(begun.done().await.files, ["output"]);
    queue.stop().await;
}

#[actix::test]
async fn progress_is_seen_while_it_is_drawn_over_itself() {
    let text = "printf '\\r  |##> | 900/1130 - 1.20GB/s'; for n in 1 2 3 4; do \
                printf '\\r  |==> | %s/4 - 3.37it/s' $n; touch \"$2/step$n\"; \
                while [ ! -e \"$2/go$n\" ]; do sleep 0.01; done; done; : > \"$1\"";
    let queue = Queue::with(text, Vec::new(), ResourcesSpec::default(), |spec| {
        if let Some(worker) = &mut spec.worker {
            worker.progress = Some(r"\| (?<step>\d+)/(?<steps>\d+) - [0-9.]+it/s".to_owned());
        }
    })
    .await;
    let mut begun = queue.begin(nothing());
    for n in 1..=4 {
        let step = begun.until(|news| if let AttemptNews::Progress(step) = news { Some(*step) } else { None }).await;
        assert_eq!((step.done, step.total), (n, 4));
        assert_eq!(step.eta.is_some(), n > 1, "there is a pace from the second step on");
        fs::write(queue.path(&format!("go{n}")), "").expect("written");
    }
    begun.done().await;
    assert_eq!(queue.house.find("image").status.borrow().step, None);
    queue.stop().await;
}

/// Writes its arguments to where `-o` says, as `sd-cli` would a picture.
const PAINTER: &str = r#"#!/bin/sh
if [ "$1" = --help ]; then echo '  --clip-on-cpu   keep clip in cpu'; echo '  --vae-on-cpu   keep vae in cpu'; exit; fi
printf '\r  |##> | 900/1130 - 1.20GB/s\033[K'
printf '\r  |==> | 3/4 - 3.37it/s\033[K'
while [ ! -e go ]; do sleep 0.01; done
printf '%s ' "$@" > "$2"
"#;

#[actix::test]
async fn stable_diffusion_is_told_what_to_keep_on_the_host_and_its_picture_has_an_extension() {
    let mut queue = Queue::new("").await;
    let (program, fresh) = (queue.path("sd"), queue.path("fresh"));
    fs::write(&fresh, PAINTER).expect("written");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::rename(&fresh, &program).expect("in place");
    let service = &mut queue.job.service;
    service.engine = Engines::default().named("sd-cpp").expect("an engine");
    service.command =
        vec![Template::text(program.display().to_string()), Template::text("-o"), Template(vec![Part::Output])];
    service.working_dir = queue.dir.path().to_owned();
    (queue.job.clip_on_cpu, queue.job.vae_on_cpu, queue.job.batch_size) = (Some(true), Some(false), Some(3));
    let mut begun = queue.begin(nothing());
    let output = begun.folder.output();
    let step = begun.until(|news| if let AttemptNews::Progress(step) = news { Some(*step) } else { None }).await;
    assert_eq!((step.done, step.total), (3, 4));
    queue.let_end();
    assert_eq!(begun.done().await.files, ["output.png"]);
    let said = fs::read_to_string(output.join("output.png")).expect("written");
    assert_eq!(said, format!("-o {}/output.png -b 3 --clip-on-cpu ", output.display()));
    queue.stop().await;
}

/// One card of 8 GiB that nobody measures.
fn one_card() -> ResourcesSpec {
    let declared = vec![DeclaredCard { name: "a card".to_owned(), memory: ByteSize(8 * GIB) }];
    ResourcesSpec { backend: GpuBackend::Declared, declared, ram_reserve: ByteSize(0), ..ResourcesSpec::default() }
}

fn takes(spec: &mut ServiceSpec, vram: u64) {
    spec.memory.vram = Figure::Known { idle: None, peak: ByteSize(vram) };
    spec.memory.ram = Figure::Known { idle: None, peak: ByteSize(1 << 20) };
}

fn chat() -> ServiceSpec {
    let mut chat = ServiceSpec { name: "chat".parse().expect("a name"), ..script("exec sleep 1000") };
    chat.start = StartMode::OnDemand;
    chat.memory.offload.reload = ReloadPolicy::WhenFree;
    takes(&mut chat, 6 * GIB);
    chat
}

impl Queue {
    /// A job that takes 4 GiB of a card of 8, and ends when the file `go` is there; beside it `chat` of 6 GiB, loaded.
    async fn beside_chat(chat: ServiceSpec) -> Self {
        let text = "while [ ! -e \"$2/go\" ]; do sleep 0.01; done; : > \"$1\"";
        let queue = Self::with(text, vec![chat], one_card(), |spec| takes(spec, 4 * GIB)).await;
        queue.load_chat();
        until(&queue.house.find("chat"), |status| status.state == ServiceState::Ready).await;
        queue
    }

    fn load_chat(&self) {
        let chat = self.house.find("chat").supervisor.upgrade().expect("a supervisor");
        chat.do_send(LoadService { wish: Wish::Wanted, lifts: true });
    }

    fn let_end(&self) {
        fs::write(self.path("go"), "").expect("written");
    }
}

#[actix::test]
async fn a_resident_leaves_for_a_job_and_is_back_after_it() {
    let queue = Queue::beside_chat(chat()).await;
    let mut begun = queue.begin(nothing());
    begun.runs().await;
    assert_eq!(queue.house.find("chat").status.borrow().state, ServiceState::Offloaded);
    queue.let_end();
    assert_eq!(begun.done().await.files, ["output"]);
    until(&queue.house.find("chat"), |status| status.state == ServiceState::Ready).await;
    queue.stop().await;
}

#[actix::test]
async fn a_job_that_works_is_not_pushed_out_and_its_end_is_its_own() {
    let queue = Queue::beside_chat(chat()).await;
    let mut begun = queue.begin(nothing());
    begun.runs().await;
    until(&queue.house.find("image"), |status| status.state == ServiceState::Ready).await;
    // Somebody waits for chat, so that it is due at some time.
    let ticket = Ticket { arrival: clock::now(), priority: 9 };
    let waits = queue.house.find("chat").gate.line_up(ticket, 8).expect("nobody is before it");
    queue.load_chat();
    until(&queue.house.find("image"), |status| status.state == ServiceState::Draining).await;
    queue.let_end();
    assert_eq!(begun.done().await.files, ["output"]);
    until(&queue.house.find("chat"), |status| status.state == ServiceState::Ready).await;
    drop(waits);
    queue.stop().await;
}

#[actix::test]
async fn one_that_waits_for_memory_says_so_tries_again_and_is_withdrawn_at_once() {
    let queue = Queue::beside_chat(ServiceSpec {
        memory: {
            let mut memory = chat().memory;
            memory.pinned = true;
            memory
        },
        ..chat()
    })
    .await;
    let mut begun = queue.begin(nothing());
    let why = begun.until(|news| match news {
        AttemptNews::Waiting(why) if why.contains("chat holds") => Some(why.clone()),
        _ => None,
    });
    let why = why.await;
    assert!(why.contains("chat holds 6GiB (pinned)"), "{why}");
    begun.order.send_replace(Order::Stop(StopWhy::Cancelled));
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    let rests = queue.house.find("image").status.borrow().clone();
    assert_eq!((rests.state, rests.run_id), (ServiceState::Stopped, None));
    // What comes later finds room once the other has gone.
    let mut begun = queue.begin(nothing());
    begun.until(|news| matches!(news, AttemptNews::Waiting(why) if why.contains("chat holds")).then_some(())).await;
    let chat = queue.house.find("chat").supervisor.upgrade().expect("a supervisor");
    chat.do_send(greenroom_actors::process_supervisor::messages::StopService { reason: "enough".to_owned() });
    queue.let_end();
    begun.done().await;
    queue.stop().await;
}

#[actix::test]
async fn one_that_never_fits_fails_at_once() {
    let queue = Queue::with(": > \"$1\"", Vec::new(), one_card(), |spec| takes(spec, 12 * GIB)).await;
    let error = queue.begin(nothing()).failed().await;
    assert_eq!(error.class, Some(FailureClass::Unknown));
    assert!(error.message.starts_with("it never fits here: it needs 12GiB of VRAM"), "{}", error.message);
    queue.stop().await;
}

#[actix::test]
async fn a_kill_waits_for_nobody_and_the_end_of_all_leaves_nothing() {
    let queue = Queue::new("trap '' TERM; echo $$ > \"$2/main\"; while :; do sleep 1000; done").await;
    let mut begun = queue.begin(nothing());
    begun.runs().await;
    let main = line_of(queue.path("main")).await;
    begun.order.send_replace(Order::Stop(StopWhy::Shutdown));
    begun.order.send_replace(Order::Kill);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    until(&queue.house.find("image"), |status| !status.state.is_live()).await;
    assert!(!runs(&main));
    queue.stop().await;
}

#[actix::test]
async fn after_every_end_it_is_cleaned_up_once_nothing_of_it_runs() {
    let text = "echo $$ > \"$2/main\"; case $3 in done) : > \"$1\";; failed) exit 3;; *) sleep 1000;; esac";
    let mut queue = Queue::new(text).await;
    queue.job.service.command.push(Template(vec![Part::Param("prompt".to_owned())]));
    let command = ["sh", "-c", "kill -0 $(cat \"$1/main\") 2>/dev/null || echo $2 >> \"$1/cleaned\"", "sh"];
    let mut exec = command.map(Template::text).to_vec();
    exec.push(Template::text(queue.dir.path().display().to_string()));
    exec.push(Template(vec![Part::Param("prompt".to_owned())]));
    let cleanup = CleanupSpec { actions: vec![CleanupAction::Exec(exec)], ..CleanupSpec::default() };
    queue.definition = Arc::new(JobDefinition { cleanup, ..(*queue.definition).clone() });
    queue.begin(json!({ "prompt": "done" })).done().await;
    queue.begin(json!({ "prompt": "failed" })).failed().await;
    let mut begun = queue.begin(json!({ "prompt": "cancelled" }));
    begun.runs().await;
    begun.order.send_replace(Order::Stop(StopWhy::Cancelled));
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    let cleaned = fs::read_to_string(queue.path("cleaned")).expect("written");
    assert_eq!(cleaned.lines().collect::<Vec<_>>(), ["done", "failed", "cancelled"]);
    queue.stop().await;
}

#[actix::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let queue = Queue::new(": > \"$1\"").await;
    fs::write(queue.path("jobs"), "in the way").expect("written");
    fs::set_permissions(queue.path("jobs"), fs::Permissions::from_mode(0o400)).expect("a mode");
    let error = queue.begin(nothing()).failed().await;
    assert!(error.message.contains("cannot be made"), "{}", error.message);
    queue.stop().await;
}

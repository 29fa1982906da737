//! The whole queue, with a real history, a real disk, and somebody who works as the test says.

use std::{fs, time::Duration};

use actix::{Addr, Handler};
use actix_rt::Arbiter;
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::{
    event::EventKind,
    history_store::{History, HistoryReader},
    job::{JobOutcome, JobProgress, JobResult, JobState},
    job_queue::{
        messages::{
            Cancel, CancelError, Contents, CountJobs, FollowJob, GetJob, JobSpec, ListJobs, Submit, SubmitError,
        },
        remembered,
        sample::{definition, param},
    },
    spec::{HistorySpec, ParamKind, RunningJobs},
    units::ByteSize,
};

/// Long enough for the slowest machine; no test waits for it unless it fails.
const LONG: Duration = Duration::from_secs(30);

/// A queue and what it needs.
struct House {
    dir: TempDir,
    history: History,
    thread: Arbiter,
    queue: Addr<JobQueue>,
    /// Attempts, as they are handed out.
    work: mpsc::UnboundedReceiver<(Attempt, Teller)>,
    bus: EventBus,
}

impl House {
    fn new(definitions: Vec<JobDefinition>) -> Self {
        Self::over(tempfile::tempdir().expect("a folder"), definitions)
    }

    /// One whose runtime begins with what lies here.
    fn over(dir: TempDir, definitions: Vec<JobDefinition>) -> Self {
        let bus = EventBus::new(1);
        let path = dir.path().join("history.db");
        let before = remembered(&path, &bus);
        let spec = HistorySpec { path: path.clone(), retain: LONG, max_size: ByteSize(1 << 30) };
        let history = History::start(&spec, &bus).expect("a thread");
        let thread = Arbiter::new();
        let (hand, work) = mpsc::unbounded_channel();
        let doer: Doer = Arc::new(move |attempt, teller| drop(hand.send((attempt, teller))));
        let shutdown = ShutdownSpec { deadline: LONG, drain: LONG, running_jobs: RunningJobs::Drain };
        let queue = JobQueue::new(QueueParts {
            definitions: definitions.into_iter().map(Arc::new).collect(),
            before,
            history: history.sink(),
            history_path: path,
            bus: bus.clone(),
            state_dir: dir.path().to_owned(),
            doer,
            thread: thread.handle(),
            shutdown,
            stopping: watch::channel(false).0,
        })
        .start();
        Self { dir, history, thread, queue, work, bus }
    }

    async fn submit(&self, spec: JobSpec) -> Result<JobView, SubmitError> {
        self.queue.send(Submit(spec)).await.expect("it lives")
    }

    async fn attempt(&mut self) -> (Attempt, Teller) {
        timeout(LONG, self.work.recv()).await.expect("in time").expect("an attempt")
    }

    /// The job, as soon as it is so.
    async fn until(&self, id: JobId, wanted: impl Fn(&JobView) -> bool) -> Arc<JobView> {
        let mut view = self.queue.send(FollowJob(id)).await.expect("it lives").expect("the job");
        let wait = view.wait_for(|view| wanted(view));
        let reached = timeout(LONG, wait).await.expect("in time").map(|view| Arc::clone(&view));
        reached.expect("not before its end")
    }

    fn row(&self, id: JobId) -> Option<JobView> {
        let reader = HistoryReader::open(&self.dir.path().join("history.db")).expect("a database");
        reader.job(id).expect("rows")
    }

    fn folder(&self, id: JobId) -> JobFolder {
        JobFolder::of(self.dir.path(), id)
    }

    /// What is left after the runtime was killed: nothing more is written.
    fn killed(self) -> TempDir {
        let Self { dir, history, thread, .. } = self;
        thread.stop();
        assert!(history.end(LONG));
        dir
    }
}

/// Whether this comes true in time.
async fn eventually(mut wanted: impl FnMut() -> bool) -> bool {
    let wait = async {
        while !wanted() {
            actix_rt::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, wait).await.is_ok()
}

/// Hands the answer of the stopped unit out.
struct Answer(Option<oneshot::Sender<StopOutcome>>);

impl Actor for Answer {
    type Context = Context<Self>;
}

impl Handler<UnitStopped> for Answer {
    type Result = ();

    fn handle(&mut self, msg: UnitStopped, _: &mut Self::Context) {
        if let Some(answer) = self.0.take() {
            answer.send(msg.outcome).expect("somebody waits");
        }
    }
}

fn stop(house: &House, force: bool) -> oneshot::Receiver<StopOutcome> {
    let (sender, outcome) = oneshot::channel();
    let answer = Answer(Some(sender)).start().recipient();
    house.queue.do_send(StopUnit { name: "jobs".to_owned(), until: clock::now() + LONG, force, answer });
    outcome
}

fn done() -> AttemptNews {
    AttemptNews::Ended(AttemptEnd::Done(JobResult { files: vec!["out.png".to_owned()], json: None }))
}

fn image() -> JobDefinition {
    let params =
        vec![param("prompt", ParamKind::Text, None, None), param("init", ParamKind::File, None, Some("--init"))];
    JobDefinition { params, retries: 1, ..definition("image") }
}

fn heron() -> JobSpec {
    JobSpec::new("image").param("prompt", "a heron")
}

#[actix_rt::test]
async fn a_job_is_on_disk_when_it_is_accepted_and_its_outcome_when_it_is_told() {
    let mut house = House::new(vec![image()]);
    let view = house.submit(heron()).await.expect("accepted");
    let row = house.row(view.id).expect("on disk");
    assert_eq!((row.job.as_str(), &row.params["prompt"]), ("image", &json!("a heron")));
    let (attempt, teller) = house.attempt().await;
    assert_eq!((attempt.id, attempt.number, attempt.slot), (view.id, 1, 1));
    assert_eq!(house.row(view.id).map(|row| (row.state, row.attempt)), Some((JobState::Waiting, 1)));
    assert!(attempt.folder.output().is_dir());
    teller.tell(AttemptNews::Running);
    teller.tell(AttemptNews::Progress(JobProgress::of(1, 4, None)));
    house.until(view.id, |view| view.progress.is_some()).await;
    teller.tell(done());
    let told = house.until(view.id, |view| view.outcome.is_some()).await;
    assert_eq!((told.state, told.outcome), (JobState::Cleaning, Some(JobOutcome::Succeeded)));
    assert_eq!(house.row(view.id).and_then(|row| row.outcome), Some(JobOutcome::Succeeded));
    drop(teller);
    house.until(view.id, |view| view.state == JobState::Succeeded).await;
    assert!(house.queue.send(CountJobs).await.expect("it lives").is_empty());
    let mut events = house.bus.subscribe(Some("1-0".parse().expect("an id")));
    let mut states = Vec::new();
    while states.last() != Some(&JobState::Succeeded) {
        if let EventKind::JobState { to, .. } =
            timeout(LONG, events.next()).await.expect("in time").expect("events").kind
        {
            states.push(to);
        }
    }
    use JobState::{Cleaning, Queued, Running, Succeeded, Waiting};
    assert_eq!(states, [Queued, Waiting, Running, Cleaning, Succeeded]);
}

#[actix_rt::test]
async fn files_are_kept_with_their_job_and_of_a_refused_one_nothing_is() {
    let mut house = House::new(vec![image()]);
    let spool = house.dir.path().join("spool");
    fs::write(&spool, b"png").expect("a file");
    let sent = heron().file("init", "../my heron.png", Contents::Moved(spool.clone()));
    let view = house.submit(sent).await.expect("accepted");
    assert_eq!(view.params["init"], json!({ "file": "my_heron.png", "size": 3 }));
    let (attempt, _teller) = house.attempt().await;
    assert_eq!(fs::read(attempt.folder.input().join("my_heron.png")).expect("the file"), b"png");
    assert!(!spool.exists());

    fs::write(&spool, b"png").expect("a file");
    let bad = JobSpec::new("image").file("init", "a.png", Contents::Moved(spool.clone()));
    let refused = house.submit(bad.file("mask", "b.png", Contents::Bytes(Bytes::new()))).await;
    let problems = vec![
        "`prompt` is missing".to_owned(),
        "`mask` is no parameter of `image`, which takes prompt, init".to_owned(),
    ];
    assert_eq!(refused, Err(SubmitError::Params(problems)));
    assert!(eventually(|| !spool.exists()).await);
    let unknown = house.submit(JobSpec::new("imagine")).await.expect_err("there is none");
    assert_eq!(unknown.to_string(), "there is no job `imagine`; there are: image");
    let lost = heron().file("init", "a.png", Contents::Moved(house.dir.path().join("nowhere")));
    assert!(matches!(house.submit(lost).await, Err(SubmitError::NotWritten(why)) if why.contains("its files")));
    let folders = || fs::read_dir(house.dir.path().join("jobs")).expect("the folder").count();
    assert!(eventually(|| folders() == 1).await, "only the accepted one has a folder");
}

#[actix_rt::test]
async fn what_is_taken_back_is_so_on_disk_before_the_answer() {
    let mut house = House::new(vec![image()]);
    let (runs, waits) =
        (house.submit(heron()).await.expect("accepted"), house.submit(heron()).await.expect("accepted"));
    let (mut attempt, teller) = house.attempt().await;
    teller.tell(AttemptNews::Running);
    house.until(runs.id, |view| view.state == JobState::Running).await;
    let cancel = async |id| house.queue.send(Cancel(id)).await.expect("it lives");
    let view = cancel(waits.id).await.expect("taken back");
    assert_eq!(
        (view.state, house.row(waits.id).map(|row| row.state)),
        (JobState::Cancelled, Some(JobState::Cancelled))
    );
    let over = CancelError::Over { id: waits.id, state: JobState::Cancelled };
    assert_eq!(cancel(waits.id).await, Err(over));
    for _ in 0..2 {
        let view = cancel(runs.id).await.expect("taken back");
        assert_eq!((view.state, view.outcome), (JobState::Running, None), "until its work has stopped");
        assert_eq!(house.row(runs.id).and_then(|row| row.outcome), Some(JobOutcome::Cancelled));
    }
    let order = timeout(LONG, attempt.order.wait_for(|order| *order != Order::Go)).await.expect("in time");
    assert!(matches!(*order.expect("an order"), Order::Stop(_)));
    teller.tell(AttemptNews::Ended(AttemptEnd::Stopped));
    drop(teller);
    house.until(runs.id, |view| view.state == JobState::Cancelled).await;
    let unknown = JobId::fresh();
    assert_eq!(cancel(unknown).await, Err(CancelError::Unknown(unknown)));
}

#[actix_rt::test]
async fn after_a_kill_of_the_runtime_each_job_goes_on_where_it_was() {
    let mut house = House::new(vec![image()]);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(house.submit(heron()).await.expect("accepted").id);
    }
    let (attempt, teller) = house.attempt().await;
    fs::write(attempt.folder.output().join("half.png"), b"x").expect("a file");
    teller.tell(AttemptNews::Running);
    assert!(eventually(|| house.row(ids[0]).is_some_and(|row| row.state == JobState::Running)).await);
    house.queue.send(Cancel(ids[1])).await.expect("it lives").expect("taken back");

    let mut next = House::over(house.killed(), vec![image()]);
    let (again, teller) = next.attempt().await;
    assert_eq!((again.id, again.number), (ids[0], 2), "in the order in which they came");
    assert_eq!(fs::read_dir(again.folder.output()).expect("the folder").count(), 0, "nothing half done is left");
    let view = next.queue.send(GetJob(ids[0])).await.expect("it lives").expect("the job");
    assert_eq!(view.attempts[0].error.message, "the runtime was killed while it ran");
    teller.tell(AttemptNews::Running);
    assert!(eventually(|| next.row(ids[0]).is_some_and(|row| row.state == JobState::Running)).await);

    let mut last = House::over(next.killed(), vec![image()]);
    let (third, teller) = last.attempt().await;
    assert_eq!(third.id, ids[2], "the first has failed for good, the second was taken back");
    assert_eq!(last.until(ids[0], |view| view.state.is_final()).await.state, JobState::Failed);
    teller.tell(done());
    drop(teller);
    last.until(ids[2], |view| view.state == JobState::Succeeded).await;
    let gone = House::over(last.killed(), Vec::new());
    let listed = gone.queue.send(ListJobs::default()).await.expect("it lives");
    let ends: Vec<(JobId, JobState)> = listed.iter().map(|view| (view.id, view.state)).collect();
    let wanted = [(ids[2], JobState::Succeeded), (ids[0], JobState::Failed), (ids[1], JobState::Cancelled)];
    assert_eq!(ends, wanted, "nothing is open any more, and what ended last comes first");
    let over = CancelError::Over { id: ids[1], state: JobState::Cancelled };
    assert_eq!(gone.queue.send(Cancel(ids[1])).await.expect("it lives"), Err(over));
}

/// To the store a full disk is what a locked database is: it cannot be written now.
#[actix_rt::test]
async fn an_end_that_the_disk_does_not_take_is_told_and_written_when_there_is_room() {
    let mut house = House::new(vec![image()]);
    let id = house.submit(heron()).await.expect("accepted").id;
    let (_, teller) = house.attempt().await;
    teller.tell(AttemptNews::Running);
    assert!(eventually(|| house.row(id).is_some_and(|row| row.state == JobState::Running)).await);
    let other = rusqlite::Connection::open(house.dir.path().join("history.db")).expect("open");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    teller.tell(done());
    drop(teller);
    house.until(id, |view| view.state == JobState::Succeeded).await;
    assert_eq!(house.row(id).map(|row| row.state), Some(JobState::Running), "nothing can be written");
    other.execute_batch("ROLLBACK").expect("unlocked");
    assert!(eventually(|| house.row(id).is_some_and(|row| row.state == JobState::Succeeded)).await);

    let mut next = House::over(house.killed(), vec![image()]);
    let view = next.queue.send(GetJob(id)).await.expect("it lives").expect("the job");
    assert_eq!((view.state, view.attempt, view.attempts.len()), (JobState::Succeeded, 1, 0));
    assert!(next.work.try_recv().is_err(), "it is not done once more");
}

#[actix_rt::test]
async fn what_cannot_be_written_is_refused_and_not_done_when_the_disk_works_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.db");
    fs::create_dir(&path).expect("a folder in the way");
    let house = House::over(dir, vec![image()]);
    let sent = heron().file("init", "a.png", Contents::Bytes(Bytes::from_static(b"abc")));
    assert!(matches!(house.submit(sent).await, Err(SubmitError::NotWritten(_))));
    let folders = || fs::read_dir(house.dir.path().join("jobs")).map_or(0, Iterator::count);
    assert!(eventually(|| folders() == 0).await);
    fs::remove_dir(&path).expect("out of the way");
    let reader =
        || HistoryReader::open(&path).and_then(|reader| Ok((reader.open_jobs()?, reader.jobs(&Default::default())?)));
    assert!(eventually(|| reader().is_ok_and(|(_, all)| all.len() == 1)).await, "the history is written again");
    let (open, all) = reader().expect("rows");
    assert_eq!((open.len(), all[0].state), (0, JobState::Cancelled));
    assert!(house.queue.send(ListJobs::default()).await.expect("it lives").is_empty());
}

#[actix_rt::test]
async fn a_stop_is_answered_when_the_work_is_over_and_takes_nothing_more() {
    let mut house = House::new(vec![image()]);
    let (runs, waits) =
        (house.submit(heron()).await.expect("accepted"), house.submit(heron()).await.expect("accepted"));
    let (_attempt, teller) = house.attempt().await;
    teller.tell(AttemptNews::Running);
    house.until(runs.id, |view| view.state == JobState::Running).await;
    let mut stopped = stop(&house, false);
    assert_eq!(house.submit(heron()).await, Err(SubmitError::Stopping));
    assert!(stopped.try_recv().is_err(), "it may end its work");
    teller.tell(done());
    drop(teller);
    assert_eq!(timeout(LONG, stopped).await.expect("in time"), Ok(StopOutcome::Clean));
    assert_eq!(house.row(runs.id).map(|row| row.state), Some(JobState::Succeeded));
    assert_eq!(house.row(waits.id).map(|row| row.state), Some(JobState::Queued));
    assert!(house.work.try_recv().is_err());
}

#[actix_rt::test]
async fn force_kills_what_runs_and_it_is_queued_for_the_next_start() {
    let mut house = House::new(vec![image()]);
    let runs = house.submit(heron()).await.expect("accepted");
    let (mut attempt, teller) = house.attempt().await;
    teller.tell(AttemptNews::Running);
    drop(stop(&house, false));
    let stopped = stop(&house, true);
    timeout(LONG, attempt.order.wait_for(|order| *order == Order::Kill)).await.expect("in time").expect("an order");
    drop(teller);
    assert_eq!(timeout(LONG, stopped).await.expect("in time"), Ok(StopOutcome::Killed));
    assert_eq!(house.row(runs.id).map(|row| (row.state, row.attempts.len())), Some((JobState::Queued, 0)));
}

#[actix_rt::test]
async fn only_folders_of_jobs_that_ended_long_ago_are_taken_away() {
    let short = JobDefinition { keep_output: Duration::ZERO, ..image() };
    let mut house =
        House::new(vec![short.clone(), JobDefinition { name: "video".parse().expect("a name"), ..image() }]);
    let mut ended = Vec::new();
    for kind in ["image", "video"] {
        let view = house.submit(JobSpec { job: kind.to_owned(), ..heron() }).await.expect("accepted");
        let (_, teller) = house.attempt().await;
        teller.tell(done());
        drop(teller);
        house.until(view.id, |view| view.state == JobState::Succeeded).await;
        ended.push(view.id);
    }
    let open = house.submit(heron()).await.expect("accepted").id;
    let (_attempt, _teller) = house.attempt().await;
    let jobs = house.dir.path().join("jobs");
    let (outside, stranger) = (house.dir.path().join("outside"), jobs.join("notes"));
    for folder in [&outside, &stranger] {
        fs::create_dir(folder).expect("a folder");
    }
    let link = jobs.join(JobId::fresh().to_string());
    std::os::unix::fs::symlink(&outside, &link).expect("a link");
    assert!(eventually(|| house.row(ended[1]).is_some_and(|row| row.state.is_final())).await);

    let next =
        House::over(house.killed(), vec![short, JobDefinition { name: "video".parse().expect("a name"), ..image() }]);
    assert!(eventually(|| !next.folder(ended[0]).path().exists()).await);
    assert!(next.folder(ended[1]).path().exists() && next.folder(open).path().exists());
    assert!(outside.exists() && stranger.exists() && link.is_symlink());
    assert!(next.row(ended[0]).is_some_and(|row| row.result.is_some()), "what it made is still told");
}

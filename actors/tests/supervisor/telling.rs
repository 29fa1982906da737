//! What a running program says of its failures reaches whoever judges that.

use std::{fs, time::Duration};

use actix::{Actor, Context, Handler};
use futures_util::FutureExt;
use greenroom_actors::{
    failure::{FailureAction, FailureClass, FailureRule},
    ids::RunId,
    lease::Wish,
    process_supervisor::messages::StartService,
    spec::{Probe, RestartPolicy, ServiceSpec},
    state::ServiceState,
    witness::{FailureSeen, SeenIn},
};
use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::rig::{PATIENCE, Rig, script};

struct Judge(mpsc::UnboundedSender<FailureSeen>);

impl Actor for Judge {
    type Context = Context<Self>;
}

impl Handler<FailureSeen> for Judge {
    type Result = ();

    fn handle(&mut self, seen: FailureSeen, _: &mut Self::Context) {
        // The test may be over.
        drop(self.0.send(seen));
    }
}

/// With this rule of its own, and somebody who hears of what it says.
fn judged(mut spec: ServiceSpec, pattern: &str, action: FailureAction) -> (Rig, mpsc::UnboundedReceiver<FailureSeen>) {
    spec.failure = vec![FailureRule { pattern: pattern.to_owned(), class: FailureClass::Driver, action }];
    let rig = Rig::new(spec);
    let (told, heard) = mpsc::unbounded_channel();
    rig.witness.appoint(Judge(told).start().recipient());
    (rig, heard)
}

async fn next(heard: &mut mpsc::UnboundedReceiver<FailureSeen>) -> FailureSeen {
    timeout(PATIENCE, heard.recv()).await.expect("something is told").expect("the judge lives")
}

/// Writes a line into the pipe for which the service waits.
fn go(dir: &TempDir) {
    fs::write(dir.path().join("go"), "\n").expect("it reads");
}

/// A service that runs this in a folder with a pipe named `go`.
fn waiting(text: &str) -> (ServiceSpec, TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    mkfifo(&dir.path().join("go"), Mode::S_IRWXU).expect("a pipe");
    (ServiceSpec { working_dir: dir.path().to_owned(), ..script(text) }, dir)
}

#[actix_rt::test]
async fn a_flood_of_the_same_is_told_a_few_times_as_it_came_and_what_wants_nothing_done_is_not() {
    let (spec, dir) = waiting(
        "read x <go; printf 'soft\\n\\033[2Jhard: \\377 off the bus\\n'; i=0; \
         while [ $i -lt 20000 ]; do echo 'hard again'; i=$((i+1)); done; echo 'NansException: x' >&2; exec sleep 1000",
    );
    let (mut rig, mut heard) = judged(spec, "hard", FailureAction::Quarantine);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let run = rig.state(ServiceState::Ready).await.run_id.expect("a run");
    go(&dir);
    let first = next(&mut heard).await;
    assert_eq!((first.run, first.class, first.action), (run, FailureClass::Driver, FailureAction::Quarantine));
    assert_eq!((first.line.as_str(), first.seen), ("\u{1b}[2Jhard: \u{fffd} off the bus", SeenIn::Output));
    let mut others = 0;
    let nan = loop {
        let seen = next(&mut heard).await;
        if seen.class == FailureClass::Nan {
            break seen;
        }
        others += 1;
    };
    assert_eq!((nan.action, nan.line.as_str()), (FailureAction::RestartOnce, "NansException: x"));
    assert!(others < 1000, "{others} of 20000");
    assert_eq!(rig.state(ServiceState::Ready).await.run_id, Some(run), "whoever judges acts, and nobody else");
    rig.close(false).await;
}

#[actix_rt::test]
async fn what_is_said_before_it_is_ready_is_told_once_it_is() {
    let (mut spec, dir) =
        waiting("echo hard early; echo hard again; echo NansException; read x <go; echo up; exec sleep 1000");
    spec.ready.probe = Probe::Log("^up$".to_owned());
    let (mut rig, mut heard) = judged(spec, "hard", FailureAction::Restart);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let said = async {
        while !rig.log().contains("NansException") {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, said).await.expect("it says so");
    // What was told before would be heard before.
    let mark = FailureSeen {
        service: "svc".parse().expect("a name"),
        run: RunId::fresh(),
        class: FailureClass::Unknown,
        action: FailureAction::None,
        line: "mark".to_owned(),
        seen: SeenIn::Output,
    };
    rig.witness.tell(mark.clone());
    assert_eq!(next(&mut heard).await, mark);
    go(&dir);
    rig.state(ServiceState::Ready).await;
    let told = [next(&mut heard).await, next(&mut heard).await].map(|seen| (seen.class, seen.line));
    let expected = [(FailureClass::Driver, "hard early"), (FailureClass::Nan, "NansException")];
    assert_eq!(told, expected.map(|(class, line)| (class, line.to_owned())));
    rig.close(false).await;
    assert_eq!(heard.recv().now_or_never().flatten(), None, "nothing else was told");
}

#[actix_rt::test]
async fn what_does_not_become_ready_is_for_its_end_to_judge() {
    let (mut spec, _dir) = waiting("echo hard; echo NansException; exit 3");
    spec.ready.probe = Probe::Log("^up$".to_owned());
    spec.restart.policy = RestartPolicy::Never;
    let (mut rig, mut heard) = judged(spec, "hard", FailureAction::Restart);
    rig.supervisor.do_send(StartService { wish: Wish::Wanted });
    let failed = rig.state(ServiceState::Failed).await;
    let class = failed.last_exit.and_then(|exit| exit.class);
    assert_eq!(class, Some(FailureClass::Driver), "the line names the cause");
    rig.close(false).await;
    assert_eq!(heard.recv().now_or_never().flatten(), None, "it has failed once, and is judged once");
}

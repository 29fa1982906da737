//! What is done about a service on which a job has failed: with real supervisors and processes.

use std::{cell::Cell, fs, rc::Rc, time::Duration};

use actix::{Actor, Context, Handler};
use futures_util::FutureExt;
use greenroom_actors::{
    event::EventKind,
    failure::{FailureAction, FailureClass, FailureRule},
    ids::RunId,
    job_queue::attempt::AttemptNews,
    services::Supervised,
    spec::CleanupAction,
    state::{ServiceState, ServiceStatus},
    template::Template,
    witness::{FailureSeen, SeenIn},
};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::shop::{Shop, service};
use crate::{
    roster::until,
    web::{Asked, Reply, Web},
};

const NANS: &str = r#"{"error":"NansException","errors":"A tensor with all NaNs was produced in Unet."}"#;

/// A web server in the place of the service, that answers everything with this.
async fn refusing(port: u16, status: u16, body: &'static str) -> Web {
    Web::new(port, None, move |_| async move { Reply::refused(status, body) }).await
}

/// Waits until another run than this one is ready.
async fn replaced(service: &Supervised, run: Option<RunId>) -> ServiceStatus {
    until(service, |status| status.state == ServiceState::Ready && status.run_id != run).await
}

/// How many runs of the service have ended since the shop was opened.
fn ends(shop: &mut Shop) -> usize {
    let mut ends = 0;
    while let Some(Some(event)) = shop.events.next().now_or_never() {
        ends += usize::from(matches!(event.kind, EventKind::ServiceState { to: ServiceState::Stopping, .. }));
    }
    ends
}

/// Judges nothing; keeps what it is told, with the state of the service at that moment.
struct Judge {
    service: Supervised,
    heard: mpsc::UnboundedSender<(FailureSeen, Option<RunId>, ServiceState)>,
}

impl Actor for Judge {
    type Context = Context<Self>;
}

impl Handler<FailureSeen> for Judge {
    type Result = ();

    fn handle(&mut self, seen: FailureSeen, _: &mut Self::Context) {
        let status = self.service.status.borrow();
        // The test may be over.
        drop(self.heard.send((seen, status.run_id, status.state)));
    }
}

#[actix_rt::test]
async fn a_nan_restarts_the_service_once_for_a_job_after_its_evidence_was_seen() {
    let mut shop = Shop::new(service("a1111", "sleep 1000"), "/sdapi/v1/txt2img").await;
    let service = shop.service();
    let (heard, mut hears) = mpsc::unbounded_channel();
    shop.rim.witness.appoint(Judge { service: service.clone(), heard }.start().recipient());
    let (port, first) = shop.load().await;
    let web = refusing(port, 500, NANS).await;
    let error = shop.begin(json!({})).failed().await;
    drop(web);
    assert_eq!((error.class, error.poisons()), (Some(FailureClass::Nan), true));
    let (seen, run, state) = hears.recv().await.expect("the job tells");
    assert!(matches!(seen.seen, SeenIn::Job(_)));
    assert_eq!(
        (seen.class, seen.action, seen.run),
        (FailureClass::Nan, FailureAction::RestartOnce, first.run_id.expect("a run"))
    );
    assert_eq!((run, state), (first.run_id, ServiceState::Ready), "it was there still to be looked at");

    let second = replaced(&service, first.run_id).await;
    assert_eq!(second.restarts_consecutive, 0, "it is no failure of the service");
    let web = refusing(second.port.expect("a port"), 500, NANS).await;
    let error = shop.begin_again(json!({})).failed().await;
    assert_eq!((error.class, error.poisons()), (Some(FailureClass::Nan), true));
    let (seen, run, _) = hears.recv().await.expect("the job tells");
    assert!(matches!(seen.seen, SeenIn::Job(_)), "from here on its last lines are known for the job's");
    assert_eq!((Some(seen.run), run), (second.run_id, second.run_id));
    assert_eq!(service.status.borrow().run_id, second.run_id, "it is the job that is at fault");
    assert_eq!(ends(&mut shop), 1);

    // Another job that meets it has a restart of its own.
    shop.begin(json!({})).failed().await;
    drop(web);
    replaced(&service, second.run_id).await;
    shop.stop().await;
}

#[actix_rt::test]
async fn the_second_attempt_is_not_made_on_a_run_that_others_have_poisoned_meanwhile() {
    let mut shop = Shop::new(service("a1111", "sleep 1000"), "/sdapi/v1/txt2img").await;
    let service = shop.service();
    let (_, first) = shop.load().await;
    shop.rim.witness.tell(FailureSeen {
        service: service.spec.name.clone(),
        run: first.run_id.expect("a run"),
        class: FailureClass::Nan,
        action: FailureAction::RestartOnce,
        line: "NansException".to_owned(),
        seen: SeenIn::Output,
    });
    let mut begun = shop.begin_again(json!({}));
    begun.runs().await;
    let second = service.status.borrow().clone();
    assert_ne!(second.run_id, first.run_id);
    begun.failed().await;
    assert_eq!((service.status.borrow().run_id, ends(&mut shop)), (second.run_id, 1));
    shop.stop().await;
}

#[actix_rt::test]
async fn a_failure_without_a_cause_has_the_one_that_was_printed() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let service = shop.service();
    let (port, first) = shop.load().await;
    let (witness, run) = (shop.rim.witness.clone(), first.run_id.expect("a run"));
    let web = Web::new(port, None, move |_| {
        witness.tell(FailureSeen {
            service: "webui".parse().expect("a name"),
            run,
            class: FailureClass::Nan,
            action: FailureAction::RestartOnce,
            line: "RuntimeWarning:\u{1b}[31m invalid value".to_owned(),
            seen: SeenIn::Output,
        });
        async { Reply::refused(500, "Internal Server Error") }
    })
    .await;
    let error = shop.begin(json!({})).failed().await;
    drop(web);
    assert_eq!((error.class, error.status, error.poisons()), (Some(FailureClass::Nan), Some(500), true));
    assert!(error.message.contains("RuntimeWarning: [31m invalid value"), "{}", error.message);
    replaced(&service, first.run_id).await;
    assert!(!shop.rim.witness.has_job(&service.spec.name));
    shop.stop().await;
}

#[actix_rt::test]
async fn a_rule_that_says_so_ends_the_run_within_its_policy() {
    let mut spec = service("generic", "sleep 1000");
    let pattern = "device lost".to_owned();
    spec.failure = vec![FailureRule { pattern, class: FailureClass::Driver, action: FailureAction::Restart }];
    let shop = Shop::new(spec, "/x").await;
    let service = shop.service();
    let (port, first) = shop.load().await;
    let web = refusing(port, 500, "the device lost its way: device lost").await;
    let error = shop.begin(json!({})).failed().await;
    drop(web);
    assert_eq!((error.class, error.action), (Some(FailureClass::Driver), Some(FailureAction::Restart)));
    until(&service, |status| status.run_id != first.run_id || !status.state.is_live()).await;
    shop.stop().await;
}

#[actix_rt::test]
async fn work_that_stands_still_is_ended_and_its_service_restarted() {
    let mut spec = service("a1111", "sleep 1000");
    spec.limits.progress = Duration::from_secs(5);
    let dir = tempfile::tempdir().expect("a folder");
    let cleaned = dir.path().join("cleaned");
    let exec = ["sh", "-c", "echo >> \"$0\"", &cleaned.display().to_string()].map(Template::text).to_vec();
    spec.cleanup.actions = vec![CleanupAction::Exec(exec)];
    let mut shop = Shop::new(spec, "/sdapi/v1/txt2img").await;
    let service = shop.service();
    let (port, first) = shop.load().await;
    // It answers whoever asks how far it is, and is told to stop in vain; nothing else of it moves.
    let (interrupt, interrupted) = watch::channel(false);
    let interrupt = Rc::new(interrupt);
    let web = Web::new(port, None, move |asked: Asked| {
        let (interrupt, mut interrupted) = (Rc::clone(&interrupt), interrupted.clone());
        async move {
            match asked.what.as_str() {
                "POST /sdapi/v1/txt2img" => {
                    interrupted.wait_for(|is| *is).await.expect("the server lives");
                    Reply::json(&json!({ "images": [] }))
                }
                "POST /sdapi/v1/interrupt" => {
                    interrupt.send_replace(true);
                    Reply::json(&json!({}))
                }
                _ => Reply::json(&json!({ "progress": 0.4, "state": { "sampling_step": 8, "sampling_steps": 20 } })),
            }
        }
    })
    .await;
    let error = shop.begin(json!({})).failed().await;
    drop(web);
    assert_eq!(error.class, Some(FailureClass::Timeout));
    assert!(
        error.message.contains("stood still for 5s at step 8 of 20 (service.webui.limits.progress)"),
        "{}",
        error.message
    );
    let alert = shop.alert().await;
    assert!(alert.starts_with("job_stuck: ") && alert.contains("at step 8 of 20"), "{alert}");
    let second = replaced(&service, first.run_id).await;
    let cleaned = fs::read_to_string(&cleaned).expect("it was, before the job");
    assert_eq!(cleaned.lines().count(), 1, "the next run is none of the job's business");
    let web = Web::new(second.port.expect("a port"), None, |_| async { Reply::json(&json!({ "images": [] })) }).await;
    shop.begin(json!({})).done().await;
    drop(web);
    assert_eq!(shop.alert().await, "job_stuck cleared");
    shop.stop().await;
}

#[actix_rt::test]
async fn work_that_gets_on_may_take_longer_than_it_may_stand_still() {
    let mut spec = service("a1111", "sleep 1000");
    spec.limits.progress = Duration::from_secs(5);
    let shop = Shop::new(spec, "/sdapi/v1/txt2img").await;
    let (port, _) = shop.load().await;
    let (steps, done) = (Rc::new(Cell::new(0_u64)), watch::channel(false).0);
    let (count, finish) = (Rc::clone(&steps), Rc::new(done));
    let web = Web::new(port, None, move |asked: Asked| {
        let (count, finish) = (Rc::clone(&count), Rc::clone(&finish));
        async move {
            if asked.what == "POST /sdapi/v1/txt2img" {
                finish.subscribe().wait_for(|is| *is).await.expect("the server lives");
                return Reply::json(&json!({ "images": [] }));
            }
            count.set(count.get() + 1);
            // It is asked twice a second, so that this takes longer than it may stand still.
            finish.send_replace(count.get() > 12);
            Reply::json(&json!({ "progress": 0.4, "state": { "sampling_step": count.get(), "sampling_steps": 20 } }))
        }
    })
    .await;
    let mut begun = shop.begin(json!({}));
    let last = begun.until(|news| match news {
        AttemptNews::Progress(progress) => (progress.done == 12).then_some(progress.total),
        _ => None,
    });
    assert_eq!(last.await, 20);
    begun.done().await;
    drop(web);
    shop.stop().await;
}

#[actix_rt::test]
async fn failures_in_a_row_lead_to_a_restart_and_one_success_ends_the_row() {
    let mut spec = service("generic", "sleep 1000");
    spec.cleanup.last_resort_after = 2;
    let mut shop = Shop::new(spec, "/x").await;
    let service = shop.service();
    let (port, first) = shop.load().await;
    let statuses = Rc::new(Cell::new(&[500, 200, 500, 422, 500][..]));
    let web = Web::new(port, None, move |_| {
        let (status, rest) = statuses.get().split_first().expect("one is left");
        statuses.set(rest);
        async move { Reply::refused(*status, "{}") }
    })
    .await;
    for is_good in [false, true, false, false] {
        let begun = shop.begin(json!({}));
        if is_good {
            drop(begun.done().await)
        } else {
            drop(begun.failed().await)
        }
        assert_eq!(service.status.borrow().run_id, first.run_id);
    }
    shop.begin(json!({})).failed().await;
    drop(web);
    let alert = shop.alert().await;
    assert!(alert.starts_with("dirty: `webui` is restarted: 2 jobs in a row"), "{alert}");
    let second = replaced(&service, first.run_id).await;
    let web = Web::new(second.port.expect("a port"), None, |_| async { Reply::json(&json!({})) }).await;
    shop.begin(json!({})).done().await;
    drop(web);
    assert_eq!(shop.alert().await, "dirty cleared");
    shop.stop().await;
}

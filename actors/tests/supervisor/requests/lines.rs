//! What a run prints while a job is with it is left to the job: before its answer, after it, and while it is cleaned up.

use std::{fs, time::Duration};

use greenroom_actors::{
    failure::{FailureAction, FailureClass},
    ids::RunId,
    spec::CleanupAction,
    state::ServiceState,
    template::Template,
    witness::{FailureSeen, SeenIn, Witness},
};
use serde_json::json;

use super::shop::{Shop, service, soon};
use crate::{
    roster::until,
    web::{Reply, Web},
};

/// The run says so.
fn says(witness: &Witness, run: RunId, class: FailureClass, action: FailureAction) {
    witness.tell(FailureSeen {
        service: "webui".parse().expect("a name"),
        run,
        class,
        action,
        line: format!("{}: it is so", class.name()),
        seen: SeenIn::Output,
    });
}

#[actix_rt::test]
async fn a_line_that_comes_after_the_answer_names_its_cause() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let service = shop.service();
    let (port, first) = shop.load().await;
    let (witness, run) = (shop.rim.witness.clone(), first.run_id.expect("a run"));
    let web = Web::new(port, None, move |_| {
        let witness = witness.clone();
        actix_rt::spawn(async move {
            // As a server that logs what it has answered.
            tokio::time::sleep(Duration::from_millis(20)).await;
            says(&witness, run, FailureClass::Nan, FailureAction::RestartOnce);
        });
        async { Reply::refused(500, "Internal Server Error") }
    })
    .await;
    let error = shop.begin(json!({})).failed().await;
    drop(web);
    assert_eq!((error.class, error.status, error.poisons()), (Some(FailureClass::Nan), Some(500), true));
    until(&service, |status| status.state == ServiceState::Ready && status.run_id != first.run_id).await;
    shop.stop().await;
}

#[actix_rt::test]
async fn a_line_about_a_refused_request_is_acted_upon_and_explains_nothing() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let service = shop.service();
    let (port, first) = shop.load().await;
    let (witness, run) = (shop.rim.witness.clone(), first.run_id.expect("a run"));
    let web = Web::new(port, None, move |_| {
        says(&witness, run, FailureClass::Driver, FailureAction::Quarantine);
        // It is poisoned as well, which is less.
        says(&witness, run, FailureClass::Nan, FailureAction::RestartOnce);
        async { Reply::refused(422, "no such sampler") }
    })
    .await;
    let error = shop.begin(json!({})).failed().await;
    drop(web);
    assert_eq!((error.class, error.status, error.action), (Some(FailureClass::Unknown), Some(422), None));
    until(&service, |status| status.state == ServiceState::Quarantined).await;
    shop.stop().await;
}

#[actix_rt::test]
async fn a_line_that_comes_while_it_is_cleaned_up_is_acted_upon() {
    let mut spec = service("generic", "sleep 1000");
    let dir = tempfile::tempdir().expect("a folder");
    let text = "echo >> \"$0/began\"; while [ ! -e \"$0/go\" ]; do sleep 0.02; done";
    let exec = ["sh", "-c", text, &dir.path().display().to_string()].map(Template::text).to_vec();
    spec.cleanup.actions = vec![CleanupAction::Exec(exec)];
    let shop = Shop::new(spec, "/x").await;
    let service = shop.service();
    let (port, first) = shop.load().await;
    // What the run was used for before the job is cleaned up first.
    fs::write(dir.path().join("go"), "").expect("the flag");
    let gone = dir.path().join("go");
    let web = Web::new(port, None, move |_| {
        fs::remove_file(&gone).expect("the flag");
        async { Reply::json(&json!({})) }
    })
    .await;
    let mut begun = shop.begin(json!({}));
    begun.runs().await;
    let began = || fs::read_to_string(dir.path().join("began")).map_or(0, |text| text.lines().count());
    soon("it is cleaned up once more", || began() == 2).await;
    says(&shop.rim.witness, first.run_id.expect("a run"), FailureClass::Driver, FailureAction::Stop);
    assert_eq!(service.status.borrow().state, ServiceState::Ready, "first it is cleaned up");
    fs::write(dir.path().join("go"), "").expect("the flag");
    begun.done().await;
    drop(web);
    let stopped = until(&service, |status| status.state == ServiceState::Stopped).await;
    assert!(stopped.reason.is_some_and(|reason| reason.contains("driver: it is so")));
    assert!(!shop.rim.witness.has_job(&service.spec.name));
    shop.stop().await;
}

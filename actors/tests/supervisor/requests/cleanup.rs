//! What is done after a job, and who waits for it.

use std::{cell::Cell, fs, rc::Rc, sync::Arc, time::Duration};

use futures_util::FutureExt;
use greenroom_actors::{
    job_queue::attempt::{AttemptEnd, AttemptNews},
    process_supervisor::messages::RestartService,
    spec::{CleanupAction, CleanupSpec, OnCleanupFailure, ServiceSpec},
    state::{Disposition, ServiceState},
    template::Template,
};
use serde_json::json;
use tokio::sync::watch;

use super::shop::*;
use crate::{
    roster::until,
    web::{Asked, Reply, Web},
};

#[actix_rt::test]
async fn the_answer_waits_for_no_clean_up_and_nobody_comes_in_before_it_is_done() {
    let mut spec = service("generic", "sleep 1000");
    let work = tempfile::tempdir().expect("a folder");
    fs::create_dir(work.path().join("tmp")).expect("a folder");
    fs::write(work.path().join("tmp/left"), "x").expect("a file");
    spec.working_dir = work.path().to_owned();
    spec.cleanup = CleanupSpec {
        actions: vec![
            http("/free"),
            CleanupAction::Purge(Template::text(work.path().join("tmp").display().to_string())),
            CleanupAction::Exec(
                ["sh", "-c", "test -e tmp && echo $GREENROOM_SERVICE > cleaned; sleep 1000 & exit 0"]
                    .map(Template::text)
                    .to_vec(),
            ),
        ],
        ..CleanupSpec::default()
    };
    let shop = Shop::new(spec, "/x").await;
    let (port, _) = shop.load().await;
    let (go, gone) = watch::channel(false);
    let is_asked = Rc::new(Cell::new(false));
    let web = Web::new(port, None, move |asked: Asked| {
        let mut gone = gone.clone();
        is_asked.set(is_asked.get() || asked.what == "POST /x");
        // It was there before the job, and is cleaned up before it as well.
        let waits = is_asked.get() && asked.what == "POST /free";
        async move {
            if waits {
                gone.wait_for(|go| *go).await.expect("the test goes on");
            }
            Reply::json(&json!({ "ok": true }))
        }
    })
    .await;
    let mut begun = shop.begin(json!({}));
    let end = loop {
        if let AttemptNews::Ended(end) = begun.next().await {
            break end;
        }
    };
    assert!(matches!(end, AttemptEnd::Done(_)), "{end:?}");
    soon("it is cleaned", || web.heard().last().is_some_and(|last| last == "POST /free")).await;
    let gate = shop.service().gate;
    assert!(gate.is_open() && gate.enter().is_none() && gate.in_flight() == 1);
    assert!(begun.news.recv().now_or_never().is_none());
    // Taking it back changes nothing any more.
    stop(&begun);
    go.send_replace(true);
    assert_eq!(begun.next().await, AttemptNews::Over);
    assert!(gate.enter().is_some());
    assert_eq!(fs::read_dir(work.path().join("tmp")).expect("the folder").count(), 0);
    assert_eq!(fs::read_to_string(work.path().join("cleaned")).expect("a file"), "webui\n");
    shop.stop().await;
}

#[actix_rt::test]
async fn a_clean_up_that_fails_is_named_and_its_alert_goes_with_the_next_that_does_not() {
    let (work, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    fs::write(other.path().join("precious"), "x").expect("a file");
    let outside = other.path().display().to_string();
    let mut spec = service("generic", "sleep 1000");
    spec.working_dir = work.path().to_owned();
    spec.cleanup.actions = vec![
        http("/free"),
        CleanupAction::Purge(Template::text(&outside)),
        CleanupAction::Exec(["/bin/sh", "-c", "exit 3", "s3cret"].map(Template::text).into()),
        http("/busy?key=s3cret"),
        http("/last"),
    ];
    let mut shop = Shop::new(spec, "/x").await;
    let (port, _) = shop.load().await;
    let web = Web::new(port, None, |asked: Asked| async move {
        match asked.what.as_str() {
            "POST /free" | "POST /busy?key=s3cret" => Reply::refused(500, r#"{"error":"busy"}"#),
            _ => Reply::json(&json!({})),
        }
    })
    .await;
    shop.begin(json!({})).done().await;
    let alert = shop.alert().await;
    for part in [
        "cleanup_failed",
        "`webui`",
        "POST /free",
        "status 500: busy",
        &format!("purge: {outside} is not emptied"),
        "exec `/bin/sh`: it ended with exit status: 3",
        "POST /busy: ",
    ] {
        assert!(alert.contains(part), "{part}: {alert}");
    }
    assert!(!alert.contains("s3cret"), "a key may stand there: {alert}");
    assert_eq!(shop.alert().await, alert, "it was cleaned up before the job as well, since it was there before");
    assert!(web.has_heard("POST /last"), "the rest is tried");
    assert!(other.path().join("precious").exists());
    let service = shop.service();
    let better = ServiceSpec {
        cleanup: CleanupSpec { actions: vec![http("/last")], ..CleanupSpec::default() },
        ..(*service.spec).clone()
    };
    let changed = shop.house.actors.roster.reconfigure(Arc::new(better), false).await;
    assert!(changed.is_ok(), "{changed:?}");
    shop.begin(json!({})).done().await;
    assert_eq!(shop.alert().await, "cleanup_failed cleared");
    shop.stop().await;
}

#[actix_rt::test]
async fn what_was_not_done_about_a_run_is_over_with_the_next_job_that_leaves_nothing_or_with_the_run() {
    let mut spec = service("generic", "sleep 1000");
    spec.restart_after_job = true;
    spec.memory.offload.drain = Duration::from_millis(200);
    let mut shop = Shop::new(spec, "/x").await;
    let (port, first) = shop.load().await;
    let web = Web::new(port, None, |_| async { Reply::json(&json!({})) }).await;
    let service = shop.service();
    let guest = service.gate.enter().expect("it is open");
    shop.begin(json!({})).done().await;
    let alert = shop.alert().await;
    assert!(alert.starts_with("cleanup_failed: ") && alert.contains("1 others still work with it"), "{alert}");
    assert_eq!(service.status.borrow().run_id, first.run_id, "nobody is disturbed");
    drop(guest);
    // There is nothing to clean up but by the restart.
    let supervisor = service.supervisor.upgrade().expect("a supervisor");
    supervisor.do_send(RestartService { reason: "by a person".to_owned() });
    assert_eq!(shop.alert().await, "cleanup_failed cleared");
    let second = until(&service, |status| status.state == ServiceState::Ready && status.run_id != first.run_id).await;
    drop(web);

    let web = Web::new(second.port.expect("a port"), None, |_| async { Reply::json(&json!({})) }).await;
    let guest = service.gate.enter().expect("it is open");
    shop.begin(json!({})).done().await;
    assert!(shop.alert().await.starts_with("cleanup_failed: "));
    drop(guest);
    shop.begin(json!({})).done().await;
    assert_eq!(shop.alert().await, "cleanup_failed cleared");
    drop((web, supervisor));
    shop.stop().await;
}

#[actix_rt::test]
async fn it_is_restarted_after_a_job_or_after_a_clean_up_that_fails() {
    for after_job in [true, false] {
        let mut spec = service("generic", "sleep 1000");
        spec.restart_after_job = after_job;
        if !after_job {
            spec.cleanup = CleanupSpec {
                actions: vec![http("/free")],
                on_failure: OnCleanupFailure::Restart,
                ..CleanupSpec::default()
            };
        }
        let shop = Shop::new(spec, "/x").await;
        let (port, before) = shop.load().await;
        let is_asked = Cell::new(false);
        let web = Web::new(port, None, move |asked: Asked| {
            is_asked.set(is_asked.get() || asked.what == "POST /x");
            let fails = is_asked.get() && asked.what == "POST /free";
            async move { if fails { Reply::refused(404, "") } else { Reply::json(&json!({})) } }
        })
        .await;
        shop.begin(json!({})).done().await;
        drop(web);
        let service = shop.service();
        assert_ne!(service.status.borrow().run_id.filter(|_| service.gate.is_open()), before.run_id);
        let after =
            until(&service, |status| status.state == ServiceState::Ready && status.run_id != before.run_id).await;
        assert_eq!(after.disposition, Disposition::OnDemand);
        assert!(service.gate.enter().is_some());
        shop.stop().await;
    }
}

#[actix_rt::test]
async fn what_others_have_left_is_cleaned_up_before_the_job() {
    let mut spec = service("generic", "sleep 1000");
    spec.cleanup.actions = vec![http("/free")];
    let shop = Shop::new(spec, "/x").await;
    let (port, _) = shop.load().await;
    let web = Web::new(port, None, |_| async { Reply::json(&json!({})) }).await;
    shop.begin(json!({})).done().await;
    // It was there before the first job, so nobody knows what had been done with it.
    assert_eq!(web.heard(), ["POST /free", "POST /x", "POST /free"]);
    shop.begin(json!({})).done().await;
    assert_eq!(web.heard()[3..], ["POST /x", "POST /free"]);
    drop(shop.service().gate.enter().expect("somebody else"));
    shop.begin(json!({})).done().await;
    assert_eq!(web.heard()[5..], ["POST /free", "POST /x", "POST /free"]);
    shop.stop().await;
}

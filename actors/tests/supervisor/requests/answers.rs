//! What is asked, what is made of the answer, and how it is taken back.

use std::{fs, sync::Arc};

use greenroom_actors::{
    event::EventBus,
    failure::FailureClass,
    job_queue::attempt::{AttemptEnd, AttemptNews},
    lease::Wish,
    process_supervisor::messages::{LoadService, StopService},
    state::{Disposition, ServiceState},
};
use serde_json::json;
use tokio::sync::watch;

use super::shop::*;
use crate::{
    roster::until,
    web::{Asked, Reply, Web},
};

#[actix_rt::test]
async fn the_parameters_are_sent_and_the_images_kept() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/v1/images").await;
    let (port, _) = shop.load().await;
    let _web = Web::new(port, None, |asked: Asked| async move {
        assert_eq!((asked.what.as_str(), &asked.body), ("POST /v1/images", &json!({ "prompt": "a heron", "n": 1 })));
        Reply::json(&json!({ "data": [{ "b64_json": PNG }] }))
    })
    .await;
    let begun = shop.begin(json!({ "prompt": "a heron", "n": 1 }));
    let output = begun.folder.output();
    let result = begun.done().await;
    assert_eq!(result.files, ["image-1.png"]);
    assert_eq!(result.json, Some(json!({ "data": [{ "b64_json": "image-1.png" }] })));
    assert!(fs::read(output.join("image-1.png")).expect("a file").starts_with(b"\x89PNG"));
    assert_eq!(shop.service().gate.in_flight(), 0);
    shop.stop().await;
}

#[actix_rt::test]
async fn an_error_is_told_in_the_words_of_the_service_and_classified() {
    let shop = Shop::new(service("a1111", "sleep 1000"), "/sdapi/v1/txt2img").await;
    let (port, _) = shop.load().await;
    let _web = Web::new(port, None, |_| async {
        Reply::refused(500, r#"{"error":"NansException","errors":"A tensor with all NaNs was produced in Unet."}"#)
    })
    .await;
    let error = shop.begin(json!({})).failed().await;
    assert_eq!((error.class, error.status), (Some(FailureClass::Nan), Some(500)));
    assert!(error.message.contains("NansException: A tensor with all NaNs"), "{}", error.message);
    shop.stop().await;
}

#[actix_rt::test]
async fn the_last_words_of_a_service_that_ends_are_the_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let flag = dir.path().join("end");
    let text = format!("while [ ! -e {} ]; do sleep 0.02; done; echo CUDA out of memory >&2; exit 3", flag.display());
    let shop = Shop::new(service("generic", &text), "/x").await;
    let (port, _) = shop.load().await;
    let web = Web::new(port, None, |_| std::future::pending()).await;
    let begun = shop.begin(json!({}));
    soon("it is asked", || web.has_heard("POST /x")).await;
    fs::write(flag, "").expect("the flag");
    let error = begun.failed().await;
    assert_eq!((error.class, error.code), (Some(FailureClass::OomGpu), Some(3)));
    assert_eq!(error.stderr, ["CUDA out of memory"]);
    shop.stop().await;
}

#[actix_rt::test]
async fn a_connection_that_breaks_is_told_where_the_service_lives() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let (port, _) = shop.load().await;
    let _web = Web::new(port, None, |_| async { panic!("the connection is dropped") }).await;
    let error = shop.begin(json!({})).failed().await;
    assert_eq!(error.class, Some(FailureClass::Unknown));
    assert!(error.message.contains("closed the connection"), "{}", error.message);
    shop.stop().await;
}

#[actix_rt::test]
async fn a1111_tells_how_far_it_is_and_is_interrupted() {
    let shop = Shop::new(service("a1111", "sleep 1000"), "/sdapi/v1/txt2img").await;
    let (port, before) = shop.load().await;
    let (interrupt, interrupted) = watch::channel(false);
    let interrupt = Arc::new(interrupt);
    let web = Web::new(port, None, move |asked: Asked| {
        let (interrupt, mut interrupted) = (Arc::clone(&interrupt), interrupted.clone());
        async move {
            match asked.what.as_str() {
                "POST /sdapi/v1/txt2img" => {
                    interrupted.wait_for(|is| *is).await.expect("the server lives");
                    Reply::json(&json!({ "images": [PNG] }))
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
    let mut begun = shop.begin(json!({}));
    let progress =
        begun.until(|news| if let AttemptNews::Progress(progress) = news { Some(*progress) } else { None }).await;
    assert_eq!((progress.done, progress.total), (8, 20));
    stop(&begun);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    assert!(web.has_heard("POST /sdapi/v1/interrupt"));
    assert_eq!(shop.service().status.borrow().run_id, before.run_id, "it was not restarted");
    shop.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_told_to_stop_is_restarted_and_stays_on_demand() {
    let shop = Shop::new(service("sd-server", "sleep 1000"), "/sdapi/v1/txt2img").await;
    // Its probe asks for this; here the service answers only later.
    let service = shop.service();
    let supervisor = service.supervisor.upgrade().expect("a supervisor");
    supervisor.do_send(LoadService { wish: Wish::Wanted, lifts: true });
    let before = until(&service, |status| status.state == ServiceState::Ready).await;
    let web = Web::new(before.port.expect("a port"), None, |_| std::future::pending()).await;
    let begun = shop.begin(json!({}));
    soon("it is asked", || web.has_heard("POST /sdapi/v1/txt2img")).await;
    stop(&begun);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    drop(web);
    let after = until(&service, |status| status.state == ServiceState::Ready && status.run_id != before.run_id).await;
    assert_eq!(after.disposition, Disposition::OnDemand);
    shop.stop().await;
}

#[actix_rt::test]
async fn one_that_waits_is_withdrawn_and_one_for_a_service_that_is_kept_down_waits() {
    let shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let service = shop.service();
    let supervisor = service.supervisor.upgrade().expect("a supervisor");
    supervisor.send(StopService { reason: "a person says so".to_owned() }).await.expect("it lives");
    let mut begun = shop.begin(json!({}));
    let why = begun.until(|news| if let AttemptNews::Waiting(why) = news { Some(why.clone()) } else { None }).await;
    assert!(why.contains("webui"), "{why}");
    stop(&begun);
    assert_eq!(begun.end().await, AttemptEnd::Stopped);
    assert_eq!((service.gate.waiting().count, service.gate.in_flight()), (0, 0));
    shop.stop().await;
}

#[actix_rt::test]
async fn a_later_attempt_on_a_run_of_an_earlier_runtime_ends_what_goes_on_there() {
    // Every run is older than this runtime.
    let shop = Shop::at(service("a1111", "sleep 1000"), "/sdapi/v1/txt2img", EventBus::new(u64::MAX)).await;
    let (port, _) = shop.load().await;
    let web = Web::new(port, None, |asked: Asked| async move {
        match asked.what.starts_with("GET ") {
            true => Reply::json(&json!({ "progress": 0.0 })),
            false => Reply::json(&json!({ "images": [] })),
        }
    })
    .await;
    shop.begin_number(2, json!({})).done().await;
    let heard = web.heard();
    assert_eq!(heard.first().map(String::as_str), Some("POST /sdapi/v1/interrupt"), "{heard:?}");
    assert!(heard.iter().any(|what| what == "POST /sdapi/v1/txt2img"), "{heard:?}");
    shop.stop().await;
}

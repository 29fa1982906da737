//! The routes against a fake runtime, over a real socket.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use greenroom_actors::{event::EventKind, state::ServiceState};
use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{
    fake_control::{Fake, Served},
    server::{ControlError, bind},
};

const SOON: Duration = Duration::from_secs(20);

#[actix_rt::test]
async fn reading_routes_answer_with_their_shapes() {
    let served = Served::new(ServiceState::Ready);
    assert_eq!(served.ask(Method::GET, "/health").await, (200, Value::from("OK")));
    assert_eq!(served.ask(Method::GET, "/ready").await.0, 200);
    let (status, body) = served.ask(Method::GET, "/api/status").await;
    assert_eq!((status, &body["runtime"]["epoch"]), (200, &Value::from(7)));
    assert_eq!((&body["alerts"][0]["alert"], &body["watch"]["sampled_at"]), (&"runaway".into(), &Value::Null));
    let (status, alerts) = served.ask(Method::GET, "/api/alerts").await;
    assert_eq!((status, &alerts[0]["severity"], &alerts[0]["service"]), (200, &"critical".into(), &"chat".into()));
    assert_eq!(served.ask(Method::GET, "/api/services").await.1[0]["name"], "chat");
    let (_, chat) = served.ask(Method::GET, "/api/services/chat").await;
    assert_eq!((&chat["state"], &chat["restarts"]["total"]), (&"ready".into(), &0.into()));
    assert_eq!(served.ask(Method::GET, "/api/services/chat/why").await.1["service"]["name"], "chat");
    assert_eq!(served.ask(Method::GET, "/api/history/runs?service=chat&failed=1&limit=3").await.0, 200);
    assert_eq!(served.told(), ["runs of Some(ServiceName(\"chat\")), failed true, 3"]);
    served.server.stop().await;
}

#[actix_rt::test]
async fn memory_plans_and_swaps_answer_with_their_shapes() {
    let served = Served::new(ServiceState::Ready);
    let (status, memory) = served.ask(Method::GET, "/api/gpus").await;
    assert_eq!((status, &memory["backend"], &memory["reclaim_timeouts"]), (200, &"declared".into(), &2.into()));
    assert!(memory["cards"].is_array() && memory["leases"].is_object() && memory["ram"]["free"] == 0, "{memory}");
    let (status, plan) = served.ask(Method::GET, "/api/plan/chat").await;
    assert_eq!((status, &plan["need"]["vram"], &plan["because"][0]), (200, &7.into(), &"nobody has to leave".into()));
    assert_eq!(served.ask(Method::GET, "/api/history/swaps?service=chat&limit=3").await.0, 200);
    assert_eq!(served.told(), ["swaps of Some(ServiceName(\"chat\")), 3"]);
    served.server.stop().await;
}

#[actix_rt::test]
async fn figures_requests_and_the_document_are_told() {
    let served = Served::new(ServiceState::Ready);
    assert_eq!(served.ask(Method::GET, "/api/history/requests?service=chat&limit=3").await.0, 200);
    assert_eq!(served.told(), ["requests of Some(ServiceName(\"chat\")), 3"]);
    let (status, page) = served.ask(Method::GET, "/metrics").await;
    let page = page.as_str().expect("a text").to_owned();
    assert_eq!(status, 200);
    assert!(page.contains("\ngreenroom_service_state{service=\"chat\",state=\"ready\"} 1\n"), "{page}");
    assert!(page.contains("\ngreenroom_orphans_swept_total 3\n"), "{page}");
    let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    assert_eq!(names.collect::<Vec<_>>(), super::metrics::NAMES, "all of them, in their order");
    assert_eq!(served.ask(Method::GET, "/api/openapi.json").await.1["openapi"], "3.1.0");
    served.server.stop().await;
}

#[actix_rt::test]
async fn refusals_have_one_shape_and_the_right_status() {
    let served = Served::new(ServiceState::Failed);
    for (method, path, status, code) in [
        (Method::GET, "/api/services/wbe", 404, "service_not_found"),
        (Method::POST, "/api/services/wbe/start", 404, "service_not_found"),
        (Method::GET, "/api/services/..%2f..%2fetc/logs", 404, "service_not_found"),
        (Method::GET, "/api/plan/wbe", 404, "service_not_found"),
        (Method::POST, "/api/plan/chat", 405, "method_not_allowed"),
        (Method::GET, "/api/history/swaps?limit=many", 400, "invalid_request"),
        (Method::GET, "/api/nothing", 404, "not_found"),
        (Method::POST, "/api/services/chat/explode", 404, "not_found"),
        (Method::GET, "/api/services/chat/start", 405, "method_not_allowed"),
        (Method::POST, "/api/status", 405, "method_not_allowed"),
        (Method::POST, "/api/services/chat/start?wait=perhaps", 400, "invalid_request"),
        (Method::GET, "/api/services/chat/logs?tail=many", 400, "invalid_request"),
        (Method::GET, "/api/history/runs?since=soon", 400, "invalid_request"),
        (Method::GET, "/api/events?since=x", 400, "invalid_request"),
        (Method::GET, "/api/history/events", 500, "history_unavailable"),
        (Method::GET, "/ready", 503, "not_ready"),
        (Method::GET, "/metrics", 404, "metrics_disabled"),
        (Method::POST, "/metrics", 405, "method_not_allowed"),
        (Method::GET, "/api/history/requests?failed=perhaps", 400, "invalid_request"),
        (Method::POST, "/api/services/chat/start", 502, "start_failed"),
        (Method::POST, "/api/reload", 409, "not_reloadable"),
        (Method::GET, "/api/reload", 405, "method_not_allowed"),
    ] {
        let (got, body) = served.ask(method.clone(), path).await;
        assert_eq!((got, &body["error"]["code"]), (status, &code.into()), "{method} {path}: {body}");
        assert_eq!(body["src"], "greenroom");
        let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
        assert_eq!(body["error"]["type"], kind, "{path}");
    }
    let (_, body) = served.ask(Method::POST, "/api/services/chat/start").await;
    assert_eq!(body["error"]["class"], "oom_gpu");
    assert_eq!(body["error"]["stderr"][0], "out of memory");
    served.server.stop().await;
}

#[actix_rt::test]
async fn commands_wait_or_do_not() {
    let served = Served::new(ServiceState::Ready);
    assert_eq!(served.ask(Method::POST, "/api/services/chat/restart").await.0, 200);
    assert_eq!(served.ask(Method::POST, "/api/services/chat/stop?wait=false").await.0, 202);
    assert_eq!(served.ask(Method::POST, "/api/shutdown").await.0, 202);
    assert_eq!(served.ask(Method::POST, "/api/shutdown?force=1").await.0, 202);
    assert_eq!(served.told(), ["carry out Restart", "tell Stop", "shutdown", "force"]);
    served.server.stop().await;
}

#[actix_rt::test]
async fn a_reload_answers_with_its_report_or_with_every_problem() {
    let served = Served::new(ServiceState::Ready);
    let (status, body) = served.ask(Method::POST, "/api/reload").await;
    assert_eq!((status, &body["unchanged"]), (200, &Value::from(0)), "{body}");
    assert_eq!(served.ask(Method::POST, "/api/reload?wait=false").await.0, 202);
    assert_eq!(served.told(), ["reload, wait true", "reload, wait false"]);
    served.server.stop().await;
    let served = Served::new(ServiceState::Stopped);
    let (status, body) = served.ask(Method::POST, "/api/reload").await;
    assert_eq!((status, &body["error"]["code"]), (400, &Value::from("bad_config")), "{body}");
    assert_eq!(body["error"]["problems"][0]["message"], "it is empty");
    assert!(body["error"]["message"].as_str().is_some_and(|text| text.ends_with("greenroom.toml: it is empty")));
    served.server.stop().await;
}

#[actix_rt::test]
async fn logs_are_streamed_and_followed_until_the_server_closes() {
    let served = Served::new(ServiceState::Ready);
    let log = served.dir.path().join("logs/chat");
    fs::create_dir_all(&log).expect("made");
    fs::write(log.join("current.log"), "one\ntwo\n").expect("written");
    assert_eq!(served.ask(Method::GET, "/api/services/chat/logs?tail=1").await.1, Value::from("two\n"));
    let mut answer = served.answer(Method::GET, "/api/services/chat/logs?tail=1&follow=1").await.into_body();
    let first = answer.frame().await.expect("a frame").expect("whole").into_data().expect("data");
    assert_eq!(&first[..], b"two\n");
    // Behind what is there: written anew, it would be empty for a moment.
    let mut current = fs::OpenOptions::new().append(true).open(log.join("current.log")).expect("it is there");
    std::io::Write::write_all(&mut current, b"three\n").expect("written");
    let more = tokio::time::timeout(SOON, answer.frame()).await.expect("soon").expect("a frame").expect("whole");
    assert_eq!(&more.into_data().expect("data")[..], b"three\n");
    tokio::time::timeout(SOON, served.server.stop()).await.expect("stopped");
    let end = tokio::time::timeout(SOON, answer.frame()).await.expect("soon");
    assert!(end.is_none_or(|frame| frame.is_err()));
}

#[actix_rt::test]
async fn events_resume_where_a_client_was() {
    let served = Served::new(ServiceState::Ready);
    for n in 1..=3 {
        served.fake.bus.emit(EventKind::RuntimeState { state: n.to_string(), reason: None });
    }
    let (status, body) = served.ask(Method::GET, "/api/events?since=7-1&follow=0").await;
    let text = body.as_str().unwrap_or_default();
    assert_eq!(status, 200);
    assert!(!text.contains("id: 7-1\n") && text.contains("id: 7-2\n") && text.contains("id: 7-3\n"), "{text}");
    served.server.stop().await;
}

#[actix_rt::test]
async fn closing_is_quick_private_and_leaves_no_file() {
    let served = Served::new(ServiceState::Starting);
    let socket = served.dir.path().join("s.sock");
    let mode = fs::metadata(&socket).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stream = served.answer(Method::GET, "/api/events").await;
    let began = greenroom_actors::os::clock::now();
    let (waiting, ()) = tokio::join!(served.answer(Method::POST, "/api/services/chat/start"), async {
        while served.told().is_empty() {
            tokio::task::yield_now().await;
        }
        served.server.closing_for_test();
    });
    assert_eq!(waiting.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(stream);
    served.server.stop().await;
    assert!(began.elapsed() < SOON && !socket.exists());
}

#[actix_rt::test]
async fn a_stale_file_is_replaced_and_a_long_path_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let socket = dir.path().join("s.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bound"));
    let fake = Fake::new(dir.path(), ServiceState::Ready);
    bind(&socket, fake.clone()).expect("a stale socket is replaced").stop().await;
    fs::write(&socket, "rubbish").expect("written");
    bind(&socket, fake.clone()).expect("rubbish is replaced").stop().await;
    let long = dir.path().join("x".repeat(120));
    assert!(matches!(bind(&long, fake), Err(ControlError::PathTooLong(_))));
}

#[actix_rt::test]
async fn a_bundle_is_sent_under_its_name_and_a_full_disk_is_said() {
    let served = Served::new(ServiceState::Ready);
    let answer = served.answer(Method::POST, "/api/bundle").await;
    let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!((answer.status(), header("content-type").as_str()), (StatusCode::OK, "application/x-tar"));
    assert_eq!(header("content-disposition"), "attachment; filename=\"greenroom-20251121-090000-asked.tar\"");
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "an archive");
    served.server.stop().await;

    let served = Served::new(ServiceState::Failed);
    let (status, body) = served.ask(Method::POST, "/api/bundle").await;
    assert_eq!((status, &body["error"]["code"]), (500, &"bundle_failed".into()));
    let message = body["error"]["message"].as_str().expect("a message");
    assert!(message.contains("cannot be written to ") && message.contains("greenroom-"), "{message}");
    served.server.stop().await;

    let served = Served::new(ServiceState::Stopped);
    assert_eq!(served.ask(Method::POST, "/api/bundle").await.1["error"]["code"], "stopping");
    assert_eq!(served.ask(Method::GET, "/api/bundle").await.1["error"]["code"], "method_not_allowed");
    served.server.stop().await;
}

//! The routes of jobs against a fake runtime, over a real socket.

use std::{fs, sync::Arc, time::Duration};

use greenroom_actors::{job::JobState, state::ServiceState};
use http_body_util::BodyExt;
use hyper::Method;
use serde_json::{Value, json};

use super::fake_control::{JOB, Served, made_up};

const SOON: Duration = Duration::from_secs(30);
const FORM: &str = "multipart/form-data; boundary=XX";

/// A form: each field with what stands behind its name, and its contents.
fn form(fields: &[(&str, &str)]) -> String {
    let field = |(head, contents): &(&str, &str)| {
        format!("--XX\r\nContent-Disposition: form-data; name={head}\r\n\r\n{contents}\r\n")
    };
    fields.iter().map(field).collect::<String>() + "--XX--\r\n"
}

fn uploads(served: &Served) -> usize {
    fs::read_dir(served.dir.path().join("uploads")).map_or(0, |all| all.count())
}

#[actix_rt::test]
async fn a_job_comes_as_json_and_is_answered_with_its_place() {
    let served = Served::new(ServiceState::Ready);
    let body = json!({ "job": "image", "params": { "prompt": "a heron", "init": { "data": "Zm9v", "name": "a.png" } },
                       "priority": 3 });
    let answer = served.send(Method::POST, "/api/jobs", "application/json", body.to_string()).await;
    assert_eq!(answer.status().as_u16(), 202);
    let place = answer.headers().get("Location").and_then(|place| place.to_str().ok()).map(str::to_owned);
    assert_eq!(place, Some(format!("/api/jobs/{JOB}")));
    let job: Value =
        serde_json::from_slice(&answer.into_body().collect().await.expect("a body").to_bytes()).expect("JSON");
    assert_eq!((&job["id"], &job["state"]), (&JOB.into(), &"queued".into()));
    assert_eq!(served.told(), [r#"submit image {"prompt":"a heron"} ["init=a.png:foo"] 3"#]);
    served.server.stop().await;
}

#[actix_rt::test]
async fn a_job_comes_as_a_form_whose_files_lie_on_the_disk_until_they_are_taken() {
    let served = Served::new(ServiceState::Ready);
    let fields = [
        ("job", "image"),
        ("init; filename=\"../../a.png\"", "bytes\r\n--X of a picture"),
        ("priority", "-2"),
        ("params", r#"{"steps":4}"#),
        ("prompt", "a heron"),
    ];
    let (status, job) = served.submit(FORM, form(&fields)).await;
    assert_eq!((status, &job["id"]), (202, &JOB.into()), "{job}");
    let told = served.told().join("\n");
    assert!(told.starts_with(r#"submit image {"steps":4,"prompt":"a heron"} ["init=../../a.png:bytes"#), "{told}");
    assert!(told.contains("--X of a picture") && told.ends_with("-2"), "{told}");
    assert_eq!(uploads(&served), 0, "what nobody has taken is gone");
    served.server.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_read_is_refused_and_leaves_nothing() {
    let served = Served::new(ServiceState::Ready);
    let file = ("init; filename=a", "bytes");
    let cut = form(&[("job", "image"), file]).replace("--XX--", "--XX");
    let long = "x".repeat(5000);
    for (kind, body, status, code) in [
        ("application/json", "{".to_owned(), 400, "invalid_request"),
        ("application/json", json!({ "job": "image", "prompt": 1 }).to_string(), 400, "invalid_request"),
        (
            "application/json",
            json!({ "job": "image", "params": { "prompt": long } }).to_string(),
            413,
            "body_too_large",
        ),
        (FORM, form(&[file]), 400, "invalid_request"),
        (FORM, form(&[("job", "image"), file, file]), 400, "invalid_request"),
        (FORM, form(&[("job", "image"), ("priority", "high")]), 400, "invalid_request"),
        (FORM, form(&[("job", "image"), ("params", "[]")]), 400, "invalid_request"),
        (FORM, form(&[("job", "image"), ("init; filename=a", &long)]), 413, "body_too_large"),
        (FORM, cut, 400, "invalid_request"),
        ("multipart/form-data", form(&[("job", "image")]), 400, "invalid_request"),
    ] {
        let (got, answer) = served.submit(kind, body.clone()).await;
        assert_eq!((got, &answer["error"]["code"]), (status, &code.into()), "{body}: {answer}");
    }
    assert_eq!((served.told(), uploads(&served)), (Vec::new(), 0));
    served.server.stop().await;
}

#[actix_rt::test]
async fn a_job_that_is_not_accepted_says_why() {
    let served = Served::new(ServiceState::Ready);
    for (job, status, code) in [
        ("nope", 404, "unknown_job"),
        ("picky", 400, "bad_params"),
        ("full", 429, "jobs_full"),
        ("disk", 503, "not_written"),
    ] {
        let (got, answer) = served.submit("application/json", json!({ "job": job }).to_string()).await;
        assert_eq!((got, &answer["error"]["code"]), (status, &code.into()), "{answer}");
    }
    let (_, answer) = served.submit("", json!({ "job": "picky" }).to_string()).await;
    assert_eq!(answer["error"]["problems"], json!(["`a` is missing", "`b` is no number"]));
    let full = served.send(Method::POST, "/api/jobs", "", json!({ "job": "full" }).to_string()).await;
    assert_eq!(full.headers().get("retry-after").and_then(|value| value.to_str().ok()), Some("7"));
    served.server.stop().await;
}

#[actix_rt::test]
async fn jobs_are_listed_found_and_counted() {
    let served = Served::new(ServiceState::Ready);
    let (status, list) = served.ask(Method::GET, "/api/jobs?job=image&state=running,failed&limit=7").await;
    assert_eq!((status, &list[0]["id"]), (200, &JOB.into()));
    assert_eq!(served.told(), ["jobs of Some(ServiceName(\"image\")) in [Running, Failed], 7"]);
    for (query, found) in [("last", 1), ("01m7", 1), ("01", 1), ("02", 0)] {
        let (status, list) = served.ask(Method::GET, &format!("/api/jobs?id={query}")).await;
        assert_eq!((status, list.as_array().map(Vec::len)), (200, Some(found)), "{query}: {list}");
    }
    assert_eq!(served.ask(Method::GET, &format!("/api/jobs/{JOB}")).await.1["state"], "succeeded");
    assert_eq!(served.ask(Method::GET, "/api/history/jobs?service=image&failed=1").await.1[0]["job"], "image");
    let (_, status) = served.ask(Method::GET, "/api/status").await;
    assert_eq!(status["jobs"], json!([{ "job": "image", "state": "running", "count": 1 }]));
    assert_eq!(status["runtime"]["epoch"], 7);
    let (_, page) = served.ask(Method::GET, "/metrics").await;
    let page = page.as_str().unwrap_or_default();
    assert!(page.contains("\ngreenroom_jobs{job=\"image\",state=\"running\"} 1\n"), "{page}");
    assert!(page.contains("\ngreenroom_jobs{job=\"image\",state=\"queued\"} 0\n"), "{page}");
    served.server.stop().await;
}

#[actix_rt::test]
async fn refusals_of_jobs_have_one_shape_and_the_right_status() {
    let (over, open) = (Served::new(ServiceState::Ready), Served::new(ServiceState::Starting));
    let other = "01M7YVGCFCM54YTD4HWH511JAQ";
    for (served, method, path, status, code) in [
        (&over, Method::GET, format!("/api/jobs/{other}"), 404, "job_not_found"),
        (&over, Method::GET, "/api/jobs/last".to_owned(), 404, "job_not_found"),
        (&over, Method::GET, "/api/jobs/..%2f..%2fetc".to_owned(), 404, "job_not_found"),
        (&over, Method::DELETE, format!("/api/jobs/{JOB}"), 409, "job_over"),
        (&over, Method::DELETE, format!("/api/jobs/{other}"), 404, "job_not_found"),
        (&over, Method::PUT, format!("/api/jobs/{JOB}"), 405, "method_not_allowed"),
        (&over, Method::DELETE, "/api/jobs".to_owned(), 405, "method_not_allowed"),
        (&over, Method::GET, "/api/jobs?state=busy".to_owned(), 400, "invalid_request"),
        (&over, Method::GET, "/api/jobs?limit=many".to_owned(), 400, "invalid_request"),
        (&over, Method::GET, "/api/jobs?id=!".to_owned(), 400, "invalid_request"),
        (&over, Method::GET, "/api/jobs?id=last&limit=1".to_owned(), 400, "invalid_request"),
        (&over, Method::GET, format!("/api/jobs/{JOB}/output"), 404, "output_expired"),
        (&over, Method::GET, format!("/api/jobs/{JOB}/output?file=passwd"), 404, "file_not_found"),
        (&over, Method::GET, format!("/api/jobs/{JOB}/logs"), 404, "output_expired"),
        (&over, Method::GET, format!("/api/jobs/{JOB}/logs?tail=x"), 400, "invalid_request"),
        (&open, Method::GET, format!("/api/jobs/{JOB}/output"), 409, "job_open"),
        (&open, Method::POST, format!("/api/jobs/{JOB}/retry"), 409, "job_open"),
    ] {
        let (got, body) = served.ask(method.clone(), &path).await;
        assert_eq!((got, &body["error"]["code"]), (status, &code.into()), "{method} {path}: {body}");
    }
    assert_eq!(open.ask(Method::DELETE, &format!("/api/jobs/{JOB}")).await.0, 202);
    let again = over.answer(Method::POST, &format!("/api/jobs/{JOB}/retry")).await;
    assert!(again.status().as_u16() == 202 && again.headers().contains_key("Location"));
    over.server.stop().await;
    open.server.stop().await;
}

#[actix_rt::test]
async fn what_a_job_has_made_is_listed_and_given_file_by_file() {
    let served = Served::new(ServiceState::Ready);
    let folder = served.dir.path().join("jobs").join(JOB).join("output");
    fs::create_dir_all(folder.join("side")).expect("made");
    let picture = vec![7_u8; 200_000];
    fs::write(folder.join("out.png"), &picture).expect("written");
    fs::write(folder.join("side/other.txt"), "text").expect("written");
    fs::write(folder.join("hidden.txt"), "not told").expect("written");
    let path = format!("/api/jobs/{JOB}/output");
    let (status, list) = served.ask(Method::GET, &path).await;
    let wanted = json!([{ "name": "out.png", "size": 200_000 }, { "name": "side/other.txt", "size": 4 }]);
    assert_eq!((status, list), (200, wanted));
    let answer = served.answer(Method::GET, &format!("{path}?file=out.png")).await;
    let head = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!(head("content-type").as_deref(), Some("image/png"));
    assert_eq!(head("content-disposition").as_deref(), Some("inline; filename=\"out.png\""));
    assert_eq!(head("content-length").as_deref(), Some("200000"));
    assert_eq!(answer.into_body().collect().await.expect("whole").to_bytes(), picture);
    assert_eq!(served.ask(Method::GET, &format!("{path}?file=side%2Fother.txt")).await, (200, "text".into()));
    assert_eq!(served.ask(Method::GET, &format!("{path}?file=hidden.txt")).await.0, 404);
    served.server.stop().await;
}

#[actix_rt::test]
async fn of_what_a_job_has_made_a_part_may_be_asked_for() {
    let served = Served::new(ServiceState::Ready);
    let folder = served.dir.path().join("jobs").join(JOB).join("output");
    fs::create_dir_all(folder.join("side")).expect("made");
    let film: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(folder.join("out.png"), &film).expect("written");
    fs::write(folder.join("side/other.txt"), "text").expect("written");
    let path = format!("/api/jobs/{JOB}/output?file=out.png");
    for (headers, status, range, part) in [
        (&[("Range", "bytes=100-70099")][..], 206, Some("bytes 100-70099/200000"), &film[100..70_100]),
        (&[("Range", "bytes=-5")], 206, Some("bytes 199995-199999/200000"), &film[199_995..]),
        (&[("Range", "bytes=0-1,5-6")], 200, None, &film[..]),
        (&[("Range", "bytes=0-1"), ("If-Range", "\"mark\"")], 200, None, &film[..]),
        (&[], 200, None, &film[..]),
    ] {
        let answer = served.part(&path, headers).await;
        let head = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        assert_eq!((answer.status().as_u16(), head("content-range").as_deref()), (status, range), "{headers:?}");
        assert_eq!(head("content-length"), Some(part.len().to_string()), "{headers:?}");
        assert_eq!(head("accept-ranges").as_deref(), Some("bytes"));
        assert_eq!(head("content-type").as_deref(), Some("image/png"));
        assert_eq!(answer.into_body().collect().await.expect("whole").to_bytes(), part, "{headers:?}");
    }
    let beyond = served.part(&path, &[("Range", "bytes=200000-")]).await;
    assert_eq!(beyond.status().as_u16(), 416);
    let range = beyond.headers().get("content-range").and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!(range.as_deref(), Some("bytes */200000"));
    let body = beyond.into_body().collect().await.expect("whole").to_bytes();
    let error: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(error["error"]["code"], "range_not_satisfiable", "{error}");
    served.server.stop().await;
}

#[actix_rt::test]
async fn what_a_job_prints_is_followed_to_its_end() {
    let served = Served::new(ServiceState::Starting);
    let log = served.dir.path().join("jobs").join(JOB).join("log");
    let path = format!("/api/jobs/{JOB}/logs");
    assert_eq!(served.ask(Method::GET, &path).await, (200, "".into()));
    fs::create_dir_all(&log).expect("made");
    fs::write(log.join("current.log"), "one\ntwo\n").expect("written");
    assert_eq!(served.ask(Method::GET, &format!("{path}?tail=1")).await, (200, "two\n".into()));
    let mut answer = served.answer(Method::GET, &format!("{path}?tail=1&follow=1")).await.into_body();
    let first = answer.frame().await.expect("a frame").expect("whole").into_data().expect("data");
    assert_eq!(&first[..], b"two\n");
    // Behind what is there: written anew, it would be empty for a moment.
    let mut current = fs::OpenOptions::new().append(true).open(log.join("current.log")).expect("it is there");
    std::io::Write::write_all(&mut current, b"three\n").expect("written");
    served.fake.followed.send_replace(Arc::new(made_up(JobState::Succeeded)));
    let rest = tokio::time::timeout(SOON, answer.collect()).await.expect("it ends with the job").expect("whole");
    assert_eq!(&rest.to_bytes()[..], b"three\n");
    served.server.stop().await;
}

//! SIGKILL to the runtime while jobs are submitted, wait and run: what was accepted is neither lost nor there twice, and
//! no job is ever worked on by two at a time.
//!
//! `GREENROOM_TEST_KILLS=200` kills it so many times.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::common::{BOUND, Greenroom, Http, jobs::FINAL, note, pause, random, stopwatch};

/// The longest a runtime lives before it is killed.
const LIFE: u64 = 700;
/// So few jobs show nothing.
const FEW: usize = 3;
/// All that was accepted is done by then.
const ALL: Duration = Duration::from_secs(240);

fn kills() -> u64 {
    std::env::var("GREENROOM_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20)
}

/// Jobs that write down when they begin and end, each with a lock of its own, by the number it is given.
fn config(greenroom: &Greenroom) -> String {
    let folder = greenroom.folder().display();
    let filled = "--job -p ${param.number} -o ${output} --steps 2 --step-ms 15";
    let watched = format!("--stop-log {folder}/log-${{param.number}} --alone {folder}/alone-${{param.number}}");
    let command = greenroom.stand_in("image", &format!("{filled} {watched}"));
    format!(
        "[job.image]\nengine = \"sd-cpp\"\ncommand = {command}\nparams.number = {{ type = \"int\" }}\ngpu = \"none\"\nram = \"8MiB\"\n\
         max_parallel = 2\nretries = 1000\nstop.grace = \"100ms\"\n"
    )
}

/// Submits jobs whenever a runtime answers, until it is told to stop. What was accepted, by its number.
fn submit(http: &Http, stop: &AtomicBool, accepted: &Mutex<BTreeMap<u64, String>>, next: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "job": "image", "params": { "number": number } });
        match http.post("/api/jobs", Some(&body)) {
            Ok(answer) if answer.status == 202 => {
                let id = answer.json()["id"].as_str().unwrap_or_default().to_owned();
                accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(number, id);
                pause(Duration::from_millis(120));
            }
            _ => pause(Duration::from_millis(10)),
        }
    }
}

#[test]
fn what_was_accepted_is_done_and_never_by_two_at_a_time() {
    let greenroom = Greenroom::new();
    greenroom.configure(&config(&greenroom));
    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let accepted = Arc::<Mutex<BTreeMap<u64, String>>>::default();
    let submitter = {
        let (http, stop, accepted, next) =
            (greenroom.api(), Arc::clone(&stop), Arc::clone(&accepted), Arc::clone(&next));
        thread::spawn(move || submit(&http, &stop, &accepted, &next))
    };
    let (began, hardly_any) = (stopwatch(), || accepted.lock().unwrap_or_else(PoisonError::into_inner).len() <= FEW);
    let mut lives = 0;
    // More of them than that only where the runtime has hardly come to anything.
    while lives < kills() || hardly_any() && began.elapsed() < ALL {
        // Every other life is counted from its first answer: a start may take longer than all of one.
        if lives % 2 == 0 {
            greenroom.spawn()
        } else {
            greenroom.start()
        }
        pause(Duration::from_millis(random() % LIFE));
        greenroom.kill();
        lives += 1;
    }
    stop.store(true, Ordering::Relaxed);
    submitter.join().expect("it submits to its end");
    let accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner).clone();
    greenroom.start();
    check(&greenroom, &accepted, next.load(Ordering::Relaxed));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

fn check(greenroom: &Greenroom, accepted: &BTreeMap<u64, String>, asked: u64) {
    let ids: Vec<String> = accepted.values().cloned().collect();
    assert!(ids.len() > FEW, "hardly anything was accepted: {}", ids.len());
    let ends = greenroom.wait_jobs_over(&ids, ALL);
    // What was on disk and whose answer the kill cut off is there as well: wait for it.
    loop {
        let open = greenroom.api().get("/api/jobs?state=queued,waiting,running,cleaning").expect("an answer").json();
        if open == json!([]) {
            break;
        }
        pause(Duration::from_millis(50));
    }
    let mut seen: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for job in history(greenroom) {
        let number = job["params"]["number"].as_u64().unwrap_or_else(|| panic!("{job:#}"));
        assert!(FINAL.iter().any(|state| job["state"] == *state), "{job:#}");
        seen.entry(number).or_default().push(job["id"].as_str().unwrap_or_default().to_owned());
    }
    for (number, id) in accepted {
        assert_eq!(seen.get(number), Some(&vec![id.clone()]), "job {number}");
    }
    assert!(seen.values().all(|ids| ids.len() == 1), "a job is there twice: {seen:?}");
    let mut done_again = 0;
    for number in 0..asked {
        let log = fs::read_to_string(greenroom.folder().join(format!("log-{number}"))).unwrap_or_default();
        assert!(!log.contains(" double "), "job {number} was worked on by two at a time: {log}");
        assert!(log.is_empty() || seen.contains_key(&number), "job {number} ran and nobody knows it: {log}");
        done_again += usize::from(log.matches(" end ").count() > 1);
    }
    note(&format!(
        "{} kills, {} accepted, {} known: {ends:?}; {done_again} done once more",
        kills(),
        ids.len(),
        seen.len()
    ));
    assert_eq!(ends.get("succeeded"), Some(&ids.len()), "{ends:?}\n{}", greenroom.output());
}

/// Every job there ever was.
fn history(greenroom: &Greenroom) -> Vec<Value> {
    let answer = greenroom.api().get("/api/history/jobs?limit=1000").expect("an answer");
    let jobs = answer.json().as_array().cloned().unwrap_or_default();
    assert!(jobs.len() < 1000, "more than one page");
    jobs
}

#[test]
fn a_job_that_ran_when_the_runtime_was_killed_is_begun_again() {
    let greenroom = Greenroom::new();
    // Before the kill it would take two hours.
    greenroom.configure(&config(&greenroom).replace("--step-ms\",\"15", "--step-ms\",\"3600000"));
    greenroom.start();
    let id = greenroom.submit("image", &json!({ "number": 1 }));
    greenroom.wait_job(&id, &["running"]);
    greenroom.kill();
    greenroom.wait_gone(BOUND);
    greenroom.configure(&config(&greenroom));
    greenroom.start();
    let job = greenroom.wait_job(&id, &["succeeded"]);
    assert!(job["attempt"].as_u64() >= Some(2), "{job:#}");
    greenroom.shutdown_clean();
}

use std::sync::mpsc;

use actix::{Actor, Context};
use actix_rt::Arbiter;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);
/// Far more than anything here takes.
const BOUND: Duration = Duration::from_secs(30);

struct Patient;

impl Actor for Patient {
    type Context = Context<Self>;
}

impl Handler<Ping> for Patient {
    type Result = MessageResult<Ping>;

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) -> Self::Result {
        ping.answer()
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A thread with an actor on it, and somebody who asks both.
fn ward() -> (Arbiter, Addr<Patient>, Heartbeat) {
    ward_looked_at(seconds(2))
}

/// The same, looked at this often.
fn ward_looked_at(interval: Duration) -> (Arbiter, Addr<Patient>, Heartbeat) {
    let thread = Arbiter::new();
    let patient = Patient::start_in_arbiter(&thread.handle(), |_| Patient);
    let everybody = vec![Permanent::actor("patient", &patient), Permanent::thread("thread", thread.handle())];
    let heartbeat = Heartbeat::new(everybody, ServiceSet::default(), ServiceSet::default(), interval, PATIENCE);
    (thread, patient, heartbeat)
}

/// How both fare, the actor first: whether each has answered, and its lag.
fn both(seen: &[ActorSample]) -> Vec<(bool, Duration)> {
    let mut seen = seen.to_vec();
    seen.sort_by(|a, b| a.name.cmp(&b.name));
    seen.iter().map(|one| (one.answered, one.lag)).collect()
}

fn answered(seen: &[ActorSample]) -> bool {
    seen.len() == 2 && seen.iter().all(|one| one.answered)
}

#[actix_rt::test]
async fn who_answers_is_known_from_the_next_look_on() {
    let (thread, _patient, mut heartbeat) = ward();
    let now = clock::now();
    assert!(heartbeat.look(now).iter().all(|one| one.answered), "nobody is called silent who was asked just now");
    assert!(clock::wait_until(BOUND, || answered(&heartbeat.look(now))));
    thread.stop();
    thread.join().expect("it ends");
}

#[actix_rt::test]
async fn who_hangs_is_waited_for_and_not_asked_again_until_it_answers() {
    let (thread, _patient, mut heartbeat) = ward();
    let began = clock::now();
    heartbeat.look(began);
    assert!(clock::wait_until(BOUND, || answered(&heartbeat.look(began))));
    let (release, held) = mpsc::channel::<()>();
    assert!(thread.spawn_fn(move || held.recv().unwrap_or_default()));
    // What was just asked says nothing yet.
    assert!(answered(&heartbeat.look(began + seconds(3))));
    for second in [5, 7, 9] {
        let waited = (false, seconds(second - 3));
        assert_eq!(both(&heartbeat.look(began + seconds(second))), [waited, waited]);
    }
    release.send(()).expect("it waits");
    assert!(clock::wait_until(BOUND, || answered(&heartbeat.look(began + seconds(9)))));
    thread.stop();
    thread.join().expect("it ends");
}

#[actix_rt::test]
async fn who_hangs_is_told_of_also_where_looks_are_further_apart_than_an_answer_may_take() {
    let (thread, _patient, mut heartbeat) = ward_looked_at(seconds(12));
    let began = clock::now();
    heartbeat.look(began);
    assert!(clock::wait_until(BOUND, || answered(&heartbeat.look(began))));
    let (release, held) = mpsc::channel::<()>();
    assert!(thread.spawn_fn(move || held.recv().unwrap_or_default()));
    assert!(answered(&heartbeat.look(began + seconds(12))));
    for second in [24, 36, 49] {
        assert_eq!(both(&heartbeat.look(began + seconds(second))), [(false, seconds(second - 12)); 2]);
    }
    release.send(()).expect("it waits");
    thread.stop();
    thread.join().expect("it ends");
}

#[actix_rt::test]
async fn whoever_was_held_up_himself_blames_nobody() {
    let (thread, _patient, mut heartbeat) = ward();
    let (release, held) = mpsc::channel::<()>();
    assert!(thread.spawn_fn(move || held.recv().unwrap_or_default()));
    let began = clock::now();
    heartbeat.look(began);
    assert_eq!(heartbeat.look(began + seconds(600)), []);
    assert_eq!(both(&heartbeat.look(began + seconds(602))), [(false, seconds(2)); 2]);
    release.send(()).expect("it waits");
    thread.stop();
    thread.join().expect("it ends");
}

#[actix_rt::test]
async fn who_is_gone_answers_nobody_from_then_on() {
    let (thread, patient, mut heartbeat) = ward();
    let began = clock::now();
    heartbeat.look(began);
    assert!(clock::wait_until(BOUND, || answered(&heartbeat.look(began))));
    drop(patient);
    thread.stop();
    thread.join().expect("it ends");
    assert_eq!(both(&heartbeat.look(began + seconds(3))), [(false, Duration::ZERO); 2]);
    assert_eq!(both(&heartbeat.look(began + seconds(7))), [(false, seconds(4)); 2]);
}

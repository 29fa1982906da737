//! How long a client and a door wait for a job, and what becomes of one that nobody waits for.

use futures_util::FutureExt;
use greenroom_actors::job::JobState;

use super::{super::Maker, studio::*};
use crate::gateway::{door::accounting::Tab, errors::ApiError};

#[actix_rt::test]
async fn a_client_that_leaves_takes_its_job_back() {
    for is_begun in [false, true] {
        let studio = Studio::new();
        {
            let body = heron();
            let mut asking = std::pin::pin!(studio.ask(LONG, GENERATIONS, &body));
            tokio::select! {
                biased;
                answer = &mut asking => panic!("nobody has done it: {answer:?}"),
                () = handed_in(&studio) => {}
            }
            if is_begun {
                studio.runs();
                assert!((&mut asking).now_or_never().is_none());
            }
            assert!(!studio.is_cancelled());
        }
        assert!(studio.is_cancelled());
        assert_eq!(studio.counted(), (vec![(499, 1)], u64::from(is_begun)));
    }
}

#[actix_rt::test]
async fn one_that_leaves_before_its_job_is_accepted_takes_it_back_then() {
    let studio = Studio::new();
    studio.fake.0.open.forget_permits(1);
    {
        let body = heron();
        let asking = studio.ask(LONG, GENERATIONS, &body);
        assert!(tokio::time::timeout(SHORT, asking).await.is_err(), "it is not accepted yet");
    }
    assert!(studio.submitted().is_empty() && !studio.is_cancelled());
    studio.fake.0.open.add_permits(1);
    while !studio.is_cancelled() {
        tokio::task::yield_now().await;
    }
    assert_eq!(studio.submitted().len(), 1);
}

#[actix_rt::test]
async fn a_job_has_to_be_begun_in_time_and_may_then_take_its_own() {
    let studio = Studio::new();
    let late = studio.ask(SHORT, GENERATIONS, &heron()).await;
    late.is_refused(503, "wait_timeout");
    assert!(late.job.is_some() && studio.is_cancelled());
    let studio = Studio::new();
    studio.runs();
    let long = async {
        tokio::time::sleep(SHORT * 4).await;
        // Tried once more: it has been begun, so it is waited for.
        studio.turn(|view| view.state = JobState::Queued);
        tokio::time::sleep(SHORT * 2).await;
        studio.succeeds(&[("a.png", "x")]);
    };
    let (answer, ()) = tokio::join!(async { studio.ask(SHORT, GENERATIONS, &heron()).await }, long);
    assert_eq!((answer.status, studio.is_cancelled()), (200, false));
    assert_eq!(studio.counted(), (vec![(200, 1)], 1));
}

#[actix_rt::test]
async fn a_door_that_closes_waits_for_jobs_that_are_worked_on_and_for_no_other() {
    let studio = Studio::new();
    let answer = while_it_waits(&studio, studio.ask(LONG, GENERATIONS, &heron()), || {
        studio.closing.send_replace(true);
    })
    .await;
    answer.is_refused(503, "stopping");
    assert!(studio.is_cancelled());
    let studio = Studio::new();
    studio.runs();
    let body = heron();
    let (request, outgoing) = request(GENERATIONS, &body).await;
    let maker = Maker { works: &studio.works, max_wait: LONG, closing: &studio.closing };
    let (tab, definition) = (Tab::open(&studio.metrics), definition());
    let mut making = Box::pin(maker.make(&request, &definition, 0, outgoing, &tab));
    tokio::select! {
        biased;
        made = &mut making => panic!("it is worked on: {made:?}"),
        () = handed_in(&studio) => {}
    }
    studio.closing.send_replace(true);
    assert!(tokio::time::timeout(SHORT, &mut making).await.is_err(), "it is worked on");
    studio.succeeds(&[("a.png", "x")]);
    let made = making.await.map_err(|error: ApiError| error.message).expect("an answer");
    assert_eq!((made.status().as_u16(), studio.closing.receiver_count()), (200, 1), "the answer is on its way");
    drop(made);
    assert_eq!(studio.closing.receiver_count(), 0);
    // Stopped with the runtime, it is queued for the next one, and its client does not wait for that.
    let studio = Studio::new();
    let answer = while_it_waits(&studio, studio.ask(LONG, GENERATIONS, &heron()), || {
        studio.runs();
        studio.closing.send_replace(true);
        studio.turn(|view| view.state = JobState::Queued);
    })
    .await;
    answer.is_refused(503, "stopping");
    assert!(studio.is_cancelled());
}

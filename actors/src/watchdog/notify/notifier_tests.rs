use std::{future::pending, sync::Mutex};

use super::*;
use crate::{
    event::{EventKind, Severity},
    os::{
        clock,
        containment::{Place, best_effort::BestEffortContainment},
    },
};

const BOUND: Duration = Duration::from_secs(30);

/// A webhook that writes down what it is told, and hangs from the `hangs_from`-th on.
#[derive(Debug)]
struct Desk {
    heard: Mutex<Vec<serde_json::Value>>,
    hangs_from: usize,
}

impl Post for Desk {
    fn post(&self, url: &str, json: Bytes) -> Posting {
        assert_eq!(url, "http://desk/");
        let mut heard = self.heard.lock().expect("no panic");
        heard.push(serde_json::from_slice(&json).expect("JSON"));
        if heard.len() >= self.hangs_from { Box::pin(pending()) } else { Box::pin(async { Ok(()) }) }
    }
}

fn told(desk: &Arc<Desk>, bus: &EventBus, notify: &NotifySpec) -> Option<Notifier> {
    let place = Place { state_dir: "/nowhere".into(), instance: "test".to_owned(), incarnation: "one".to_owned() };
    let means = Means {
        runtime: "studio".to_owned(),
        bus: bus.clone(),
        post: Some(Arc::clone(desk) as Arc<dyn Post>),
        containment: Arc::new(BestEffortContainment::new(&place)),
        state_dir: place.state_dir,
    };
    Notifier::start(notify, means)
}

fn raise(bus: &EventBus, count: usize) {
    for n in 0..count {
        let (alert, message) = ("memory".to_owned(), format!("the {n}-th"));
        bus.emit(EventKind::AlertRaised { alert, severity: Severity::Warning, service: None, message });
    }
}

async fn until(mut wanted: impl FnMut() -> bool) -> bool {
    let end = clock::now() + BOUND;
    while clock::now() < end {
        if wanted() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    false
}

#[actix_rt::test]
async fn a_webhook_hears_of_every_alert_and_of_nothing_else() {
    let desk = Arc::new(Desk { heard: Mutex::default(), hangs_from: usize::MAX });
    let (bus, webhook) = (EventBus::new(1), Some("http://desk/".to_owned()));
    assert!(told(&desk, &bus, &NotifySpec::default()).is_none(), "nobody is to be told");
    let notifier = told(&desk, &bus, &NotifySpec { webhook, exec: None }).expect("a notifier");
    bus.emit(EventKind::RuntimeState { state: "running".to_owned(), reason: None });
    raise(&bus, 3);
    let count = || desk.heard.lock().expect("no panic").len();
    assert!(until(|| count() == 3).await, "{}", count());
    notifier.end().await;
    let heard = desk.heard.lock().expect("no panic");
    let messages: Vec<_> = heard.iter().filter_map(|notice| notice["message"].as_str()).collect();
    assert_eq!(messages, ["the 0-th", "the 1-th", "the 2-th"]);
    assert!(heard.iter().all(|notice| notice["runtime"] == "studio" && notice["alert"] == "memory"));
}

#[actix_rt::test]
async fn a_webhook_that_hangs_holds_up_nobody_and_the_end_waits_for_none_of_it() {
    let desk = Arc::new(Desk { heard: Mutex::default(), hangs_from: 1 });
    let (bus, webhook) = (EventBus::new(1), Some("http://desk/".to_owned()));
    let notifier = told(&desk, &bus, &NotifySpec { webhook, exec: None }).expect("a notifier");
    raise(&bus, 1);
    assert!(until(|| desk.heard.lock().expect("no panic").len() == 1).await);
    raise(&bus, 10 * QUEUE);
    let began = clock::now();
    timeout(BOUND, notifier.end()).await.expect("an end");
    assert!(clock::now().saturating_duration_since(began) < BOUND / 3);
    assert_eq!(desk.heard.lock().expect("no panic").len(), 1, "one at a time");
}

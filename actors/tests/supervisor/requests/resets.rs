//! A remote that stays dirty is reset, and gets no job before it is well again.

use std::{cell::Cell, fs, rc::Rc, sync::Arc, time::Duration};

use greenroom_actors::{
    engines::Engines,
    failure::FailureClass,
    job_queue::{attempt::AttemptNews, runner::far::Far},
    remote::{Look, Remotes},
    spec::{Balance, CleanupSpec, RemoteSpec, ResetSpec},
    template::Template,
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    remote::Near,
    shop::{Shop, service, soon},
};
use crate::web::{Reply, Web};

const NANS: &str = r#"{"error":"NansException","errors":"A tensor with all NaNs was produced in Unet."}"#;

/// A remote at this port, reset after two failures as this says.
fn pod(port: u16, reset: ResetSpec) -> Remotes {
    Remotes::new(&[RemoteSpec {
        name: "pod".parse().expect("a name"),
        urls: vec![format!("http://127.0.0.1:{port}")],
        engine: Engines::built_in().named("a1111").expect("an engine"),
        serves: Vec::new(),
        balance: Balance::RoundRobin,
        api_key: None,
        alive_interval: Duration::from_secs(60),
        cleanup: CleanupSpec { last_resort_after: 2, ..CleanupSpec::default() },
        reset,
    }])
}

/// A shop whose job asks that remote.
async fn shop(remotes: Remotes) -> Shop {
    let mut shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    shop.rim.far = Far { remotes, wires: Some(Arc::new(Near)) };
    shop.job.service = "pod".parse().expect("a name");
    shop
}

#[actix_rt::test]
async fn a_remote_that_stays_dirty_is_reset() {
    let dir = tempfile::tempdir().expect("a folder");
    let flag = dir.path().join("reset");
    let web = Web::new(0, None, |_| async { Reply::refused(500, NANS) }).await;
    let restarter = Web::new(0, None, |_| async { Reply::json(&json!({})) }).await;
    let reset = ResetSpec {
        http: Some(("POST".to_owned(), format!("http://127.0.0.1:{}/pods/7/restart", restarter.port))),
        exec: ["sh", "-c", "echo $GREENROOM_SERVICE > \"$0\"", &flag.display().to_string()]
            .map(Template::text)
            .to_vec(),
    };
    let mut shop = shop(pod(web.port, reset)).await;
    for _ in 0..2 {
        assert_eq!(restarter.heard(), [""; 0]);
        let error = shop.begin(json!({})).failed().await;
        assert_eq!((error.class, error.poisons()), (Some(FailureClass::Nan), false), "it is not restarted for one job");
    }
    assert_eq!(restarter.heard(), ["POST /pods/7/restart"]);
    soon("the program has run", || fs::read_to_string(&flag).is_ok_and(|text| text == "pod\n")).await;
    let alert = shop.alert().await;
    assert!(alert.starts_with("dirty: `pod` is reset: 2 jobs in a row"), "{alert}");
    shop.stop().await;
}

#[actix_rt::test]
async fn after_a_reset_jobs_wait_until_it_is_well_and_what_was_on_its_way_does_not_count() {
    let (go, gone) = watch::channel(false);
    let asked = Rc::new(Cell::new(0));
    let count = Rc::clone(&asked);
    let web = Web::new(0, None, move |_| {
        count.set(count.get() + 1);
        let (is_first, mut gone) = (count.get() == 1, gone.clone());
        async move {
            if is_first {
                gone.wait_for(|go| *go).await.expect("the test goes on");
            }
            Reply::refused(500, NANS)
        }
    })
    .await;
    let restarter = Web::new(0, None, |_| async { Reply::json(&json!({})) }).await;
    let http = Some(("POST".to_owned(), format!("http://127.0.0.1:{}/restart", restarter.port)));
    let remotes = pod(web.port, ResetSpec { http, exec: Vec::new() });
    let shop = shop(remotes.clone()).await;
    let slow = shop.begin(json!({}));
    soon("the first is there", || asked.get() == 1).await;
    for _ in 0..2 {
        shop.begin(json!({})).failed().await;
    }
    assert_eq!(restarter.heard(), ["POST /restart"]);
    go.send_replace(true);
    slow.failed().await;

    let mut next = shop.begin(json!({}));
    let why = next.until(|news| match news {
        AttemptNews::Waiting(why) => Some(why.clone()),
        _ => None,
    });
    let why = why.await;
    assert!(why.contains("it was reset, and is not known to be well again"), "{why}");
    assert_eq!(asked.get(), 3);
    let remote = remotes.find("pod").expect("the remote");
    for _ in 0..2 {
        remote.sites()[0].see(Look::Good);
    }
    next.failed().await;
    assert_eq!((asked.get(), restarter.heard().len()), (4, 1), "one failure after a reset is no reason for the next");
    shop.begin(json!({})).failed().await;
    assert_eq!(restarter.heard().len(), 2, "two are");
    shop.stop().await;
}

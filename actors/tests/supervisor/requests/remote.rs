//! A remote is asked.

use std::{sync::Arc, time::Duration};

use greenroom_actors::{
    engines::Engines,
    job_queue::runner::{
        far::{Far, FarWires},
        wire::{Letter, Local, Sending, Wire},
    },
    remote::{Remote, Remotes, Site},
    spec::{Balance, CleanupSpec, RemoteSpec},
};
use serde_json::json;

use super::shop::*;
use crate::web::{Reply, Web};

#[derive(Debug)]
pub struct Near;

impl FarWires for Near {
    fn wire(&self, _: &Arc<Remote>, site: &Arc<Site>) -> Arc<dyn Wire> {
        let port = site.url().rsplit(':').next().and_then(|port| port.parse().ok());
        Arc::new(Local(port.expect("a port")))
    }

    fn ask(&self, _: &Arc<Remote>, method: &str, url: &str) -> Sending {
        let (place, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
        let port = place.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let letter = Letter { method: method.to_owned(), path: format!("/{path}"), body: Default::default() };
        Local(port).send(&letter)
    }
}

#[actix_rt::test]
async fn a_remote_is_asked_at_a_url_that_is_well_and_cleaned_up_there() {
    let mut shop = Shop::new(service("generic", "sleep 1000"), "/x").await;
    let web = Web::new(0, None, |_| async { Reply::json(&json!({ "text": "done" })) }).await;
    let gone = Web::new(0, None, |_| async { Reply::json(&json!({})) }).await.port;
    let spec = RemoteSpec {
        name: "pod".parse().expect("a name"),
        urls: vec![format!("http://127.0.0.1:{gone}"), format!("http://127.0.0.1:{}", web.port)],
        engine: Engines::built_in().named("generic").expect("an engine"),
        serves: Vec::new(),
        balance: Balance::RoundRobin,
        api_key: None,
        alive_interval: Duration::from_secs(60),
        cleanup: CleanupSpec { actions: vec![http("/free")], ..CleanupSpec::default() },
        reset: Default::default(),
    };
    shop.rim.far = Far { remotes: Remotes::new(&[spec]), wires: Some(Arc::new(Near)) };
    shop.job.service = "pod".parse().expect("a name");
    let result = shop.begin(json!({})).done().await;
    assert_eq!(result.json, Some(json!({ "text": "done" })));
    assert_eq!(web.heard(), ["POST /x", "POST /free"]);
    let remote = shop.rim.far.remotes.find("pod").expect("the remote");
    assert!(!remote.sites()[0].is_in() && remote.sites()[0].in_flight() + remote.sites()[1].in_flight() == 0);
    shop.stop().await;
}

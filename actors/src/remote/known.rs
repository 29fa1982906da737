//! What is known of the remotes at this moment.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    choice::{Standing, choose},
    health::{Health, Look, Turn},
    recovery::Recovery,
};
use crate::{ids::ServiceName, spec::RemoteSpec};

/// All remotes of a runtime, in the order of the configuration. Clones are the same remotes.
#[derive(Debug, Clone, Default)]
pub struct Remotes(Arc<[Arc<Remote>]>);

/// One remote.
#[derive(Debug)]
pub struct Remote {
    spec: RemoteSpec,
    sites: Vec<Arc<Site>>,
    /// Choices made so far.
    turn: AtomicUsize,
}

/// One URL of a remote.
#[derive(Debug)]
pub struct Site {
    url: String,
    in_flight: AtomicU32,
    health: Mutex<Health>,
    /// Once its remote was reset, until it gets jobs again.
    recovery: Mutex<Option<Recovery>>,
}

/// One URL, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteView {
    /// The URL.
    pub url: String,
    /// Whether it gets requests.
    pub is_in: bool,
    /// Requests on their way to it.
    pub in_flight: u32,
    /// What was wrong when something was wrong last.
    pub last_error: Option<String>,
}

/// A request on its way to a URL, until it is dropped.
#[derive(Debug)]
#[must_use = "it counts no longer as soon as it is dropped"]
pub struct InFlight(Arc<Site>);

impl Remotes {
    /// Those of a configuration.
    #[must_use]
    pub fn new(specs: &[RemoteSpec]) -> Self {
        Self(specs.iter().map(|spec| Arc::new(Remote::new(spec.clone()))).collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Remote>> {
        self.0.iter()
    }

    /// The one that answers to this name: its own, or one that clients use.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Remote>> {
        self.iter().find(|remote| remote.answers_to(name)).cloned()
    }
}

impl Remote {
    fn new(spec: RemoteSpec) -> Self {
        let sites = spec.urls.iter().map(|url| Arc::new(Site::new(url.clone()))).collect();
        Self { spec, sites, turn: AtomicUsize::new(0) }
    }

    /// How it is configured.
    #[must_use]
    pub fn spec(&self) -> &RemoteSpec {
        &self.spec
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.spec.name
    }

    /// Its URLs.
    #[must_use]
    pub fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }

    fn answers_to(&self, name: &str) -> bool {
        self.spec.name.as_str() == name || self.spec.serves.iter().any(|served| served == name)
    }

    /// Whether any of its URLs gets requests.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.sites.iter().any(|site| site.is_in())
    }

    /// The URL that a request goes to, which counts as being on its way from here on; `None` where all are out, or have
    /// been `tried` with this request.
    #[must_use]
    pub fn enter(&self, tried: &[Arc<Site>]) -> Option<(Arc<Site>, InFlight)> {
        self.enter_where(|site| !is_among(tried, site))
    }

    /// The same for a job, which goes to none that recovers from a reset.
    #[must_use]
    pub fn enter_for_job(&self, tried: &[Arc<Site>], now: Instant) -> Option<(Arc<Site>, InFlight)> {
        self.enter_where(|site| !is_among(tried, site) && site.takes_jobs(now))
    }

    /// It is reset: its URLs get no jobs until they are seen to be well after this.
    pub fn is_reset(&self, now: Instant) {
        for site in &self.sites {
            *lock(&site.recovery) = Some(Recovery::new(now));
        }
    }

    fn enter_where(&self, may: impl Fn(&Arc<Site>) -> bool) -> Option<(Arc<Site>, InFlight)> {
        let stand =
            |site: &Arc<Site>| Standing { may_be_asked: site.is_in() && may(site), in_flight: site.in_flight() };
        let standings: Vec<Standing> = self.sites.iter().map(stand).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let site = self.sites.get(choose(self.spec.balance, turn, &standings)?)?;
        site.in_flight.fetch_add(1, Ordering::Relaxed);
        Some((Arc::clone(site), InFlight(Arc::clone(site))))
    }
}

impl Site {
    fn new(url: String) -> Self {
        Self { url, in_flight: AtomicU32::new(0), health: Mutex::default(), recovery: Mutex::default() }
    }

    /// The URL, without a `/` at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it gets requests.
    #[must_use]
    pub fn is_in(&self) -> bool {
        lock(&self.health).is_in()
    }

    /// Requests on their way to it.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Takes in what a look, or a request, has shown.
    pub fn see(&self, look: Look) -> Option<Turn> {
        if let Some(recovery) = &mut *lock(&self.recovery) {
            recovery.see(look.clone());
        }
        lock(&self.health).see(look)
    }

    /// Whether it gets jobs as far as a reset goes: none, or it is over.
    #[must_use]
    pub fn takes_jobs(&self, now: Instant) -> bool {
        let mut recovery = lock(&self.recovery);
        if recovery.as_ref().is_some_and(|recovery| recovery.is_over(now)) {
            *recovery = None;
        }
        recovery.is_none()
    }

    /// How long to wait for the next look.
    #[must_use]
    pub fn pause(&self, usual: Duration) -> Duration {
        let pause = lock(&self.health).pause(usual);
        // Somebody may wait for it.
        lock(&self.recovery).as_ref().map_or(pause, |recovery| recovery.pause(usual).min(pause))
    }

    /// As people see it.
    #[must_use]
    pub fn view(&self) -> SiteView {
        let health = lock(&self.health);
        SiteView {
            url: self.url.clone(),
            is_in: health.is_in(),
            in_flight: self.in_flight(),
            last_error: health.last_error().map(str::to_owned),
        }
    }
}

fn is_among(sites: &[Arc<Site>], site: &Arc<Site>) -> bool {
    sites.iter().any(|other| Arc::ptr_eq(other, site))
}

/// Nothing panics while one of them is locked, and if something did, what is in it is whole all the same.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engines::EngineRef, os::clock, spec::Balance};

    fn remotes(urls: &[&str], balance: Balance) -> Remotes {
        let spec = RemoteSpec {
            name: "pod".parse().expect("a name"),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            engine: EngineRef::generic(),
            serves: vec!["realistic".to_owned()],
            balance,
            api_key: None,
            alive_interval: Duration::from_secs(1),
            cleanup: Default::default(),
            reset: Default::default(),
        };
        Remotes::new(&[spec])
    }

    #[test]
    fn requests_are_counted_while_they_last_and_go_where_the_fewest_are() {
        let remotes = remotes(&["http://a", "http://b"], Balance::LeastBusy);
        let remote = remotes.find("realistic").expect("it serves this");
        assert!(remotes.find("pod").is_some() && remotes.find("anime").is_none());
        let (first, one) = remote.enter(&[]).expect("both are in");
        let (second, two) = remote.enter(&[]).expect("both are in");
        assert!(!Arc::ptr_eq(&first, &second));
        drop(one);
        let (third, three) = remote.enter(&[]).expect("both are in");
        assert!(Arc::ptr_eq(&first, &third), "the other one is busy");
        assert_eq!(remote.sites().iter().map(|site| site.in_flight()).collect::<Vec<_>>(), [1, 1]);
        drop((two, three));
        assert_eq!(remote.sites().iter().map(|site| site.in_flight()).collect::<Vec<_>>(), [0, 0]);
    }

    #[test]
    fn after_a_reset_jobs_go_only_where_it_was_seen_to_be_well() {
        let remotes = remotes(&["http://a", "http://b"], Balance::LeastBusy);
        let (remote, now) = (remotes.find("pod").expect("its own name"), clock::now());
        let [a, b] = remote.sites() else { panic!("two") };
        a.see(Look::Good);
        remote.is_reset(now);
        assert!(remote.enter_for_job(&[], now).is_none() && remote.enter(&[]).is_some(), "a chat may try");
        assert!(b.pause(Duration::from_secs(8)) <= Duration::from_secs(1), "somebody waits");
        for _ in 0..2 {
            b.see(Look::Good);
        }
        for _ in 0..3 {
            let (site, _in_flight) = remote.enter_for_job(&[], now).expect("one is well");
            assert!(Arc::ptr_eq(&site, b));
        }
        assert!(remote.enter_for_job(&[Arc::clone(b)], now).is_none());
        assert!(remote.enter_for_job(&[Arc::clone(b)], now + Duration::from_secs(3600)).is_some(), "it is tried");
    }

    #[test]
    fn one_that_is_out_or_was_tried_is_not_asked() {
        let remotes = remotes(&["http://a", "http://b"], Balance::RoundRobin);
        let remote = remotes.find("pod").expect("its own name");
        let [a, b] = remote.sites() else { panic!("two") };
        assert_eq!(a.see(Look::Refused("nobody".to_owned())), Some(Turn::Out));
        for _ in 0..3 {
            let (site, _in_flight) = remote.enter(&[]).expect("one is in");
            assert!(Arc::ptr_eq(&site, b));
        }
        assert!(remote.is_in() && remote.enter(&[Arc::clone(b)]).is_none());
        b.see(Look::Refused("gone".to_owned()));
        assert!(!remote.is_in() && remote.enter(&[]).is_none());
        assert_eq!(a.view().last_error.as_deref(), Some("nobody"));
        assert_eq!(a.in_flight() + b.in_flight(), 0);
    }
}

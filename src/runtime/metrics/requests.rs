//! Requests by service and status, and how long they waited and took. Pure: atomics alone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use greenroom_actors::ids::ServiceName;

use super::{EndedRequest, Histogram, Reading};

/// The statuses that there can be; another one is none.
const STATUSES: std::ops::Range<u16> = 100..600;

/// Counts of all services. Adding to them takes no lock: the table is replaced whole when a service comes that had no
/// request before, and what it points to is atomics.
#[derive(Debug, Default)]
pub struct Requests {
    /// `None` stands for requests that went to no service.
    by_service: ArcSwap<HashMap<Option<ServiceName>, Arc<Counts>>>,
}

/// Counts of one service.
#[derive(Debug)]
struct Counts {
    /// One for each of [`STATUSES`]. Four kilobytes, and no search.
    by_status: Box<[AtomicU64]>,
    waited: Histogram,
    took: Histogram,
}

impl Default for Counts {
    fn default() -> Self {
        let by_status = STATUSES.map(|_| AtomicU64::new(0)).collect();
        Self { by_status, waited: Histogram::default(), took: Histogram::default() }
    }
}

/// The counts of one service at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestCounts {
    /// Requests by the status of their answer; those there were.
    pub by_status: BTreeMap<u16, u64>,
    /// Until they were let in; only those who were.
    pub waited: Reading,
    /// Until the end of their answers.
    pub took: Reading,
}

impl Requests {
    /// One has ended.
    pub fn count(&self, request: &EndedRequest) {
        let row = &request.row;
        let counts = match self.by_service.load().get(&row.service) {
            Some(counts) => Arc::clone(counts),
            None => self.begin(&row.service),
        };
        let place = row.code.checked_sub(STATUSES.start).map(usize::from);
        if let Some(count) = place.and_then(|place| counts.by_status.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if request.entered {
            counts.waited.observe(span(row.waited));
        }
        counts.took.observe(span(row.took));
    }

    /// The counts of a service that has none yet; of two who come at once, both get the same.
    fn begin(&self, service: &Option<ServiceName>) -> Arc<Counts> {
        let fresh = Arc::<Counts>::default();
        self.by_service.rcu(|known| {
            let mut with = HashMap::clone(known);
            with.entry(service.clone()).or_insert_with(|| Arc::clone(&fresh));
            with
        });
        self.by_service.load().get(service).map_or(fresh, Arc::clone)
    }

    /// The counts of every service that had requests; `None` are those that went to none.
    #[must_use]
    pub fn read(&self) -> BTreeMap<Option<ServiceName>, RequestCounts> {
        let known = self.by_service.load();
        known.iter().map(|(service, counts)| (service.clone(), counts.read())).collect()
    }
}

impl Counts {
    fn read(&self) -> RequestCounts {
        let counts = STATUSES.zip(self.by_status.iter().map(|count| count.load(Ordering::Relaxed)));
        let by_status = counts.filter(|(_, count)| *count > 0).collect();
        RequestCounts { by_status, waited: self.waited.read(), took: self.took.read() }
    }
}

/// Seconds as a duration; what is none is no time at all.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use greenroom_actors::{history_store::messages::RequestRow, time::Timestamp};

    use super::*;

    fn ended(service: Option<&str>, code: u16, entered: bool) -> EndedRequest {
        let row = RequestRow {
            at: Timestamp::from_micros(0),
            model: None,
            service: service.map(|name| name.parse().expect("a name")),
            code,
            error: None,
            waited: 0.02,
            took: 0.2,
            bytes: 0,
            whole: true,
        };
        EndedRequest { row, entered, work: true }
    }

    #[test]
    fn each_service_has_counts_of_its_own_and_waits_count_where_somebody_was_let_in() {
        let requests = Requests::default();
        for request in [ended(Some("a"), 200, true), ended(Some("a"), 200, true), ended(Some("a"), 429, false)] {
            requests.count(&request);
        }
        requests.count(&ended(None, 404, false));
        requests.count(&ended(None, 9999, false));
        let read = requests.read();
        let a = &read[&"a".parse().ok()];
        assert_eq!(a.by_status, BTreeMap::from([(200, 2), (429, 1)]));
        assert_eq!((a.waited.count(), a.took.count()), (2, 3));
        assert_eq!(read[&None].by_status, BTreeMap::from([(404, 1)]));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn nothing_is_lost_when_many_come_at_once() {
        let requests = Requests::default();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let requests = &requests;
                scope.spawn(move || {
                    for n in 0..1000 {
                        let name = format!("s{}", (n + worker) % 7);
                        requests.count(&ended(Some(&name), 200, true));
                    }
                });
            }
        });
        let all: u64 = requests.read().values().map(|counts| counts.took.count()).sum();
        assert_eq!(all, 4000);
    }
}

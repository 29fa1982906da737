//! The account of one request: opened when it comes, closed with its drop, whatever ends it.
//!
//! So each request counts once: one that is refused, one whose client leaves while it waits, one whose answer breaks off.
//! `accounting` carries it from the one to the other.

use std::{sync::Arc, time::Instant};

use greenroom_actors::{history_store::messages::RequestRow, ids::ServiceName, os::clock, time::Timestamp};

use crate::{
    gateway::errors::ApiError,
    runtime::metrics::{EndedRequest, Metrics},
};

/// What is told of a request whose client left before there was an answer. No standard has a status for it; this is the
/// one that nginx writes into its log (`NGX_HTTP_CLIENT_CLOSED_REQUEST` in src/http/ngx_http_request.h).
const CLIENT_LEFT: u16 = 499;
/// Bytes that are kept of a model's name as a client gave it. The longest names of models in use have about a hundred.
const NAME: usize = 128;

/// One request.
#[derive(Debug)]
pub struct Account {
    metrics: Arc<Metrics>,
    came: Instant,
    entered: Option<Instant>,
    work: bool,
    model: Option<String>,
    service: Option<ServiceName>,
    code: Option<u16>,
    error: Option<&'static str>,
    bytes: u64,
    whole: bool,
}

impl Account {
    /// It comes now.
    pub fn open(metrics: &Arc<Metrics>) -> Self {
        let (model, service, code, error) = (None, None, None, None);
        let (came, metrics) = (clock::now(), Arc::clone(metrics));
        Self { metrics, came, entered: None, work: true, model, service, code, error, bytes: 0, whole: false }
    }

    /// It names this model.
    pub fn asks_for(&mut self, model: &str) {
        self.model = Some(clipped(model));
    }

    /// It goes to this service.
    pub fn goes_to(&mut self, service: &ServiceName) {
        self.service = Some(service.clone());
    }

    /// It has been let in; or, where it is no `work`, it only looks at a service that is there, and is not written down.
    pub fn enters(&mut self, work: bool) {
        self.entered = Some(clock::now());
        self.work = work;
    }

    /// The service answers with this status.
    pub fn answered(&mut self, status: u16) {
        self.code = Some(status);
    }

    /// It is refused; where an answer has begun, that says so in its own way, and the status stays.
    pub fn refused(&mut self, error: &ApiError) {
        self.code.get_or_insert(error.status.as_u16());
        self.error = Some(error.code);
    }

    /// So many more bytes of the answer's body are sent on.
    pub fn sent(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// The answer has come to its end.
    pub fn is_whole(&mut self) {
        self.whole = true;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let took = clock::now().saturating_duration_since(self.came);
        let waited = self.entered.map_or(took, |entered| entered.saturating_duration_since(self.came));
        let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let row = RequestRow {
            at: Timestamp::from_micros(clock::wall().as_micros().saturating_sub(micros)),
            model: self.model.take(),
            service: self.service.take(),
            code: self.code.unwrap_or(CLIENT_LEFT),
            error: self.error.map(str::to_owned),
            waited: waited.as_secs_f64(),
            took: took.as_secs_f64(),
            bytes: self.bytes,
            whole: self.whole,
        };
        self.metrics.ended(EndedRequest { row, entered: self.entered.is_some(), work: self.work });
    }
}

/// A name as it is kept: no longer than [`NAME`], and nothing in it that a terminal would act on.
fn clipped(name: &str) -> String {
    let end = (0..=NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new(7, 0))
    }

    #[test]
    fn each_request_counts_once_with_the_status_that_it_got() {
        let metrics = metrics();
        let chat: ServiceName = "chat".parse().expect("a name");
        let mut answered = Account::open(&metrics);
        answered.goes_to(&chat);
        answered.enters(true);
        answered.answered(200);
        drop(answered);
        let mut refused = Account::open(&metrics);
        refused.goes_to(&chat);
        refused.refused(&ApiError::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", "full"));
        drop(refused);
        drop(Account::open(&metrics));
        let read = metrics.requests.read();
        let statuses = |service: Option<&ServiceName>| -> Vec<(u16, u64)> {
            read[&service.cloned()].by_status.clone().into_iter().collect()
        };
        assert_eq!((statuses(Some(&chat)), statuses(None)), (vec![(200, 1), (429, 1)], vec![(499, 1)]));
        assert_eq!(read[&Some(chat)].waited.count(), 1, "one was let in");
    }

    #[test]
    fn a_name_is_kept_short_whole_and_harmless() {
        assert_eq!(clipped("org/model"), "org/model");
        assert_eq!(clipped("a\x1b[31mb\n"), "a [31mb ");
        let long = clipped(&"é".repeat(100));
        assert_eq!((long.len(), long.chars().count()), (128, 64));
        let odd = clipped(&format!("x{}", "é".repeat(100)));
        assert_eq!(odd.len(), 127, "no half of a character");
    }
}

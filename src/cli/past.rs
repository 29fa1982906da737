//! Where `history` reads: the database itself, whether a runtime runs or not, or, with `--url`, a running one.

use greenroom_actors::{
    history_store::{
        HistoryReader,
        messages::{EventRow, HistoryFilter, RequestRow, RunRow, SwapRow},
    },
    job::JobView,
    os::state_dir::read_owner,
};
use serde::de::DeserializeOwned;

use super::{
    args::Global,
    ask::{Asked, block_on, get, named_path, read},
    failure::Failure,
    place,
};

/// What is remembered.
#[derive(Debug)]
pub enum Past {
    /// In a file here.
    File {
        /// What reads it.
        reader: HistoryReader,
        /// Whether a runtime writes it now.
        is_live: bool,
    },
    /// By a runtime there.
    There(Asked),
}

impl Past {
    /// Of the runtime that the options mean.
    ///
    /// # Errors
    /// When a configuration is there and cannot be used, the database cannot be opened, or `--url` is none.
    pub fn find(global: &Global) -> Result<Self, Failure> {
        if global.url.is_some() {
            return Asked::find(global).map(Self::There);
        }
        let place = place::find(global)?;
        // Where nobody can tell, what is written down is taken as it stands.
        let is_live = read_owner(&place.state_dir).map_or(true, |owner| owner.is_some_and(|owner| owner.alive));
        Ok(Self::File { reader: HistoryReader::open(&place.history)?, is_live })
    }

    /// Whether a runtime is at work on what is open.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::File { is_live, .. } => *is_live,
            Self::There(_) => true,
        }
    }

    /// Past runs, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn runs(&self, filter: &HistoryFilter) -> Result<Vec<RunRow>, Failure> {
        match self {
            Self::File { reader, .. } => Ok(reader.runs(filter)?),
            Self::There(asked) => ask(asked, "runs", filter),
        }
    }

    /// Past events, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn events(&self, filter: &HistoryFilter) -> Result<Vec<EventRow>, Failure> {
        match self {
            Self::File { reader, .. } => Ok(reader.events(filter)?),
            Self::There(asked) => ask(asked, "events", filter),
        }
    }

    /// Past swaps, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn swaps(&self, filter: &HistoryFilter) -> Result<Vec<SwapRow>, Failure> {
        match self {
            Self::File { reader, .. } => Ok(reader.swaps(filter)?),
            Self::There(asked) => ask(asked, "swaps", filter),
        }
    }

    /// Past requests for models, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn requests(&self, filter: &HistoryFilter) -> Result<Vec<RequestRow>, Failure> {
        match self {
            Self::File { reader, .. } => Ok(reader.requests(filter)?),
            Self::There(asked) => ask(asked, "requests", filter),
        }
    }

    /// Past and present jobs, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn jobs(&self, filter: &HistoryFilter) -> Result<Vec<JobView>, Failure> {
        match self {
            Self::File { reader, .. } => Ok(reader.jobs(filter)?),
            Self::There(asked) => ask(asked, "jobs", filter),
        }
    }
}

fn ask<T: DeserializeOwned>(asked: &Asked, what: &str, filter: &HistoryFilter) -> Result<Vec<T>, Failure> {
    let path = path(what, filter);
    read(&path, block_on(get(asked, &path))?)
}

/// The path that asks for what passes the filter.
fn path(what: &str, filter: &HistoryFilter) -> String {
    let mut path = format!("/api/history/{what}?limit={}&failed={}", filter.limit, u8::from(filter.failed));
    if let Some(service) = &filter.service {
        path.push_str(&named_path("&service=", service.as_str(), ""));
    }
    if let Some(since) = &filter.since {
        path.push_str(&named_path("&since=", &since.to_string(), ""));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_asked_for_in_the_query() {
        let filter = HistoryFilter {
            service: Some("chat".parse().expect("a name")),
            since: Some("2026-11-21T09:00:00Z".parse().expect("a time")),
            failed: true,
            limit: 7,
        };
        let since = "2026-11-21T09%3A00%3A00.000000Z";
        assert_eq!(path("runs", &filter), format!("/api/history/runs?limit=7&failed=1&service=chat&since={since}"));
        let all = HistoryFilter { service: None, since: None, failed: false, limit: 0 };
        assert_eq!(path("swaps", &all), "/api/history/swaps?limit=0&failed=0");
    }
}

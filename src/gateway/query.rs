//! What callers write into queries: switches, points in time, filters of the history. Pure.

use greenroom_actors::{
    history_store::messages::HistoryFilter, ids::ServiceName, time::Timestamp, units::parse_duration,
};
use serde::Deserialize;

use super::errors::ApiError;

/// Reads a switch: `1`, `true`, `yes` and an empty value are on; `0`, `false` and `no` are off.
///
/// # Errors
/// On anything else.
pub fn switch(param: &'static str, text: Option<&str>, default: bool) -> Result<bool, ApiError> {
    match text {
        None => Ok(default),
        Some("1" | "true" | "yes" | "") => Ok(true),
        Some("0" | "false" | "no") => Ok(false),
        Some(other) => Err(ApiError::bad_param(param, format!("`{other}` is neither 1 nor 0"))),
    }
}

/// Reads a whole number.
///
/// # Errors
/// On anything else.
pub fn number<N: std::str::FromStr>(param: &'static str, text: Option<&str>) -> Result<Option<N>, ApiError> {
    let read = |text: &str| {
        text.parse().map_err(|_| ApiError::bad_param(param, format!("`{text}` is no whole number that fits here")))
    };
    text.map(read).transpose()
}

/// Reads words between commas.
///
/// # Errors
/// On a word that stands for nothing.
pub fn words<T>(param: &'static str, text: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ApiError> {
    let each = text.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|word| !word.is_empty());
    each.map(|word| read(word).ok_or_else(|| ApiError::bad_param(param, format!("`{word}` is none")))).collect()
}

/// A text that is neither a duration nor a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a duration such as `2h` nor a time such as `2026-11-21T09:00:00Z`")]
pub struct BadSince(pub String);

/// Reads `2h` (that long before `now`) or an RFC 3339 time.
///
/// # Errors
/// When it is neither.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, BadSince> {
    if let Ok(age) = parse_duration(text) {
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        return Ok(Timestamp::from_micros(now.as_micros().saturating_sub(micros)));
    }
    text.parse().map_err(|_| BadSince(text.to_owned()))
}

/// The query of `/api/history/...`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct HistoryQuery {
    service: Option<String>,
    since: Option<String>,
    failed: Option<String>,
    limit: Option<String>,
}

impl HistoryQuery {
    /// The filter it stands for, seen at `now`.
    ///
    /// # Errors
    /// 400, naming the parameter.
    pub fn filter(&self, now: Timestamp) -> Result<HistoryFilter, ApiError> {
        let service = self.service.as_deref().map(str::parse::<ServiceName>).transpose();
        let since = self.since.as_deref().map(|text| since(text, now)).transpose();
        Ok(HistoryFilter {
            service: service.map_err(|e| ApiError::bad_param("service", e.to_string()))?,
            since: since.map_err(|e| ApiError::bad_param("since", e.to_string()))?,
            failed: switch("failed", self.failed.as_deref(), false)?,
            limit: number("limit", self.limit.as_deref())?.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
        let two = since("2h", now).expect("a duration");
        assert_eq!(two.to_string(), "2026-11-21T10:00:00.000000Z");
        let nine = since("2026-11-21T09:00:00Z", now).expect("a time");
        assert_eq!(nine.to_string(), "2026-11-21T09:00:00.000000Z");
        assert_eq!(since("yesterday", now), Err(BadSince("yesterday".to_owned())));
    }

    #[test]
    fn switches_are_on_off_or_refused() {
        assert_eq!(switch("wait", None, true), Ok(true));
        assert_eq!(switch("wait", Some("false"), true), Ok(false));
        assert_eq!(switch("wait", Some(""), false), Ok(true));
        assert_eq!(switch("wait", Some("maybe"), true).map_err(|e| e.param), Err(Some("wait")));
    }

    #[test]
    fn words_are_taken_apart_and_one_that_is_none_is_named() {
        let read = |text| words("state", text, |word| word.parse::<u8>().ok());
        assert_eq!((read(None), read(Some("")), read(Some("1, 2,"))), (Ok(vec![]), Ok(vec![]), Ok(vec![1, 2])));
        assert!(read(Some("1,x")).is_err_and(|error| error.param == Some("state") && error.message.contains("`x`")));
    }

    #[test]
    fn a_number_that_is_none_is_named() {
        assert_eq!(number::<u32>("limit", None), Ok(None));
        assert_eq!(number("limit", Some("7")), Ok(Some(7u32)));
        for text in ["-1", "x", "", "99999999999"] {
            assert_eq!(number::<u32>("limit", Some(text)).map_err(|e| e.param), Err(Some("limit")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_filter_panic(service in ".{0,20}", since in ".{0,20}", failed in ".{0,6}") {
            let query = HistoryQuery { service: Some(service), since: Some(since), failed: Some(failed), limit: None };
            if let Err(error) = query.filter(Timestamp::from_micros(0)) {
                prop_assert!(error.param.is_some());
            }
        }
    }
}

//! Asking a running runtime: finds its socket, brings an executor, and turns what goes wrong into a [`Failure`].

use std::{future::Future, path::PathBuf};

use hyper::StatusCode;
use serde_json::Value;

use super::{
    args::Global,
    client::{Client, ClientError},
    failure::Failure,
    interrupt::Interrupt,
    place::{self, Place},
    target::{ApiKey, Target},
};

/// The variable with the key for `--url`.
const KEY: &str = "GREENROOM_API_KEY";

/// A runtime that may or may not be running.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where it is.
    pub at: Where,
    /// How to speak to it.
    pub client: Client,
}

/// Where a runtime is.
#[derive(Debug, Clone)]
pub enum Where {
    /// Here, with its files.
    Here(Place),
    /// Where `--url` says; its files are not for this command.
    There(Target),
}

impl Asked {
    /// The runtime that the options mean.
    ///
    /// # Errors
    /// When a configuration is there and cannot be used, or `--url` or its key is none.
    pub fn find(global: &Global) -> Result<Self, Failure> {
        let Some(url) = &global.url else {
            let place = place::find(global)?;
            let client = Client::new(&place.socket());
            return Ok(Self { at: Where::Here(place), client });
        };
        let target = Target::parse(url).map_err(|why| Failure::Option { option: "--url", why })?;
        Ok(Self { client: Client::at(target.clone(), key(global)?), at: Where::There(target) })
    }

    /// Where it is, if it is here.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        match &self.at {
            Where::Here(place) => Some(place),
            Where::There(_) => None,
        }
    }

    /// What a client error means for a command.
    #[must_use]
    pub fn failure(&self, error: ClientError) -> Failure {
        match (error, &self.at) {
            (ClientError::NobodyListens(_), Where::Here(place)) => Failure::NotRunning(place.state_dir.clone()),
            (ClientError::NobodyListens(_), Where::There(target)) => Failure::NotThere(target.to_string()),
            (ClientError::Refused { status, .. }, Where::There(target)) if status == StatusCode::UNAUTHORIZED => {
                Failure::Key { url: target.to_string(), was_sent: self.client.has_key() }
            }
            (ClientError::Refused { status, body }, Where::There(target)) if body["src"] != "greenroom" => {
                Failure::NotGreenroom { url: target.to_string(), why: format!("it answered {status}") }
            }
            (ClientError::Refused { status, body }, _) => {
                let text = |key: &str| body["error"][key].as_str().map(str::to_owned);
                let code = text("code").unwrap_or_else(|| "refused".to_owned());
                let message = text("message").unwrap_or_else(|| format!("the runtime answered {status}"));
                Failure::Refused { code, message, body }
            }
            (other, _) => Failure::Client(other),
        }
    }
}

/// The key for `--url`, if there is one.
fn key(global: &Global) -> Result<Option<ApiKey>, Failure> {
    let bad = |option| move |why| Failure::Option { option, why };
    match &global.api_key_file {
        Some(file) => {
            let refuse = |source| Failure::Io { operation: "read the key in", path: file.clone(), source };
            ApiKey::parse(&std::fs::read_to_string(file).map_err(refuse)?).map_err(bad("--api-key-file"))
        }
        None => ApiKey::parse(&std::env::var(KEY).unwrap_or_default()).map_err(bad(KEY)),
    }
}

/// Runs `work` on an executor of its own until it ends or Ctrl-C comes.
///
/// # Errors
/// What `work` answers, or [`Failure::Interrupted`].
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    executor()?.block_on(async { Interrupt::listen()?.or(work).await })
}

/// An executor on this thread.
///
/// # Errors
/// When the system has no descriptor left for it.
pub fn executor() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|source| Failure::Io {
        operation: "make",
        path: PathBuf::from("an executor"),
        source,
    })
}

/// A path below `/api/services/` with a service's name in it, whatever that name is.
#[must_use]
pub fn service_path(name: &str, rest: &str) -> String {
    named_path("/api/services/", name, rest)
}

/// A path of the API with a service's name in it, whatever that name is.
#[must_use]
pub fn named_path(before: &str, name: &str, rest: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let safe: String =
        name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect();
    format!("{before}{safe}{rest}")
}

/// Sends a request and gives the answer as it came.
///
/// # Errors
/// When nobody listens, or the runtime refuses.
pub async fn get(asked: &Asked, path: &str) -> Result<Value, Failure> {
    asked.client.get(path).await.map_err(|e| asked.failure(e))
}

/// Reads an answer's fields.
///
/// # Errors
/// When one that is needed is not there.
pub fn read<T: serde::de::DeserializeOwned>(path: &str, value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|e| Failure::Client(ClientError::Answer(path.to_owned(), e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        assert_eq!(service_path("qwen2.5", "/why"), "/api/services/qwen2.5/why");
        assert_eq!(service_path("../../shutdown?x", ""), "/api/services/..%2F..%2Fshutdown%3Fx");
    }
}

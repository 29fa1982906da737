//! What a service wants of memory, and what becomes of it when others need it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    memory::GpuId,
    units::{ByteSize, DurationRange},
};

/// The memory half of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct MemorySpec {
    /// Which cards it may use.
    pub gpu: GpuChoice,
    /// GPU memory.
    pub vram: Figure,
    /// Host memory.
    pub ram: Figure,
    /// Of `resources.custom`.
    pub needs: BTreeMap<String, u64>,
    /// Higher is pushed out later.
    pub priority: i32,
    /// Never pushed out.
    pub pinned: bool,
    /// Offloaded after this long without work; zero: never.
    pub idle_timeout: Duration,
    /// What says that it works.
    pub busy: BusySpec,
    /// Which requests load it and count as work.
    pub wake_on: Vec<WakeRule>,
    /// How it makes room, and comes back.
    pub offload: OffloadSpec,
}

impl Default for MemorySpec {
    /// What the configuration says of a service that says nothing.
    fn default() -> Self {
        Self {
            gpu: GpuChoice::Any,
            vram: Figure::Auto,
            ram: Figure::Auto,
            needs: BTreeMap::new(),
            priority: 0,
            pinned: false,
            idle_timeout: Duration::ZERO,
            busy: BusySpec::Requests,
            wake_on: vec![WakeRule::any()],
            offload: OffloadSpec {
                how: OffloadHow::Stop,
                drain: Duration::from_secs(300),
                reload: ReloadPolicy::OnDemand,
                retries: 3,
                backoff: DurationRange { min: Duration::from_secs(1), max: Duration::from_secs(10) },
            },
        }
    }
}

/// `gpu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuChoice {
    /// Whichever has room; several if it fits on no single one.
    Any,
    /// None: it lives in RAM.
    None,
    /// These, all of them together if there are several.
    These(Vec<GpuName>),
}

/// A card as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuName {
    /// By its place in the driver's list.
    Index(u32),
    /// By its UUID.
    Id(GpuId),
}

/// A figure of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Measured in earlier runs, else estimated.
    Auto,
    /// So much; `idle` is what it keeps while it sleeps.
    Known {
        /// While it sleeps.
        idle: Option<ByteSize>,
        /// At most.
        peak: ByteSize,
    },
}

/// `busy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusySpec {
    /// Requests in flight.
    Requests,
    /// Requests in flight, and the answer to `GET path` on its port: busy while one of these members of the JSON object
    /// is neither empty, `null`, `false` nor zero.
    Http {
        /// The path.
        path: String,
        /// The members.
        nonempty: Vec<String>,
    },
}

/// One of `wake_on`: `*`, a path (`/prompt`, `/v1/*`), or a method and a path (`POST /prompt`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeRule {
    /// The method; `None`: all.
    pub method: Option<String>,
    /// The path; a `*` at its end stands for anything.
    pub path: String,
}

impl WakeRule {
    /// `*`: every request.
    #[must_use]
    pub fn any() -> Self {
        Self { method: None, path: "*".to_owned() }
    }

    /// Whether this request is meant. The path without its query.
    #[must_use]
    pub fn matches(&self, method: &str, path: &str) -> bool {
        let path_fits = match self.path.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == self.path,
        };
        path_fits && self.method.as_deref().is_none_or(|wanted| wanted == method)
    }
}

/// `offload.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffloadSpec {
    /// How it makes room.
    pub how: OffloadHow,
    /// The longest wait for what it works on.
    pub drain: Duration,
    /// When it comes back after having been pushed out.
    pub reload: ReloadPolicy,
    /// Tries to bring it back.
    pub retries: u32,
    /// Pause between them.
    pub backoff: DurationRange,
}

/// `offload.how`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffloadHow {
    /// Its processes end.
    Stop,
    /// Its engine unloads the model and stays.
    Sleep,
}

/// `offload.reload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadPolicy {
    /// As soon as there is room.
    WhenFree,
    /// When somebody asks for it.
    OnDemand,
    /// Only by hand.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_matches_by_method_and_path() {
        let rule = |method: Option<&str>, path: &str| WakeRule { method: method.map(str::to_owned), path: path.into() };
        assert!(WakeRule::any().matches("GET", "/anything"));
        assert!(rule(Some("POST"), "/prompt").matches("POST", "/prompt"));
        assert!(!rule(Some("POST"), "/prompt").matches("GET", "/prompt"));
        assert!(rule(None, "/v1/*").matches("GET", "/v1/models"));
        assert!(!rule(None, "/v1").matches("GET", "/v1/models"));
    }
}

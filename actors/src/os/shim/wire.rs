//! What the runtime, the guardian and the shims say to each other: one packet each, some with descriptors. Pure.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::ids::{Pid, RunId, ServiceName};

/// The longest packet, in bytes. Paths make the length; commands and environments travel in a descriptor.
pub const LONGEST: usize = 32 * 1024;

/// To the guardian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToGuardian {
    /// The runtime ends in order: go, and touch nothing.
    Leave,
    /// Become the parent of a shim. With one descriptor: the shim's end of its control socket.
    Shim(ShimOrders),
}

/// How a shim is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimOrders {
    /// Be the first process of a pid namespace of its own.
    pub namespace: bool,
    /// Outlive the runtime.
    pub keep: Option<KeepOrders>,
}

/// What a shim that outlives its runtime needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepOrders {
    /// The state dir, absolute: logs, the handover socket and the record of the end lie below it.
    pub state_dir: PathBuf,
    /// Whose.
    pub service: ServiceName,
    /// Which run.
    pub run: RunId,
    /// A log file is rotated when it would grow past this, in bytes.
    pub log_max_size: u64,
    /// Rotated files kept.
    pub log_keep: u32,
    /// The cgroup that the shim itself moves to: outside of the runtime's unit, and not the one of its tree.
    pub own_cgroup: Option<PathBuf>,
    /// The cgroup of its tree: killed as a whole once the main process has ended and no runtime is there to do it.
    pub tree_cgroup: Option<PathBuf>,
}

/// To a shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToShim {
    /// Start a process. Number 0 is the main one. With three descriptors: what to start (see
    /// [`crate::os::exec`]), its standard output, its standard error.
    Start {
        /// Names it from now on.
        id: u32,
    },
    /// Send a signal to everybody in the tree.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// Kill one of the processes that it was told to start.
    KillOne {
        /// Which.
        id: u32,
    },
    /// Kill the tree. To be repeated until it is empty.
    Kill,
    /// To one that outlived its runtime: a new one is here. With two descriptors, to which output and errors are
    /// copied from now on. Answered with what is the case: `Started` for the main process, or `Ended`, and `Empty`.
    Attach,
    /// The tree is empty and nobody needs the shim any more.
    Leave,
}

/// From a shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromShim {
    /// It holds what it will start. With one descriptor: its own pidfd.
    Ready,
    /// It cannot hold anything, and ends.
    Unable {
        /// Why.
        why: String,
    },
    /// A process was started. With one descriptor: its pidfd.
    Started {
        /// Which.
        id: u32,
        /// Its process id, where the shim and the runtime see the same ones.
        pid: Option<Pid>,
    },
    /// A process could not be started.
    NotStarted {
        /// Which.
        id: u32,
        /// Why.
        why: String,
    },
    /// A process that it was told to start has ended, and was waited for.
    Ended {
        /// Which.
        id: u32,
        /// As `waitpid` gives it.
        status: i32,
    },
    /// There is nobody left in the tree, proven by `waitpid`. Told each time that this comes to be so.
    Empty,
    /// From one that outlives its runtime, and so writes the log: how that fares has changed.
    Log {
        /// Why it cannot be written, with path and remedy; `None` when it can again.
        trouble: Option<String>,
    },
}

/// As a packet.
///
/// # Errors
/// When it would be longer than [`LONGEST`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, TooLong> {
    let bytes = serde_json::to_vec(message).unwrap_or_default();
    if bytes.is_empty() || bytes.len() > LONGEST { Err(TooLong) } else { Ok(bytes) }
}

/// From a packet; `None` when it is not one.
#[must_use]
pub fn decode<T: DeserializeOwned>(packet: &[u8]) -> Option<T> {
    serde_json::from_slice(packet).ok()
}

/// A message that does not fit into a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message is longer than {LONGEST} bytes: a path in it is too long")]
pub struct TooLong;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_socket() {
        let keep = KeepOrders {
            state_dir: "/s d".into(),
            service: "chat".parse().expect("a name"),
            run: RunId::fresh(),
            log_max_size: 1,
            log_keep: 2,
            own_cgroup: None,
            tree_cgroup: Some("/c/x".into()),
        };
        let orders = ToGuardian::Shim(ShimOrders { namespace: true, keep: Some(keep) });
        assert_eq!(decode(&encode(&orders).expect("short")), Some(orders));
        let ended = FromShim::Ended { id: 3, status: 256 };
        assert_eq!(decode(&encode(&ended).expect("short")), Some(ended));
        assert_eq!(decode::<ToShim>(b"{"), None);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert_eq!(encode(&"x".repeat(LONGEST)), Err(TooLong));
    }
}

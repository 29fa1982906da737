//! Which process it is, also when its id has been given away again.

use std::{fs, io, sync::OnceLock};

use serde::{Deserialize, Serialize};

use super::stat;
use crate::ids::Pid;

/// Names one process for good: ids are reused, this triple is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// From `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The process id.
    pub pid: Pid,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot at its start.
    pub start_time: u64,
}

impl ProcessIdentity {
    /// Of a process that has not been waited for yet.
    ///
    /// # Errors
    /// `NotFound` when there is none with this id.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let start_time = stat(pid)?.start_time;
        Ok(Self { boot_id: boot_id()?.to_owned(), pid, start_time })
    }

    /// Of this process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn own() -> io::Result<Self> {
        Self::of(Pid(std::process::id()))
    }

    /// Whether that very process still lives (a zombie does not).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let same_boot = boot_id().is_ok_and(|boot_id| boot_id == self.boot_id);
        same_boot && stat(self.pid).is_ok_and(|stat| stat.start_time == self.start_time && stat.is_alive())
    }
}

/// Which boot of the machine this is.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn boot_id() -> io::Result<&'static str> {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    if let Some(known) = BOOT_ID.get() {
        return Ok(known);
    }
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT_ID.get_or_init(|| text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_and_alive() {
        let own = ProcessIdentity::own().expect("an identity");
        assert!(own.is_alive());
        assert!(stat(own.pid).expect("a stat").is_alive());
    }

    #[test]
    fn another_process_with_the_same_id_is_another_process() {
        let own = ProcessIdentity::own().expect("an identity");
        assert!(!ProcessIdentity { start_time: own.start_time + 1, ..own.clone() }.is_alive());
        assert!(!ProcessIdentity { boot_id: "earlier".to_owned(), ..own }.is_alive());
    }

    #[test]
    fn no_process_is_not_found() {
        assert_eq!(ProcessIdentity::of(Pid(u32::MAX)).map_err(|e| e.kind()), Err(io::ErrorKind::NotFound));
    }
}

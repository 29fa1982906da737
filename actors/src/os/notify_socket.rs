//! The service manager's ear: systemd's notification socket, as sd_notify(3) describes it.
//!
//! One datagram with lines of `NAME=value`, to the socket that `NOTIFY_SOCKET` names: a path, or, after `@`, a name in the
//! abstract namespace. Nobody answers, and a manager that does not listen is no reason to do anything else.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// Where a service manager is told how this process fares.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    manager: SocketAddr,
    /// How often it wants a sign of life, at the least.
    watchdog: Option<Duration>,
}

impl NotifySocket {
    /// As the environment names it; `None` where nobody wants to be told.
    ///
    /// # Errors
    /// When what is named is no such socket.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(None) };
        let watchdog = watchdog(env::var_os("WATCHDOG_USEC"), env::var_os("WATCHDOG_PID"), std::process::id());
        Self::open(&name, watchdog).map(Some)
    }

    /// At this address. `watchdog` is how long the manager waits for a sign of life before it acts.
    ///
    /// # Errors
    /// When it is no such address, or no socket can be made.
    pub fn open(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let manager = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it begins with neither `/` nor `@`")),
        };
        let socket = UnixDatagram::unbound()?;
        // A manager whose queue is full is told the next time; nobody waits for it.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, manager, watchdog })
    }

    /// How long the manager waits for a sign of life (`WatchdogSec=`), if it does.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Everything is up.
    ///
    /// # Errors
    /// When the datagram could not be handed over.
    pub fn ready(&self) -> io::Result<()> {
        self.tell("READY=1\n")
    }

    /// The end has begun.
    ///
    /// # Errors
    /// When the datagram could not be handed over.
    pub fn stopping(&self) -> io::Result<()> {
        self.tell("STOPPING=1\n")
    }

    /// A sign of life.
    ///
    /// # Errors
    /// When the datagram could not be handed over.
    pub fn alive(&self) -> io::Result<()> {
        self.tell("WATCHDOG=1\n")
    }

    /// What is shown to people beside the state (`systemctl status`); one line.
    ///
    /// # Errors
    /// When the datagram could not be handed over.
    pub fn status(&self, text: &str) -> io::Result<()> {
        self.tell(&format!("STATUS={}\n", text.replace('\n', " ")))
    }

    fn tell(&self, lines: &str) -> io::Result<()> {
        self.socket.send_to_addr(lines.as_bytes(), &self.manager).map(drop)
    }
}

/// What `WATCHDOG_USEC` and `WATCHDOG_PID` mean for process `own`: nothing where they are not there, no number, 0, or meant
/// for another process. See sd_watchdog_enabled(3).
fn watchdog(usec: Option<OsString>, pid: Option<OsString>, own: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    let is_ours = match pid {
        Some(pid) => number(pid) == Some(u64::from(own)),
        None => true,
    };
    number(usec?).filter(|usec| is_ours && *usec > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> String {
        manager.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let mut buffer = [0; 200];
        let length = manager.recv(&mut buffer).expect("a datagram");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_manager_at_a_path_hears_each_word() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("bound");
        let socket = NotifySocket::open(path.as_os_str(), None).expect("opened");
        socket.ready().expect("told");
        socket.status("two\nlines").expect("told");
        socket.alive().expect("told");
        socket.stopping().expect("told");
        let all = [(); 4].map(|()| heard(&manager));
        assert_eq!(all, ["READY=1\n", "STATUS=two lines\n", "WATCHDOG=1\n", "STOPPING=1\n"]);
    }

    #[test]
    fn a_manager_with_an_abstract_name_hears_as_well() {
        let name = format!("greenroom-test-{}", std::process::id());
        let manager = SocketAddr::from_abstract_name(&name).and_then(|at| UnixDatagram::bind_addr(&at)).expect("bound");
        let socket = NotifySocket::open(OsStr::new(&format!("@{name}")), None).expect("opened");
        socket.ready().expect("told");
        assert_eq!(heard(&manager), "READY=1\n");
    }

    #[test]
    fn a_manager_that_is_gone_or_no_socket_is_an_error_and_nobody_waits() {
        let dir = tempfile::tempdir().expect("a folder");
        let gone = NotifySocket::open(dir.path().join("gone").as_os_str(), None).expect("an address");
        assert!(gone.ready().is_err());
        for name in ["", "relative/path", &format!("/{}", "x".repeat(200))] {
            assert!(NotifySocket::open(OsStr::new(name), None).is_err(), "{name}");
        }
    }

    #[test]
    fn a_sign_of_life_is_wanted_by_number_and_of_us() {
        let text = |text: &str| Some(OsString::from(text));
        let wanted = Some(Duration::from_secs(2));
        assert_eq!(watchdog(text("2000000"), None, 7), wanted);
        assert_eq!(watchdog(text("2000000"), text("7"), 7), wanted);
        for (usec, pid) in [(None, None), (text("2000000"), text("8")), (text("0"), None), (text("soon"), None)] {
            assert_eq!(watchdog(usec, pid, 7), None);
        }
    }
}

//! A shim that outlives its runtime: how the next one takes it over, and how the one before lets it go.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    process::ExitStatus,
};

use rustix::net::{Shutdown, shutdown};
use tokio::sync::oneshot;

use super::{Link, LinkError, Shim, lock};
use crate::os::shim::{socket, wire::ToShim};

impl Link {
    /// Over the socket of a shim whose main process runs, and its pidfd. From now on the output is copied to these two
    /// descriptors. Gives the status of the main process, when it has ended. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the shim cannot be told; it goes on without us then.
    pub fn take_over(
        connection: OwnedFd,
        shim: OwnedFd,
        readers: [BorrowedFd<'_>; 2],
    ) -> Result<(Self, oneshot::Receiver<ExitStatus>), LinkError> {
        let link = Self::new(connection, None).map_err(LinkError::NotWatched)?;
        let (end, ended) = oneshot::channel();
        {
            let mut state = lock(&link.state);
            state.shim = Some(Shim::of(shim));
            state.book.adopt();
            state.ends.insert(0, end);
        }
        socket::send(link.socket.get_ref(), &ToShim::Attach, &readers).map_err(LinkError::NotTold)?;
        Ok((link, ended))
    }

    /// Why the shim cannot write the log, as far as it writes it.
    #[must_use]
    pub fn log_trouble(&self) -> Option<String> {
        lock(&self.state).log_trouble.clone()
    }

    /// Leaves the shim to itself. Nothing is heard of it any more.
    pub fn let_go(&self) {
        // The reader may be at work on another thread and see the end that is made here.
        lock(&self.state).let_go = true;
        self.reader.abort();
        // Fails when the other side has closed it, which is the same.
        shutdown(self.socket.get_ref(), Shutdown::Both).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io,
        os::fd::{AsFd, AsRawFd},
        time::Duration,
    };

    use super::*;
    use crate::{
        ids::Pid,
        os::{pidfd, shim::wire::FromShim},
    };

    #[tokio::test]
    async fn a_run_that_is_taken_over_is_not_killed_for_being_known_and_can_be_let_go() {
        let (near, shim) = socket::pair().expect("a pair");
        let own = || pidfd::open(Pid(std::process::id())).expect("a pidfd");
        let file = File::open("/dev/null").expect("a file");
        let (link, ended) = Link::take_over(near, own(), [file.as_fd(); 2]).expect("taken over");
        assert_eq!(link.pid(), Some(Pid(std::process::id())));
        let (said, descriptors) = socket::receive::<ToShim>(&shim).expect("received").expect("a message");
        assert_eq!((said, descriptors.len()), (ToShim::Attach, 2));
        socket::send(&shim, &FromShim::Started { id: 0, pid: None }, &[own().as_fd()]).expect("sent");
        socket::send(&shim, &FromShim::Ended { id: 0, status: 9 }, &[]).expect("sent");
        assert_eq!(ended.await.expect("told"), std::os::unix::process::ExitStatusExt::from_raw(9));
        let silent = socket::receive::<ToShim>(&shim).expect_err("nothing was ordered");
        assert_eq!(silent.kind(), io::ErrorKind::WouldBlock);
        link.let_go();
        assert!(socket::receive::<ToShim>(&shim).expect("received").is_none(), "{}", shim.as_raw_fd());
        tokio::time::sleep(Duration::ZERO).await;
    }
}

//! Connections to one address, used one request at a time and kept for the next.
//!
//! The last one that was used goes first, so that those which a rush has left behind grow old and are closed. What comes
//! back is decided by the connection itself: one that can take another request is kept, every other one is dropped, and
//! with it whatever was still on its way on it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    net::SocketAddr,
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use greenroom_actors::os::clock;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::gateway::door::outgoing::Outgoing;

/// How long a connection may be idle. Servers close theirs after 5 s and more; one that is closed while a request is on
/// its way is tried again only if nothing of it was sent.
const IDLE: Duration = Duration::from_secs(4);

/// The connections to one address. To be used on one thread, inside a tokio `LocalSet`.
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    /// Those that nobody uses, the last used last.
    idle: RefCell<VecDeque<Idle>>,
    /// Whether somebody looks after those that grow old.
    is_watched: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    connection: SendRequest<Outgoing>,
    since: Instant,
}

/// A connection that is in use. Dropping it gives it back if the answer has come to its end, and closes it otherwise.
#[derive(Debug)]
pub struct Lent {
    connection: Option<SendRequest<Outgoing>>,
    pool: Rc<Pool>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Nothing was sent: here it is back.
    NotSent(Box<Request<Outgoing>>, NoConnection),
    /// Something was.
    Failed(hyper::Error),
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum NoConnection {
    /// Nobody listens there, or the system refuses.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It was closed at once.
    #[error("the connection was closed before anything was sent")]
    Closed(#[source] hyper::Error),
}

impl Pool {
    /// Of this address; nothing is connected yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, idle: RefCell::default(), is_watched: Cell::new(false) }
    }

    /// Sends a request on a connection that is idle, or on a new one, and gives the head of the answer as soon as it is
    /// there. The connection is to be kept until the answer's body is read. Dropping the future, or the connection before
    /// the body's end, ends the request at the service.
    ///
    /// # Errors
    /// With the request itself if nothing of it was sent on any connection.
    pub async fn send(
        self: &Rc<Self>,
        mut request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lent), Unanswered> {
        while let Some(connection) = self.take() {
            match self.send_on(connection, request).await {
                // Closed by the service a moment ago; so may be the next one.
                Err(Unanswered::NotSent(back, _)) => request = *back,
                done => return done,
            }
        }
        match self.connect().await {
            Ok(connection) => self.send_on(connection, request).await,
            Err(error) => Err(Unanswered::NotSent(Box::new(request), error)),
        }
    }

    async fn send_on(
        self: &Rc<Self>,
        mut connection: SendRequest<Outgoing>,
        request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lent), Unanswered> {
        match connection.try_send_request(request).await {
            Ok(answer) => Ok((answer, Lent { connection: Some(connection), pool: Rc::clone(self) })),
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Unanswered::NotSent(Box::new(request), NoConnection::Closed(error.into_error())),
                None => Unanswered::Failed(error.into_error()),
            }),
        }
    }

    /// The one that was used last, unless it is too old: then all are.
    fn take(&self) -> Option<SendRequest<Outgoing>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { connection, since }) = idle.pop_back() {
            if clock::now().saturating_duration_since(since) > IDLE {
                idle.clear();
            } else if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    async fn connect(&self) -> Result<SendRequest<Outgoing>, NoConnection> {
        let refused = |source| NoConnection::Connect { address: self.address, source };
        let stream = TcpStream::connect(self.address).await.map_err(refused)?;
        // Without it a small piece waits for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(refused)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(NoConnection::Closed)?;
        // It ends with its sender or its peer. Whoever waits for an answer is told the error as well.
        drop(actix_rt::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!("a connection to a service ended: {error}");
            }
        }));
        Ok(sender)
    }

    fn put_back(self: &Rc<Self>, connection: SendRequest<Outgoing>) {
        self.idle.borrow_mut().push_back(Idle { connection, since: clock::now() });
        if !self.is_watched.replace(true) {
            drop(actix_rt::spawn(watch(Rc::downgrade(self))));
        }
    }

    /// Closes what has been idle for too long. Tells when to look again, if there is anything left.
    fn close_old(&self, now: Instant) -> Option<Instant> {
        let mut idle = self.idle.borrow_mut();
        while idle.front().is_some_and(|oldest| now.saturating_duration_since(oldest.since) > IDLE) {
            idle.pop_front();
        }
        let next = idle.front().and_then(|oldest| oldest.since.checked_add(IDLE));
        self.is_watched.set(next.is_some());
        next
    }
}

/// Closes old connections as long as there are any.
async fn watch(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_old(clock::now())) {
        // A little later, so that it is over then.
        tokio::time::sleep_until((next + Duration::from_millis(1)).into()).await;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // It is ready for another request once the answer has been read to its end, and not before: hyper asks for the
        // next message when both directions are idle.
        if let Some(connection) = self.connection.take().filter(SendRequest::is_ready) {
            self.pool.put_back(connection);
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;

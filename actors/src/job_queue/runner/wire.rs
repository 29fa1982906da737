//! How the request of a job travels: over one HTTP/1.1 connection of its own, which is closed with it.
//!
//! A service is asked on its port, by [`Local`]. Remotes may speak TLS, which is not known in here: whoever knows it hands
//! in another [`Wire`]. Redirects are not followed; an answer is read piece by piece, as far as it may be long.

use std::{error::Error, fmt, future::Future, pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{HeaderMap, Request, body::Body, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::{cause::chain, engines::HttpCall, process_supervisor::probe::http::HOST};

/// The longest answer that is taken: four images of 4096 x 4096 in base64 are less.
pub const LONGEST_ANSWER: usize = 256 << 20;
/// How long a connection on this machine may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// A request. A body is JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// `POST`, for example.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What is sent.
    pub body: Bytes,
}

impl Letter {
    /// `GET` without a body.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: "GET".to_owned(), path: path.into(), body: Bytes::new() }
    }

    /// As a request to be sent to `uri`, with a `Content-Type` where it has a body.
    ///
    /// # Errors
    /// When method or path cannot stand in a request.
    pub fn request(&self, uri: impl AsRef<str>) -> Result<Request<Full<Bytes>>, WireError> {
        let mut request = Request::builder().method(self.method.as_str()).uri(uri.as_ref());
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request = request.header(header::CONTENT_LENGTH, self.body.len());
        request.body(Full::new(self.body.clone())).map_err(|error| WireError::Unwritable(error.to_string()))
    }
}

impl From<&HttpCall> for Letter {
    fn from(call: &HttpCall) -> Self {
        let body = call.body.clone().unwrap_or_default().into();
        Self { method: call.method.clone(), path: call.path.clone(), body }
    }
}

/// Why there is no answer, or not the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It cannot be said in HTTP.
    #[error("the request cannot be written: {0}")]
    Unwritable(String),
    /// Nobody could be connected to, so nothing was sent.
    #[error("nobody answers at {place}: {why}")]
    Refused {
        /// Where.
        place: String,
        /// Why.
        why: String,
    },
    /// The connection broke, before the answer or in the middle of it.
    #[error("closed the connection ({0})")]
    Broken(String),
    /// The answer is longer than it may be.
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
}

impl WireError {
    /// As it is told of `who` was asked.
    #[must_use]
    pub fn told_of(&self, who: &str) -> String {
        match self {
            Self::Broken(_) => format!("`{who}` {self}"),
            Self::Unwritable(_) | Self::Refused { .. } | Self::TooLong(_) => format!("`{who}`: {self}"),
        }
    }
}

/// A request on its way. Dropping it closes its connection.
pub type Sending = Pin<Box<dyn Future<Output = Result<Answer, WireError>> + Send>>;

/// Sends requests to one place.
pub trait Wire: fmt::Debug + Send + Sync {
    /// Sends this; gives the head of the answer when that is there.
    fn send(&self, letter: &Letter) -> Sending;

    /// The port on this machine, where it is one.
    fn port(&self) -> Option<u16> {
        None
    }
}

/// An answer, of which the head is there.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its `Content-Type`, in lower case, without what follows a `;`.
    pub content_type: Option<String>,
    body: UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>,
    /// Moves the bytes, where that is a task.
    _connection: Option<Driven>,
}

impl Answer {
    /// One whose body comes from elsewhere.
    pub fn new<B>(status: u16, headers: &HeaderMap, body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = said.and_then(|said| said.split(';').next()).map(|kind| kind.trim().to_ascii_lowercase());
        Self { status, content_type: kind, body: body.map_err(Into::into).boxed_unsync(), _connection: None }
    }

    /// Whether it was not refused.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.status < 400
    }

    /// Whether it says that it is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.content_type.as_deref().is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"))
    }

    /// The next piece of the body; `None` after the last.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn piece(&mut self) -> Option<Result<Bytes, WireError>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(piece) => return Some(Ok(piece)),
                    Err(_trailers) => {}
                },
                Err(error) => return Some(Err(WireError::Broken(chain(error.as_ref())))),
            }
        }
    }

    /// The whole body, which may have `most` bytes.
    ///
    /// # Errors
    /// When it is longer, or the connection breaks.
    pub async fn whole(mut self, most: usize) -> Result<Bytes, WireError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece().await {
            let piece = piece?;
            if whole.len() + piece.len() > most {
                return Err(WireError::TooLong(most));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The beginning of the body, at most `most` bytes, whatever becomes of the rest.
    pub async fn beginning(mut self, most: usize) -> Bytes {
        let mut read = BytesMut::new();
        while let Some(Ok(piece)) = self.piece().await {
            read.extend_from_slice(&piece[..piece.len().min(most - read.len())]);
            if read.len() == most {
                break;
            }
        }
        read.freeze()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("content_type", &self.content_type).finish()
    }
}

/// A connection that is driven by a task, until it is dropped.
struct Driven(JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A port on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local(pub u16);

impl Wire for Local {
    fn send(&self, letter: &Letter) -> Sending {
        let request = letter.request(&letter.path);
        let port = self.0;
        Box::pin(async move { exchange(port, request?).await })
    }

    fn port(&self) -> Option<u16> {
        Some(self.0)
    }
}

/// Connects to a port on this machine.
///
/// # Errors
/// When nobody listens there.
pub(super) async fn connect(port: u16) -> Result<TcpStream, WireError> {
    let refused = |why: String| WireError::Refused { place: format!("port {port}"), why };
    match timeout(CONNECT, TcpStream::connect((HOST, port))).await {
        Ok(stream) => stream.map_err(|error| refused(error.to_string())),
        Err(_) => Err(refused(format!("no connection within {CONNECT:?}"))),
    }
}

async fn exchange(port: u16, mut request: Request<Full<Bytes>>) -> Result<Answer, WireError> {
    let broken = |error: hyper::Error| WireError::Broken(chain(&error));
    let stream = connect(port).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let host = format!("{HOST}:{port}").parse().map_err(|_| WireError::Unwritable("its host".to_owned()))?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    // What is wrong with the connection, the answer says.
    let driven = Driven(tokio::spawn(async move { drop(connection.await) }));
    let answer = sender.send_request(request).await.map_err(broken)?;
    let (head, body) = answer.into_parts();
    Ok(Answer { _connection: Some(driven), ..Answer::new(head.status.as_u16(), &head.headers, body) })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;

    /// Answers one connection with `answer` after it has read a request. Tells what it has read, and again once the other
    /// side has closed.
    async fn server(answer: &'static [u8]) -> (u16, mpsc::UnboundedReceiver<Vec<u8>>) {
        let listener = TcpListener::bind((HOST, 0)).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 1024];
            let read = stream.read(&mut request).await.expect("a request");
            request.truncate(read);
            drop(tell.send(request.clone()));
            stream.write_all(answer).await.expect("an answer");
            if !answer.is_empty() {
                stream.shutdown().await.expect("no more of it");
            }
            let mut rest = Vec::new();
            // A reset is an end as well.
            drop(stream.read_to_end(&mut rest).await);
            drop(tell.send(request));
        });
        (port, told)
    }

    #[tokio::test]
    async fn a_request_is_sent_as_json_and_its_answer_read() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}";
        let (port, mut told) = server(answer).await;
        let letter = Letter { method: "POST".to_owned(), path: "/x?y=1".to_owned(), body: Bytes::from("[7]") };
        let answer = Local(port).send(&letter).await.expect("an answer");
        assert_eq!((answer.status, answer.is_json()), (200, true));
        assert_eq!(answer.whole(2).await.expect("a body"), "{}");
        let sent = String::from_utf8(told.recv().await.expect("read")).expect("text").to_lowercase();
        assert!(sent.starts_with("post /x?y=1 http/1.1\r\n") && sent.ends_with("\r\n\r\n[7]"), "{sent}");
        assert!(sent.contains("content-type: application/json") && sent.contains("content-length: 3"), "{sent}");
        assert!(sent.contains(&format!("host: {HOST}:{port}")), "{sent}");
    }

    #[tokio::test]
    async fn an_answer_ends_where_it_may_and_its_beginning_is_there_all_the_same() {
        const LONG: &[u8] = b"HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\n123456789";
        let (port, _told) = server(LONG).await;
        let answer = Local(port).send(&Letter::get("/")).await.expect("an answer");
        assert!(!answer.is_good() && !answer.is_json());
        assert_eq!(answer.whole(8).await, Err(WireError::TooLong(8)));
        let (port, _told) = server(LONG).await;
        let answer = Local(port).send(&Letter::get("/")).await.expect("an answer");
        assert_eq!(answer.beginning(4).await, "1234");
        let (port, _told) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        let answer = Local(port).send(&Letter::get("/")).await.expect("an answer");
        assert_eq!(answer.beginning(99).await, "half");
    }

    #[tokio::test]
    async fn a_connection_is_closed_with_the_request_or_its_answer() {
        let (port, mut told) = server(b"").await;
        let mut sending = Local(port).send(&Letter::get("/never"));
        tokio::select! {
            answer = &mut sending => panic!("{answer:?}"),
            heard = told.recv() => assert!(heard.expect("sent").starts_with(b"GET /never")),
        }
        drop(sending);
        assert!(told.recv().await.is_some(), "it is closed");
        let (port, mut told) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        drop(Local(port).send(&Letter::get("/half")).await.expect("a head"));
        assert!(told.recv().await.is_some() && told.recv().await.is_some(), "it is closed");
    }

    #[tokio::test]
    async fn what_could_not_be_sent_and_what_broke_are_told_apart() {
        let listener = TcpListener::bind((HOST, 0)).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let refused = Local(port).send(&Letter::get("/")).await;
        assert!(matches!(refused, Err(WireError::Refused { .. })), "{refused:?}");
        let bad = Local(port).send(&Letter::get("no path")).await;
        assert!(matches!(bad, Err(WireError::Unwritable(_))), "{bad:?}");
        let listener = TcpListener::bind((HOST, 0)).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move { drop(listener.accept().await) });
        let broken = Local(port).send(&Letter::get("/")).await;
        assert!(matches!(broken, Err(WireError::Broken(_))), "{broken:?}");
    }
}

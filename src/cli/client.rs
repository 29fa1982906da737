//! HTTP/1.1 over a unix socket or TCP (the control API), or over TCP to an engine on this machine (the demo).
//!
//! One connection a request, as the server wants it. Bodies of streams are handed on piece by piece.

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use greenroom_actors::event::EventId;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::target::{ApiKey, Target};

/// How long the runtime may take to take a connection: it does nothing else on that thread.
const CONNECT: Duration = Duration::from_secs(5);

/// Pause between tries while more connections wait than the kernel lets wait.
const AGAIN: Duration = Duration::from_millis(20);
/// How long the answer to a question may take. The history's may need a slow disk; a runtime that is stopped, or whose
/// control thread hangs, never answers.
const ANSWER: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("nobody listens on {0}")]
    NobodyListens(String),
    /// The socket is there and may not be opened, or does not take connections; or the name is nobody's.
    #[error("cannot connect to {0}")]
    Connect(String, #[source] io::Error),
    /// The runtime has taken the question and says nothing.
    #[error("nothing came within {} s: it hangs, or it is stopped (kill -CONT wakes it)", .0.as_secs())]
    Silent(Duration),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] hyper::Error),
    /// The request cannot be put together.
    #[error("`{0}` is not a path")]
    Path(String),
    /// The answer is not what it should be.
    #[error("the answer to {0} cannot be read")]
    Answer(String, #[source] serde_json::Error),
    /// The runtime said no.
    #[error("{status}: {body}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The body, where it is JSON.
        body: Value,
    },
}

/// Speaks to one runtime.
#[derive(Debug, Clone)]
pub struct Client {
    target: Target,
    key: Option<ApiKey>,
}

impl Client {
    /// Of the runtime that listens on `socket`. Connects at each request.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { target: Target::Socket(socket.to_owned()), key: None }
    }

    /// Of the runtime that is found there, with this key.
    #[must_use]
    pub fn at(target: Target, key: Option<ApiKey>) -> Self {
        Self { target, key }
    }

    /// Whether it has a key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// GET, as a value.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        // Only what waits for nothing: a command on a service takes as long as the service.
        tokio::time::timeout(ANSWER, self.call(Method::GET, path)).await.unwrap_or(Err(ClientError::Silent(ANSWER)))
    }

    /// POST without a body, as a value.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::POST, path).await
    }

    /// DELETE, as a value.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::DELETE, path).await
    }

    /// POST of a body, as a value.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send_content<T: DeserializeOwned>(&self, path: &str, content: Content) -> Result<T, ClientError> {
        value(path, self.send(Method::POST, path, content).await?).await
    }

    /// GET of a stream. The answer's head has come and is a success.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stream(&self, path: &str) -> Result<ByteStream, ClientError> {
        let answer = self.send(Method::GET, path, Content::nothing()).await?;
        Ok(ByteStream { body: accept(answer).await?.into_body() })
    }

    /// POST without a body that is answered with a file: what that is called, where the answer says so, and its bytes. It
    /// may take `bound` to make it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post_file(&self, path: &str, bound: Duration) -> Result<(Option<String>, ByteStream), ClientError> {
        let answer = tokio::time::timeout(bound, self.send(Method::POST, path, Content::nothing())).await;
        let answer = accept(answer.unwrap_or(Err(ClientError::Silent(bound)))?).await?;
        let named = answer.headers().get("Content-Disposition").and_then(|value| value.to_str().ok());
        let name =
            named.and_then(|text| text.split_once("filename=\"")?.1.split_once('"').map(|(name, _)| name.to_owned()));
        Ok((name, ByteStream { body: answer.into_body() }))
    }

    /// Server-sent events, from just after `after` if given.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn events(&self, after: Option<EventId>, follow: bool) -> Result<Events, ClientError> {
        let since = after.map(|id| format!("&since={id}")).unwrap_or_default();
        let bytes = self.stream(&format!("/api/events?follow={}{since}", u8::from(follow))).await?;
        Ok(Events { bytes, pending: Vec::new() })
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        value(path, self.send(method, path, Content::nothing()).await?).await
    }

    async fn send(&self, method: Method, path: &str, content: Content) -> Result<Response<Incoming>, ClientError> {
        let key = self.key.as_ref();
        let ask = Ask { method, host: self.target.host(), path: format!("{}{path}", self.target.base()), key };
        match &self.target {
            Target::Socket(socket) => exchange(self.connected(connect(socket)).await?, ask, content).await,
            Target::Http { authority, .. } => {
                exchange(self.connected(TcpStream::connect(authority)).await?, ask, content).await
            }
        }
    }

    async fn connected<S>(&self, connect: impl Future<Output = io::Result<S>>) -> Result<S, ClientError> {
        let connect = tokio::time::timeout(CONNECT, connect).await;
        connect.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NobodyListens(self.target.to_string())
            }
            _ => ClientError::Connect(self.target.to_string(), e),
        })
    }
}

/// Connects, also when so many do at once that the kernel says "try again".
async fn connect(socket: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(socket).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(AGAIN).await,
            other => return other,
        }
    }
}

/// POST of JSON to an engine at `127.0.0.1:port`.
///
/// # Errors
/// See [`ClientError`].
pub async fn post_json(port: u16, path: &str, body: &Value) -> Result<Value, ClientError> {
    let address = format!("127.0.0.1:{port}");
    let stream = TcpStream::connect(&address).await.map_err(|e| ClientError::Connect(address.clone(), e))?;
    let ask = Ask { method: Method::POST, host: &address, path: path.to_owned(), key: None };
    value(path, exchange(stream, ask, Content::json(body)).await?).await
}

/// What is sent with a request.
#[derive(Debug)]
pub struct Content {
    /// Its type.
    pub kind: String,
    /// The bytes.
    pub body: UnsyncBoxBody<Bytes, io::Error>,
}

impl Content {
    fn nothing() -> Self {
        Self::whole(Bytes::new())
    }

    /// This value.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::whole(value.to_string().into())
    }

    fn whole(bytes: Bytes) -> Self {
        let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
        Self { kind: "application/json".to_owned(), body }
    }

    /// What comes of `pieces`, of this type.
    pub fn streamed(kind: String, pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self { kind, body: StreamBody::new(pieces.map_ok(Frame::data)).boxed_unsync() }
    }
}

/// The head of a request.
struct Ask<'a> {
    method: Method,
    host: &'a str,
    path: String,
    key: Option<&'a ApiKey>,
}

async fn exchange<S>(stream: S, ask: Ask<'_>, content: Content) -> Result<Response<Incoming>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ask { method, host, path, key } = ask;
    let mut request = Request::builder().method(method).uri(&path).header("Host", host);
    request = request.header("Content-Type", content.kind);
    if let Some(key) = key {
        request = request.header("Authorization", key.authorization());
    }
    let request = request.body(content.body).map_err(|_| ClientError::Path(path))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Drives the connection until the answer has been read or dropped; its error is the request's as well.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// What an answer says, if it is a success.
async fn value<T: DeserializeOwned>(path: &str, answer: Response<Incoming>) -> Result<T, ClientError> {
    let bytes = accept(answer).await?.into_body().collect().await?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|e| ClientError::Answer(path.to_owned(), e))
}

/// The answer, if it is a success.
async fn accept(answer: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    Err(ClientError::Refused { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) })
}

/// The body of a streamed answer.
#[derive(Debug)]
pub struct ByteStream {
    body: Incoming,
}

impl ByteStream {
    /// The next bytes of something that has an end; `None` there.
    ///
    /// # Errors
    /// When it breaks off before.
    pub async fn whole(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// The next bytes; `None` where the stream, or the runtime, has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(bytes) => return Some(bytes),
                    Err(_trailers) => {}
                },
                // A runtime that is killed ends its streams in the middle: an end all the same.
                Err(_cut) => return None,
            }
        }
    }
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Events {
    bytes: ByteStream,
    pending: Vec<u8>,
}

impl Events {
    /// The data of the next event; `None` where the stream has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(frame) = take_frame(&mut self.pending) {
                match data(&frame) {
                    Some(value) => return Some(value),
                    None => continue,
                }
            }
            self.pending.extend_from_slice(&self.bytes.next().await?);
        }
    }
}

/// Cuts the first frame, up to its empty line, off `pending`.
fn take_frame(pending: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = pending.windows(2).position(|pair| pair == b"\n\n")? + 2;
    Some(pending.drain(..end).collect())
}

/// The JSON of a frame; `None` for a comment.
fn data(frame: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(frame);
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    serde_json::from_str(&lines.join("\n")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_wherever_the_bytes_break() {
        let wire = b": hello\n\nid: 7-1\nevent: gap\ndata: {\"a\":1}\n\nid: 7-2\ndata: {\"a\":2}\n\n";
        for step in 1..wire.len() {
            let (mut pending, mut seen) = (Vec::new(), Vec::new());
            for part in wire.chunks(step) {
                pending.extend_from_slice(part);
                while let Some(frame) = take_frame(&mut pending) {
                    seen.extend(data(&frame).map(|v| v["a"].clone()));
                }
            }
            assert_eq!(seen, [Value::from(1), Value::from(2)], "in steps of {step}");
        }
    }

    #[tokio::test]
    async fn a_missing_and_a_stale_socket_say_that_nobody_listens() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("s.sock");
        let call = || async { Client::new(&path).get::<Value>("/health").await };
        assert!(matches!(call().await, Err(ClientError::NobodyListens(_))));
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(matches!(call().await, Err(ClientError::NobodyListens(_))));
    }
}

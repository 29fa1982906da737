//! Small HTTP requests to a service on this machine.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::engines::HttpCall;

/// Where services listen for us.
pub const HOST: &str = "127.0.0.1";

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody listens.
    #[error("nobody listens on port {0}")]
    Refused(u16),
    /// Somebody listens and does not answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer is not HTTP, or the connection broke.
    #[error("the answer is not HTTP")]
    Broken(#[source] hyper::Error),
    /// The body of the answer broke off, or is too long.
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Method or path cannot stand in a request.
    #[error("the request cannot be written")]
    Request(#[source] hyper::http::Error),
}

impl HttpError {
    /// Whether the request has reached somebody, though no answer came.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Body(_) | Self::TimedOut(_))
    }
}

/// Connects, asks and gives the status; the body is not read.
///
/// # Errors
/// See [`HttpError`].
pub async fn request(method: &str, port: u16, path: &str, within: Duration) -> Result<StatusCode, HttpError> {
    call(port, &HttpCall::new(method, path), within).await
}

/// The same for a request that may have a body.
///
/// # Errors
/// See [`HttpError`].
pub async fn call(port: u16, call: &HttpCall, within: Duration) -> Result<StatusCode, HttpError> {
    call_with(port, call, None, within).await
}

/// The same with the key of the service, which is sent as `Authorization: Bearer`. One that no header can hold is left out.
///
/// # Errors
/// See [`HttpError`].
pub async fn call_with(
    port: u16,
    call: &HttpCall,
    key: Option<&str>,
    within: Duration,
) -> Result<StatusCode, HttpError> {
    let mut request = written(port, call)?;
    let key = key.and_then(|key| HeaderValue::from_str(&format!("Bearer {key}")).ok());
    if let Some(mut key) = key {
        key.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, key);
    }
    let asked = timeout(within, exchange(port, request, None)).await;
    asked.unwrap_or(Err(HttpError::TimedOut(within))).map(|(status, _)| status)
}

/// Gets a path and reads its answer, which may have `most` bytes.
///
/// # Errors
/// See [`HttpError`].
pub async fn fetch(port: u16, path: &str, within: Duration, most: usize) -> Result<(StatusCode, Bytes), HttpError> {
    let request = written(port, &HttpCall::new("GET", path))?;
    let asked = timeout(within, exchange(port, request, Some(most))).await;
    asked.unwrap_or(Err(HttpError::TimedOut(within)))
}

fn written(port: u16, call: &HttpCall) -> Result<Request<Full<Bytes>>, HttpError> {
    let body = call.body.clone().unwrap_or_default();
    let request = Request::builder()
        .method(call.method.as_str())
        .uri(call.path.as_str())
        .header(header::HOST, format!("{HOST}:{port}"))
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_LENGTH, body.len());
    let request = if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, "application/json") };
    request.body(Full::from(body)).map_err(HttpError::Request)
}

/// `most` says how much of the answer's body is read; `None`: nothing.
async fn exchange(
    port: u16,
    request: Request<Full<Bytes>>,
    most: Option<usize>,
) -> Result<(StatusCode, Bytes), HttpError> {
    let stream = TcpStream::connect((HOST, port)).await.map_err(|_| HttpError::Refused(port))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Broken)?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(async {
        let answer = sender.send_request(request).await.map_err(HttpError::Broken)?;
        let (status, body) = (answer.status(), answer.into_body());
        let body = match most {
            Some(most) => read(body, most).await?,
            None => Bytes::new(),
        };
        Ok((status, body))
    });
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection moves the bytes. When it ends first without an error, the answer says what came of it.
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(HttpError::Broken(error)),
        },
    }
}

async fn read(body: Incoming, most: usize) -> Result<Bytes, HttpError> {
    let read = Limited::new(body, most).collect().await;
    read.map(|body| body.to_bytes()).map_err(HttpError::Body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    const SECOND: Duration = Duration::from_secs(10);

    /// Answers one connection with `answer` after it has read a request; gives its port.
    async fn server(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind((HOST, 0)).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 1024];
            let _read = stream.read(&mut request).await;
            let _written = stream.write_all(answer).await;
        });
        port
    }

    #[tokio::test]
    async fn the_status_comes_back_whatever_the_body() {
        let port = server(b"HTTP/1.1 503 Loading\r\nContent-Length: 9000\r\n\r\nhalf of").await;
        let status = request("GET", port, "/health", SECOND).await.expect("an answer");
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_key_is_sent_and_stays_unseen_otherwise() {
        let listener = TcpListener::bind((HOST, 0)).await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let hears = tokio::spawn(async move {
            let mut heard = Vec::new();
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = vec![0; 1024];
                let read = stream.read(&mut request).await.expect("a request");
                heard.push(String::from_utf8_lossy(&request[..read]).into_owned());
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("written");
            }
            heard
        });
        for key in ["k1", "no header\n"] {
            let asked = call_with(port, &HttpCall::new("GET", "/x"), Some(key), SECOND).await;
            assert_eq!(asked.expect("an answer"), StatusCode::OK);
        }
        let heard = hears.await.expect("it was asked");
        assert!(heard[0].contains("authorization: Bearer k1\r\n"), "{}", heard[0]);
        assert!(!heard[1].contains("authorization"), "{}", heard[1]);
    }

    #[tokio::test]
    async fn what_is_not_http_and_nobody_at_all_are_told_apart() {
        let port = server(b"220 smtp.example ready\r\n").await;
        assert!(matches!(request("GET", port, "/", SECOND).await, Err(HttpError::Broken(_))));
        let closed = server(b"").await;
        assert!(request("POST", closed, "/", SECOND).await.is_err_and(|e| e.was_sent()));
        assert!(matches!(request("GET", closed, "/", SECOND).await, Err(HttpError::Refused(_))));
        assert!(matches!(request("GET", closed, "no path", SECOND).await, Err(HttpError::Request(_))));
    }

    #[tokio::test]
    async fn an_answer_is_read_as_far_as_it_may_be_long() {
        let port = server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbusy").await;
        let (status, body) = fetch(port, "/queue", SECOND, 4).await.expect("an answer");
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"busy"[..]));
        let port = server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbusy").await;
        assert!(matches!(fetch(port, "/queue", SECOND, 3).await, Err(HttpError::Body(_))));
    }
}

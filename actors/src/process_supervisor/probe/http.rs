//! One small HTTP request to a service on this machine.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

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
    /// Method or path cannot stand in a request.
    #[error("the request cannot be written")]
    Request(#[source] hyper::http::Error),
}

impl HttpError {
    /// Whether the request has reached somebody, though no answer came.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::TimedOut(_))
    }
}

/// Connects, asks and gives the status; the body is not read.
///
/// # Errors
/// See [`HttpError`].
pub async fn request(method: &str, port: u16, path: &str, within: Duration) -> Result<StatusCode, HttpError> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, format!("{HOST}:{port}"))
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_LENGTH, "0")
        .body(Empty::<Bytes>::new())
        .map_err(HttpError::Request)?;
    timeout(within, exchange(port, request)).await.unwrap_or(Err(HttpError::TimedOut(within)))
}

async fn exchange(port: u16, request: Request<Empty<Bytes>>) -> Result<StatusCode, HttpError> {
    let stream = TcpStream::connect((HOST, port)).await.map_err(|_| HttpError::Refused(port))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(HttpError::Broken)?;
    let mut connection = std::pin::pin!(connection);
    let mut response = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut response => answer,
        // The connection moves the bytes. When it ends first without an error, the answer says what came of it.
        ended = &mut connection => match ended {
            Ok(()) => response.await,
            Err(error) => Err(error),
        },
    };
    answer.map(|answer| answer.status()).map_err(HttpError::Broken)
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
    async fn what_is_not_http_and_nobody_at_all_are_told_apart() {
        let port = server(b"220 smtp.example ready\r\n").await;
        assert!(matches!(request("GET", port, "/", SECOND).await, Err(HttpError::Broken(_))));
        let closed = server(b"").await;
        assert!(request("POST", closed, "/", SECOND).await.is_err_and(|e| e.was_sent()));
        assert!(matches!(request("GET", closed, "/", SECOND).await, Err(HttpError::Refused(_))));
        assert!(matches!(request("GET", closed, "no path", SECOND).await, Err(HttpError::Request(_))));
    }
}

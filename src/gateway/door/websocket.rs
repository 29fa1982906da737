//! WebSockets: the handshake is passed on, and after it the bytes of both sides, whatever they mean.
//!
//! An open one is no work. It holds no permit, so that a page which somebody has left open keeps nothing in memory; it ends
//! when its run is asked to end, and when the door closes. The handshake alone is a request like others: where `wake_on`
//! names it, it loads the service, and holds it until it is answered.
//!
//! Each side is read only as fast as the other one takes it. What one has said before its end still goes to the other.

use std::{
    convert::Infallible,
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    body::{BodySize, MessageBody},
    dev::RequestHead,
    http::{Method, StatusCode, Version, header as server},
    web::Payload,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture};
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    client::conn::http1,
    header::{CONNECTION, HeaderValue, UPGRADE},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf},
    net::TcpStream,
    sync::oneshot,
};

use super::{headers::to_client, refusal::upstream_closed};
use crate::gateway::errors::ApiError;

/// Bytes that are taken from a service at a time. Nothing is kept for a side that is silent.
const PIECE: usize = 8 * 1024;
/// How long a service may take for what a client had said when it left.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One side of what the handshake has made of a connection to a service.
type Wire = TokioIo<Upgraded>;

/// Whether a client wants to go on with a WebSocket.
///
/// # Errors
/// 400 when it says so in a request that is no handshake (RFC 6455, section 4.1). Such a one cannot go on without: with
/// `Upgrade: websocket` the server takes all that comes on the connection for its body.
pub fn is_wanted(request: &RequestHead) -> Result<bool, ApiError> {
    if !request.headers().contains_key(server::UPGRADE) {
        return Ok(false);
    }
    let values = |name: &str| {
        let all = request.headers().get_all(name).filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(',')).map(|one| one.trim().to_ascii_lowercase()).collect::<Vec<_>>()
    };
    if !values("upgrade").iter().any(|to| to == "websocket") {
        return Ok(false);
    }
    let is_bare = values("transfer-encoding").is_empty() && values("content-length").iter().all(|length| length == "0");
    let is_handshake = request.method == Method::GET
        && request.version >= Version::HTTP_11
        && values("connection").iter().any(|option| option == "upgrade");
    if is_bare && is_handshake {
        return Ok(true);
    }
    let message =
        "Upgrade: websocket stands in a request that is no handshake: GET, HTTP/1.1, Connection: Upgrade, no body";
    Err(ApiError::bad_param("headers", message))
}

/// Why a service does not answer a handshake.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It does not listen.
    #[error("it cannot be connected to")]
    Connect(#[source] io::Error),
    /// It has closed the connection, or does not speak HTTP.
    #[error("it does not answer the handshake")]
    Answer(#[source] hyper::Error),
}

/// Asks for a WebSocket at a port of this machine, on a connection of its own.
///
/// # Errors
/// When there is no answer.
pub async fn handshake<B>(mut request: Request<B>, port: u16) -> Result<Response<Incoming>, Unanswered>
where
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // They concern one connection, and have not been passed on with the others.
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(Unanswered::Connect)?;
    stream.set_nodelay(true).map_err(Unanswered::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Unanswered::Answer)?;
    // An error of the connection is one of the answer as well. It ends with the answer, or hands itself over.
    drop(actix_rt::spawn(async move { drop(connection.with_upgrades().await) }));
    sender.send_request(request).await.map_err(Unanswered::Answer)
}

/// The answer to a handshake that the service has agreed to: from there on bytes go both ways, until one side ends, or
/// `over` is done. Must be called on a worker of the server.
///
/// # Errors
/// When the service ends right after it has agreed.
pub async fn tunnel(
    answer: Response<Incoming>,
    client: Payload,
    over: impl Future<Output = ()> + 'static,
) -> Result<HttpResponse, ApiError> {
    let headers: Vec<_> = to_client(answer.headers()).collect();
    let upgraded = hyper::upgrade::on(answer).await.map_err(|error| upstream_closed(&error))?;
    let (from, to) = tokio::io::split(TokioIo::new(upgraded));
    let (end, is_over) = oneshot::channel();
    // It ends with what the client says, or with the tunnel.
    drop(actix_rt::spawn(send_on(client, to, is_over)));
    let mut response = HttpResponseBuilder::new(StatusCode::SWITCHING_PROTOCOLS);
    response.upgrade(server::HeaderValue::from_static("websocket"));
    for header in headers {
        response.append_header(header);
    }
    Ok(response.body(Tunnel { from, over: over.boxed_local(), end: Some(end) }))
}

/// What the client says, on its way to the service. `over` is sent when nobody wants it any more, and dropped when the
/// client has left.
async fn send_on(mut client: Payload, mut service: WriteHalf<Wire>, over: oneshot::Receiver<()>) {
    let all = async {
        while let Some(Ok(piece)) = client.next().await {
            if service.write_all(&piece).await.is_err() {
                return;
            }
        }
        // The client has said all that it had to say. An error means that the service has left as well.
        drop(service.shutdown().await);
    };
    let none = async {
        if over.await.is_err() {
            tokio::time::sleep(LAST_WORDS).await;
        }
    };
    tokio::select! {
        () = all => {}
        () = none => {}
    }
}

/// What the service says, on its way to the client. Dropping it is the client's leaving.
struct Tunnel {
    from: ReadHalf<Wire>,
    over: LocalBoxFuture<'static, ()>,
    /// Sent when the service has left, or is to.
    end: Option<oneshot::Sender<()>>,
}

impl Tunnel {
    fn end(&mut self) -> Poll<Option<Result<Bytes, Infallible>>> {
        if let Some(end) = self.end.take() {
            // An error means that the client has said all that it had to say.
            end.send(()).ok();
        }
        Poll::Ready(None)
    }
}

impl MessageBody for Tunnel {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.end.is_none() || self.over.poll_unpin(cx).is_ready() {
            return self.end();
        }
        let mut space = [const { MaybeUninit::uninit() }; PIECE];
        let mut space = ReadBuf::uninit(&mut space);
        match ready!(Pin::new(&mut self.from).poll_read(cx, &mut space)) {
            Ok(()) if !space.filled().is_empty() => Poll::Ready(Some(Ok(Bytes::copy_from_slice(space.filled())))),
            // A WebSocket says itself when it is at its end; a connection that is reset has none.
            Ok(()) | Err(_) => self.end(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_handshake_is_known_and_what_only_looks_like_one_is_refused() {
        let judge = |method: Method, headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::with_uri("/"), |r, header| r.append_header(*header));
            is_wanted(request.method(method).to_http_request().head()).map_err(|error| error.status.as_u16())
        };
        let (upgrade, connection) = (("Upgrade", "WebSocket"), ("Connection", "keep-alive, Upgrade"));
        assert_eq!(judge(Method::GET, &[upgrade, connection]), Ok(true));
        assert_eq!(judge(Method::GET, &[upgrade, connection, ("Content-Length", "0")]), Ok(true));
        assert_eq!(judge(Method::GET, &[("Upgrade", "h2c"), ("Connection", "Upgrade")]), Ok(false));
        assert_eq!(judge(Method::POST, &[]), Ok(false));
        assert_eq!(judge(Method::GET, &[upgrade]), Err(400));
        assert_eq!(judge(Method::POST, &[upgrade, connection]), Err(400));
        assert_eq!(judge(Method::GET, &[upgrade, connection, ("Content-Length", "3")]), Err(400));
        assert_eq!(judge(Method::GET, &[upgrade, connection, ("Transfer-Encoding", "chunked")]), Err(400));
        assert_eq!(judge(Method::GET, &[("Upgrade", "h2c, websocket"), connection]), Ok(true));
    }
}

//! The servers that this program is itself, each in a process of its own: the upstream, and the bare proxy.

use std::{convert::Infallible, future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use greenroom::actors::os::clock;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, Uri,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;

/// Pieces of a stream, and the pause between two.
pub const PIECES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes of an answer.
const ANSWER: usize = 1024;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Answers with 1 KB; with [`PIECES`] events that tell when they were sent where the path says `stream`; with one event and
/// silence where it says `idle`.
pub fn upstream(port: u16) {
    serve(port, |request: Request<Incoming>| async move {
        let query = request.uri().query().unwrap_or_default().to_owned();
        // Read to its end, as an engine does.
        drop(request.into_body().collect().await);
        Ok::<_, Infallible>(match query.as_str() {
            "stream" => events(stream::iter(0..PIECES).then(|_| async {
                tokio::time::sleep(PAUSE).await;
                event()
            })),
            "idle" => events(stream::iter([event()]).chain(stream::pending())),
            _ => Response::new(
                Full::new(Bytes::from_static(&[b'x'; ANSWER])).map_err(|never| match never {}).boxed_unsync(),
            ),
        })
    });
}

fn event() -> Bytes {
    format!("data: {}\n\n", clock::wall().as_micros()).into()
}

fn events(events: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let body = StreamBody::new(events.map(|event| Ok(Frame::data(event))));
    let mut answer = Response::new(body.boxed_unsync());
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/event-stream"));
    answer
}

/// What anybody would write with hyper-util in an hour: its pooled client behind its server, bodies streamed both ways.
pub fn bare(port: u16, upstream: u16) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    serve(port, move |mut request: Request<Incoming>| {
        let client = client.clone();
        async move {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let to = format!("http://127.0.0.1:{upstream}{path}");
            *request.uri_mut() = to.parse::<Uri>().expect("the client's own path");
            request.headers_mut().remove("connection");
            client.request(request).await.map(|answer| answer.map(BodyExt::boxed_unsync))
        }
    });
}

/// Serves on this port, on two threads, until the process is ended.
fn serve<A, F, E>(port: u16, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("threads").block_on(async move {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let listener = TcpListener::bind(address).await.expect("the port is free");
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            stream.set_nodelay(true).ok();
            let answer = answer.clone();
            let answer = service_fn(move |request: Request<Incoming>| {
                let health = request.uri().path() == "/health";
                let answer = (!health).then(|| answer(request));
                async move {
                    match answer {
                        Some(answer) => answer.await,
                        None => Ok(Response::new(Full::new(Bytes::from_static(b"OK")).map_err(never).boxed_unsync())),
                    }
                }
            });
            tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await });
        }
    });
}

fn never(never: Infallible) -> hyper::Error {
    match never {}
}

use std::{cell::Cell, future::poll_fn, pin::Pin};

use actix_web::{FromRequest, dev::Payload, test::TestRequest, web};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::body::Body;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::*;

/// A service that answers `answers` requests on each connection and closes it then; and how many connections it has taken.
async fn service(answers: usize, answer: &'static str) -> (Rc<Pool>, Rc<Cell<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let pool = Rc::new(Pool::new(listener.local_addr().expect("an address")));
    let taken = Rc::new(Cell::new(0));
    let count = Rc::clone(&taken);
    drop(actix_rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.set(count.get() + 1);
            drop(actix_rt::spawn(async move {
                for _ in 0..answers {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    stream.write_all(answer.as_bytes()).await.ok();
                }
            }));
        }
    }));
    (pool, taken)
}

const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok";

fn request() -> Request<Outgoing> {
    let mut request = Request::new(Outgoing::nothing());
    request.headers_mut().insert("host", hyper::header::HeaderValue::from_static("x"));
    request
}

/// Asks and reads the answer to its end.
async fn ask(pool: &Rc<Pool>) {
    let (mut answer, lent) = pool.send(request()).await.expect("an answer");
    while let Some(frame) = poll_fn(|cx| Pin::new(answer.body_mut()).poll_frame(cx)).await {
        assert!(frame.is_ok());
    }
    drop(lent);
}

fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

#[test]
fn a_connection_is_used_again_once_its_answer_is_read() {
    run(async {
        let (pool, taken) = service(usize::MAX, WHOLE).await;
        for _ in 0..5 {
            ask(&pool).await;
        }
        assert_eq!((taken.get(), pool.idle.borrow().len()), (1, 1));
        tokio::join!(ask(&pool), ask(&pool));
        assert_eq!((taken.get(), pool.idle.borrow().len()), (2, 2));
    });
}

#[test]
fn one_whose_answer_is_left_unread_is_closed() {
    run(async {
        let (pool, taken) = service(usize::MAX, HALF).await;
        for asked in 1..4 {
            let (answer, lent) = pool.send(request()).await.expect("a head");
            drop((answer, lent));
            assert_eq!((taken.get(), pool.idle.borrow().len()), (asked, 0));
        }
    });
}

#[test]
fn a_request_that_meets_a_closed_connection_goes_on_another() {
    run(async {
        let (pool, taken) = service(1, WHOLE).await;
        for asked in 1..6 {
            ask(&pool).await;
            assert_eq!(taken.get(), asked);
        }
    });
}

#[test]
fn what_cannot_be_sent_comes_back_with_its_body() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let pool = Rc::new(Pool::new(listener.local_addr().expect("an address")));
        drop(listener);
        match pool.send(request()).await {
            Err(Unanswered::NotSent(back, NoConnection::Connect { address, .. })) => {
                assert_eq!((address, back.headers().len()), (pool.address, 1));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn what_is_idle_for_too_long_is_closed_the_oldest_first() {
    run(async {
        let (pool, _) = service(usize::MAX, WHOLE).await;
        tokio::join!(ask(&pool), ask(&pool));
        let now = clock::now();
        assert!(pool.close_old(now).is_some() && pool.idle.borrow().len() == 2);
        assert_eq!(pool.close_old(now + IDLE + Duration::from_secs(1)), None);
        assert!(pool.idle.borrow().is_empty() && !pool.is_watched.get());
    });
}

/// A body of which nothing has come yet, and where its pieces are put in.
async fn to_come() -> (Outgoing, mpsc::UnboundedSender<Bytes>) {
    let (pieces, mut body) = mpsc::unbounded_channel();
    let body = stream::poll_fn(move |cx| body.poll_recv(cx));
    let mut payload: Payload = Payload::Stream { payload: Box::pin(body.map(Ok)) };
    let request = TestRequest::default().to_http_request();
    let payload = web::Payload::from_request(&request, &mut payload).await.expect("it is one");
    (Outgoing::of(payload, None, u64::MAX), pieces)
}

#[test]
fn what_a_client_still_sends_arrives_while_nobody_reads_the_answer() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let pool = Rc::new(Pool::new(listener.local_addr().expect("an address")));
        let (body, pieces) = to_come().await;
        let mut request = request().map(|_| body);
        request.headers_mut().insert("transfer-encoding", hyper::header::HeaderValue::from_static("chunked"));
        let service = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.write_all(WHOLE.as_bytes()).await.expect("it is there");
            stream
        };
        let (mut stream, answer) = tokio::join!(service, pool.send(request));
        let answer = answer.expect("a head");
        for piece in ["first", "second"] {
            pieces.send(Bytes::from_static(piece.as_bytes())).expect("it is waited for");
            let mut came = Vec::new();
            while !came.ends_with(format!("{piece}\r\n").as_bytes()) {
                came.push(stream.read_u8().await.expect("it goes on"));
            }
        }
        drop((answer, pieces));
        while stream.read_u8().await.is_ok() {}
        assert!(pool.idle.borrow().is_empty());
    });
}

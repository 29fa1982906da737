//! A small HTTP server in the test's own process, in the place of an engine's.

use std::{cell::RefCell, future::Future, pin::Pin, rc::Rc};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

/// What is answered.
pub struct Reply {
    pub status: u16,
    pub kind: &'static str,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(body: &Value) -> Self {
        Self { status: 200, kind: "application/json", body: body.to_string().into() }
    }

    pub fn refused(status: u16, body: &str) -> Self {
        Self { status, kind: "application/json", body: body.as_bytes().to_vec() }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `POST /x?y`.
    pub what: String,
    pub body: Value,
}

type Handler = Rc<dyn Fn(Asked) -> Pin<Box<dyn Future<Output = Reply>>>>;

/// A server, until it is dropped.
pub struct Web {
    pub port: u16,
    /// What was asked, in its order.
    pub heard: Rc<RefCell<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Web {
    /// On this port (0: a free one). What comes by `news` is told to every websocket; it closes with its sender.
    pub async fn new<F>(
        port: u16,
        news: Option<mpsc::UnboundedReceiver<Value>>,
        handler: impl Fn(Asked) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port");
        let port = listener.local_addr().expect("an address").port();
        let heard = Rc::new(RefCell::new(Vec::new()));
        let handler: Handler = Rc::new(move |asked| Box::pin(handler(asked)));
        let (hears, news) = (Rc::clone(&heard), Rc::new(RefCell::new(news)));
        let task = actix_rt::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, hears, news) = (Rc::clone(&handler), Rc::clone(&hears), Rc::clone(&news));
                open.push(Closing(actix_rt::spawn(serve(stream, handler, hears, news))));
            }
        });
        Self { port, heard, task }
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.borrow().clone()
    }

    pub fn has_heard(&self, what: &str) -> bool {
        self.heard.borrow().iter().any(|heard| heard == what)
    }
}

/// A connection that ends with its server.
struct Closing(JoinHandle<()>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    handler: Handler,
    heard: Rc<RefCell<Vec<String>>>,
    news: Rc<RefCell<Option<mpsc::UnboundedReceiver<Value>>>>,
) {
    let mut first = [0; 7];
    while stream.peek(&mut first).await.is_ok_and(|read| read < first.len() && read > 0) {
        tokio::task::yield_now().await;
    }
    if &first == b"GET /ws" {
        let Some(mut news) = news.borrow_mut().take() else { return };
        let mut socket = accept_async(stream).await.expect("a websocket");
        heard.borrow_mut().push("GET /ws".to_owned());
        // A picture, which is nobody's news.
        socket.send(Message::binary(vec![1, 2, 3])).await.expect("sent");
        while let Some(message) = news.recv().await {
            if socket.send(Message::text(message.to_string())).await.is_err() {
                return;
            }
        }
        drop(socket.close(None).await);
        while let Some(Ok(_)) = socket.next().await {}
        return;
    }
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let mut some = [0; 4096];
        match stream.read(&mut some).await {
            Ok(count @ 1..) => read.extend_from_slice(&some[..count]),
            Ok(0) | Err(_) => return,
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    let mut body = read.split_off(head);
    while body.len() < length {
        let mut some = [0; 4096];
        match stream.read(&mut some).await {
            Ok(count @ 1..) => body.extend_from_slice(&some[..count]),
            Ok(0) | Err(_) => return,
        }
    }
    let line = String::from_utf8_lossy(&read).lines().next().unwrap_or_default().to_owned();
    let what = line.trim_end_matches(" HTTP/1.1").to_owned();
    heard.borrow_mut().push(what.clone());
    let reply = handler(Asked { what, body: serde_json::from_slice(&body).unwrap_or_default() }).await;
    let head = format!(
        "HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        reply.status,
        reply.kind,
        reply.body.len()
    );
    drop(stream.write_all(&[head.as_bytes(), &reply.body].concat()).await);
    drop(stream.shutdown().await);
}

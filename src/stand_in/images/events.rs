//! ComfyUI's WebSocket, `GET /ws?clientId=ID`: whoever listens hears how many prompts are left, and of each execution
//! what the client hears who submitted it.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::BodyStream,
    web::{Bytes, BytesMut, Payload, Query},
};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    super::{picture::PIXEL, websocket},
    SharedPainter,
};

/// Who listens.
#[derive(Debug, Default)]
pub struct Listeners(Mutex<Vec<(String, UnboundedSender<Bytes>)>>);

impl Listeners {
    /// Tells one client, or everybody.
    pub fn tell(&self, client: Option<&str>, kind: &str, data: &Value) {
        self.send(client, &websocket::text(&json!({ "type": kind, "data": data }).to_string()));
    }

    /// Shows one client, or everybody, what there is of the image (`protocol.py`, `PREVIEW_IMAGE`).
    pub fn preview(&self, client: Option<&str>) {
        let mut frame = vec![0, 0, 0, 1, 0, 0, 0, 2];
        frame.extend(PIXEL);
        self.send(client, &websocket::binary(&frame));
    }

    fn send(&self, client: Option<&str>, frame: &Bytes) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(id, to)| client.is_some_and(|client| client != id) || to.send(frame.clone()).is_ok());
    }

    fn join(&self, id: String) -> UnboundedReceiver<Bytes> {
        let (to, from) = unbounded_channel();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A client that comes again takes its place anew.
        all.retain(|(other, _)| *other != id);
        all.push((id, to));
        from
    }
}

#[derive(Debug, Deserialize)]
pub struct Client {
    #[serde(rename = "clientId", default)]
    id: String,
}

/// `GET /ws`.
pub async fn listen(
    request: HttpRequest,
    client: Query<Client>,
    painter: SharedPainter,
    payload: Payload,
) -> HttpResponse {
    let Some(mut answer) = websocket::shake_hands(&request) else { return websocket::no_handshake() };
    let comfyui = &painter.comfyui;
    let from = comfyui.listeners.join(client.id.clone());
    comfyui.tell_status();
    answer.body(BodyStream::new(told(from, payload)))
}

/// What one client hears, until it has gone. Pings are answered.
fn told(from: UnboundedReceiver<Bytes>, client: Payload) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(Some((from, client, BytesMut::new())), |state| async move {
        let (mut from, mut client, mut heard) = state?;
        loop {
            if let Some((first, body)) = websocket::take_frame(&mut heard) {
                let (answer, is_last) = websocket::answer(first, &body);
                return Some((Ok(answer), (!is_last).then_some((from, client, heard))));
            }
            tokio::select! {
                frame = from.recv() => return Some((Ok(frame?), Some((from, client, heard)))),
                bytes = client.next() => heard.extend_from_slice(&bytes?.ok()?),
            }
        }
    })
}

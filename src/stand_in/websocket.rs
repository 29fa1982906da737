//! A WebSocket that says what it is told, at `GET /ws` (RFC 6455): every message comes back as it came, a ping as a pong.
//! After the text `bye` it is the stand-in that closes.

use std::io;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::BodyStream,
    web::{self, Bytes, BytesMut, Payload, ServiceConfig},
};
use futures_util::{Stream, StreamExt, stream};

use greenroom_actors::base64;

/// What the standard has both sides add to the client's key (section 1.3).
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Adds the route.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/ws", web::get().to(echo));
}

async fn echo(request: HttpRequest, client: Payload) -> HttpResponse {
    match shake_hands(&request) {
        Some(mut answer) => answer.body(BodyStream::new(frames(client))),
        None => no_handshake(),
    }
}

/// What a request is told that asks for no WebSocket.
pub fn no_handshake() -> HttpResponse {
    HttpResponse::UpgradeRequired().insert_header(("Upgrade", "websocket")).finish()
}

/// The head of the answer by which a request becomes a WebSocket; `None` where it asks for none.
pub fn shake_hands(request: &HttpRequest) -> Option<HttpResponseBuilder> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let key = text("sec-websocket-key")?;
    let mut answer = HttpResponse::SwitchingProtocols();
    answer.upgrade("websocket").insert_header(("Sec-WebSocket-Accept", accept(key)));
    if let Some(protocol) = text("sec-websocket-protocol").and_then(|all| all.split(',').next()) {
        answer.insert_header(("Sec-WebSocket-Protocol", protocol.trim().to_owned()));
    }
    Some(answer)
}

/// A text as it is sent.
pub fn text(text: &str) -> Bytes {
    frame(0x80 | TEXT, text.as_bytes())
}

/// Bytes as they are sent.
pub fn binary(bytes: &[u8]) -> Bytes {
    frame(0x80 | BINARY, bytes)
}

/// What is said to one client, until one of the two has closed.
fn frames(client: Payload) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(Some((client, BytesMut::new())), |state| async move {
        let (mut client, mut heard) = state?;
        loop {
            if let Some((first, body)) = take_frame(&mut heard) {
                let (answer, is_last) = answer(first, &body);
                return Some((Ok(answer), (!is_last).then_some((client, heard))));
            }
            heard.extend_from_slice(&client.next().await?.ok()?);
        }
    })
}

/// What is said to a frame with this first byte (the end bit and the kind), and whether it is the last.
pub fn answer(first: u8, body: &[u8]) -> (Bytes, bool) {
    match first & 0x0f {
        PING => (frame(0x80 | PONG, body), false),
        CLOSE => (frame(first, body), true),
        TEXT if body == b"bye" => (frame(0x80 | CLOSE, &1000_u16.to_be_bytes()), true),
        _ => (frame(first, body), false),
    }
}

/// A frame as a server sends it (section 5.2).
fn frame(first: u8, body: &[u8]) -> Bytes {
    let mut bytes = vec![first];
    match body.len() {
        length @ 0..126 => bytes.push(length as u8),
        length @ 126..0x1_0000 => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(body);
    bytes.into()
}

/// The first byte and the unmasked body of the frame that `heard` begins with, once it is there as a whole.
pub fn take_frame(heard: &mut BytesMut) -> Option<(u8, Vec<u8>)> {
    let (first, second) = (*heard.first()?, *heard.get(1)?);
    let number = |bytes: Option<&[u8]>| Some(bytes?.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)));
    let (length, head) = match second & 0x7f {
        126 => (number(heard.get(2..4))?, 4),
        127 => (number(heard.get(2..10))?, 10),
        short => (u64::from(short), 2),
    };
    let is_masked = second & 0x80 != 0;
    let begin: usize = head + if is_masked { 4 } else { 0 };
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    let mask = if is_masked { heard.get(head..begin)?.to_vec() } else { vec![0; 4] };
    let body = heard.get(begin..end)?.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    drop(heard.split_to(end));
    Some((first, body))
}

/// `Sec-WebSocket-Accept` for a key (section 4.2.2).
fn accept(key: &str) -> String {
    base64::encode(&sha1(format!("{}{MAGIC}", key.trim()).as_bytes()))
}

/// FIPS 180-4, section 6.1. Not for secrets: the standard takes it to tell a WebSocket from a chance answer.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - message.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let at = padded.len() - 8;
    padded[at..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());

    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        }
        for n in 16..80 {
            words[n] = (words[n - 3] ^ words[n - 8] ^ words[n - 14] ^ words[n - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (n, word) in words.iter().enumerate() {
            let (mixed, constant) = match n {
                0..20 => (b & c | !b & d, 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = [a.rotate_left(5), mixed, e, constant, *word].into_iter().fold(0, u32::wrapping_add);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (to, word) in digest.chunks_exact_mut(4).zip(state) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered_as_the_standard_says() {
        // The standard's own example, section 1.3.
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        // Of FIPS 180: "abc", and two blocks.
        let told = |text: &str| sha1(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(told("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(told(long), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    }

    #[test]
    fn a_frame_is_taken_once_it_is_whole() {
        // "Hello", masked: section 5.7.
        let whole = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!((take_frame(&mut part), part.len()), (None, cut));
        }
        let mut all = BytesMut::from(&whole[..]);
        all.extend_from_slice(&whole[..3]);
        assert_eq!((take_frame(&mut all), all.len()), (Some((0x81, b"Hello".to_vec())), 3));
        for length in [0, 125, 126, 0xffff, 0x1_0000] {
            let body = vec![7; length];
            let mut sent = BytesMut::from(&frame(0x82, &body)[..]);
            assert_eq!(take_frame(&mut sent), Some((0x82, body)));
        }
    }
}

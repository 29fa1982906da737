//! A small WebSocket client (RFC 6455), written by hand so that the tests see the very bytes.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// The longest a test waits for bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The key of the standard's own example, and what it is answered with (section 1.3).
const KEY: (&str, &str) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

/// Kinds of frames.
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
    /// The head of the answer to the handshake.
    pub head: String,
}

impl WebSocket {
    /// Asks for one at this path, with these further headers, each with its line end.
    ///
    /// # Errors
    /// With the whole answer, where it is another one than 101.
    pub fn open(port: u16, path: &str, headers: &str) -> io::Result<Result<Self, String>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n{headers}\r\n",
            KEY.0
        )?;
        let mut head = Vec::new();
        // Byte by byte: what follows is not ours to take.
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let mut head = String::from_utf8_lossy(&head).into_owned();
        if head.starts_with("HTTP/1.1 101 ") {
            assert!(head.contains(KEY.1), "it is not this one's answer: {head}");
            return Ok(Ok(Self { stream, head }));
        }
        stream.read_to_string(&mut head)?;
        Ok(Err(head))
    }

    /// Another hand on the same one.
    pub fn second(&self) -> Self {
        Self { stream: self.stream.try_clone().expect("a descriptor"), head: String::new() }
    }

    /// Sends a frame that is a whole message.
    pub fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = vec![0x80 | kind];
        match body.len() {
            length @ 0..126 => bytes.push(0x80 | length as u8),
            length @ 126..0x1_0000 => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(MASK);
        bytes.extend(body.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&bytes)
    }

    /// The next frame, its kind and its body.
    pub fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let mut length = vec![
            0;
            match head[1] {
                126 => 2,
                127 => 8,
                _ => 0,
            }
        ];
        self.stream.read_exact(&mut length)?;
        let length = match head[1] {
            126 | 127 => length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)),
            short => usize::from(short),
        };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((head[0] & 0x0f, body))
    }

    /// Waits until the other side ends the connection; gives what it still sent.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Nothing more comes from this side.
    pub fn shut(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).ok();
    }
}

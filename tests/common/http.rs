//! A small HTTP/1.1 client over a unix socket or TCP: one request a connection, and event streams.
//!
//! Written by hand so that the tests see the very bytes: they are about what the server sends.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

/// The longest a test waits for bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where to ask.
#[derive(Debug, Clone)]
pub enum Http {
    /// A control socket.
    Unix(PathBuf),
    /// A port on this machine.
    Tcp(u16),
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }
}

/// A connection on which a request has been sent.
pub type Pending = BufReader<Box<dyn Stream>>;

pub trait Stream: Read + Write {}
impl Stream for UnixStream {}
impl Stream for TcpStream {}

impl Http {
    /// A control socket.
    pub fn unix(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> io::Result<Answer> {
        self.request("GET", path, None)
    }

    /// `POST path`, with a JSON body if one is given.
    pub fn post(&self, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.request("POST", path, body)
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.send(method, path, "", body).and_then(read_answer)
    }

    /// A request with these headers, each with its line end, and this body, as they stand.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> io::Result<Answer> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        self.say(&request).and_then(read_answer)
    }

    /// The very bytes of a request; the answer is read when somebody wants it, and the connection goes with it.
    pub fn say(&self, request: &str) -> io::Result<Pending> {
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        Ok(BufReader::new(stream))
    }

    /// `POST path` with a JSON body, whose answer is an event stream.
    pub fn post_events(&self, path: &str, body: &Value) -> io::Result<EventReader> {
        self.send("POST", path, "", Some(body)).and_then(EventReader::new)
    }

    /// Opens an event stream, after the event `last` if one is given.
    pub fn events(&self, path: &str, last: Option<&str>) -> io::Result<EventReader> {
        let extra = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        self.send("GET", path, &extra, None).and_then(EventReader::new)
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
            Self::Tcp(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
        }
    }

    fn send(&self, method: &str, path: &str, extra: &str, body: Option<&Value>) -> io::Result<Pending> {
        let mut stream = self.connect()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}{extra}Content-Length: {length}\r\n\r\n{body}"
        )?;
        stream.flush()?;
        Ok(BufReader::new(stream))
    }
}

/// The whole answer to a request that has been sent.
pub fn read_answer(mut reader: Pending) -> io::Result<Answer> {
    let (status, headers) = read_head(&mut reader)?;
    let body = read_body(&mut reader, &headers)?;
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// The body of a request that has come in, for a test that is the server.
pub fn read_request(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let head = read_lines(&mut reader)?;
    read_body(&mut reader, &head)
}

fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, String)> {
    let head = read_lines(reader)?;
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, head))
}

/// First line and headers, up to the empty line.
fn read_lines(reader: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn is_chunked(headers: &str) -> bool {
    headers.to_ascii_lowercase().contains("transfer-encoding: chunked")
}

fn read_body(reader: &mut impl BufRead, headers: &str) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if is_chunked(headers) {
        while let Some(chunk) = read_chunk(reader)? {
            body.extend(chunk);
        }
    } else if let Some(length) = content_length(headers) {
        reader.take(length).read_to_end(&mut body)?;
    } else {
        reader.read_to_end(&mut body)?;
    }
    Ok(body)
}

fn content_length(headers: &str) -> Option<u64> {
    headers.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

/// One chunk of a chunked body; `None` after the last.
fn read_chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let size = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok((size > 0).then_some(chunk))
}

/// An open event stream.
pub struct EventReader {
    pub status: u16,
    chunked: bool,
    reader: BufReader<Box<dyn Stream>>,
    buffer: Vec<u8>,
}

impl EventReader {
    fn new(mut reader: Pending) -> io::Result<Self> {
        let (status, headers) = read_head(&mut reader)?;
        Ok(Self { status, chunked: is_chunked(&headers), reader, buffer: Vec::new() })
    }

    /// How many events are still to come, up to the end.
    pub fn count(mut self) -> usize {
        std::iter::from_fn(|| self.next()).count()
    }

    /// The next event as its fields (`id`, `event`, `data`); comments are passed over. `None` at the end.
    pub fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let event = SseEvent::parse(&String::from_utf8_lossy(&block));
                if event.is_some() {
                    return event;
                }
                continue;
            }
            if !self.fill().ok()? {
                return None;
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        if self.chunked {
            let chunk = read_chunk(&mut self.reader)?;
            return Ok(chunk.map(|chunk| self.buffer.extend(chunk)).is_some());
        }
        let bytes = self.reader.fill_buf()?;
        let read = bytes.len();
        self.buffer.extend(bytes);
        self.reader.consume(read);
        Ok(read > 0)
    }
}

/// One event of a stream.
#[derive(Debug, Clone)]
pub struct SseEvent {
    pub id: String,
    pub event: String,
    pub data: Value,
}

impl SseEvent {
    fn parse(block: &str) -> Option<Self> {
        let field = |name: &str| {
            let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
        };
        let data = serde_json::from_str(&field("data")).ok()?;
        Some(Self { id: field("id"), event: field("event"), data })
    }
}

//! The `model` of a `multipart/form-data` body (RFC 7578): the field of that name, wherever it stands among files.

use memchr::memmem::Finder;

use super::{
    LONGEST,
    scan::{Progress, Spotted, Written},
};

/// Longest headers of one part. Longer ones end the search: no client sends such.
const LONGEST_HEAD: usize = 16 << 10;

/// Reads a multipart body, keeping no more of it than the part of a delimiter that it may end in.
#[derive(Debug)]
pub struct Multipart {
    /// `\r\n--boundary`, ready to be looked for.
    delimiter: Finder<'static>,
    state: State,
    /// What has come and has not been read.
    unread: Vec<u8>,
    /// Bytes of the body before `unread`, and the two that are put before its beginning, where no line end stands before
    /// the first delimiter.
    at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In something that does not matter: what comes before the first part, a file, another field.
    Other,
    /// Behind a delimiter, and then in the headers up to the empty line.
    Head,
    /// In the field.
    Name,
}

/// The line end that is put before a body.
const BEFORE: &[u8] = b"\r\n";

impl Multipart {
    /// For a body with this boundary.
    pub fn new(boundary: &str) -> Self {
        let delimiter = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        Self { delimiter, state: State::Other, unread: BEFORE.to_vec(), at: 0 }
    }

    /// Takes in what follows.
    pub fn feed(&mut self, piece: &[u8]) -> Progress {
        self.unread.extend_from_slice(piece);
        loop {
            let delimiter = self.delimiter.needle().len();
            match self.state {
                State::Other => match self.delimiter.find(&self.unread) {
                    Some(begin) => {
                        self.read(begin + delimiter);
                        self.state = State::Head;
                    }
                    None => {
                        self.read((self.unread.len() + 1).saturating_sub(delimiter));
                        return Progress::More;
                    }
                },
                State::Head => {
                    // The last delimiter is followed by two dashes.
                    if self.unread.starts_with(b"--") {
                        return Progress::Nothing;
                    }
                    // With the end of the delimiter's own line, which is all there is where a part has no headers.
                    let Some(end) = memchr::memmem::find(&self.unread, b"\r\n\r\n") else {
                        let is_too_long = self.unread.len() > LONGEST_HEAD;
                        return if is_too_long { Progress::Nothing } else { Progress::More };
                    };
                    self.state = if is_model(&self.unread[..end]) { State::Name } else { State::Other };
                    self.read(end + 4);
                }
                State::Name => {
                    return match self.delimiter.find(&self.unread) {
                        Some(end) => self.found(end),
                        None if self.unread.len() > LONGEST + delimiter => Progress::Nothing,
                        None => Progress::More,
                    };
                }
            }
        }
    }

    fn found(&self, end: usize) -> Progress {
        let begin = self.at - BEFORE.len();
        match std::str::from_utf8(&self.unread[..end]) {
            Ok(name) if end <= LONGEST => {
                Progress::Found(Spotted { name: name.to_owned(), at: begin..begin + end, written: Written::Plain })
            }
            _ => Progress::Nothing,
        }
    }

    fn read(&mut self, bytes: usize) {
        self.unread.drain(..bytes);
        self.at += bytes;
    }
}

/// The boundary among the parameters of a `Content-Type` (RFC 2046, section 5.1.1).
pub fn boundary(parameters: &str) -> Option<String> {
    let boundary = parameter(parameters, "boundary")?;
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// Whether these headers are those of the field, which is no file.
fn is_model(head: &[u8]) -> bool {
    disposition(head).is_some_and(|(name, file)| name == "model" && file.is_none())
}

/// Of the headers of a part, the name of its field and what the file is called, if it is one; `None` where it is no field.
pub fn disposition(head: &[u8]) -> Option<(String, Option<String>)> {
    let head = String::from_utf8_lossy(head);
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let (kind, parameters) = disposition?.split_once(';')?;
    let file = || parameter(parameters, "filename").or_else(|| parameter(parameters, "filename*"));
    kind.trim().eq_ignore_ascii_case("form-data").then(|| Some((parameter(parameters, "name")?, file())))?
}

/// One of `; a=b; c="d e"`.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_matches(|c: char| c == ';' || c.is_ascii_whitespace());
        let (value, after) = value(after.trim_start());
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// A value, quoted or not, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim_end().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[place + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

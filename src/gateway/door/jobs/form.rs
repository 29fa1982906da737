//! The parts of a `multipart/form-data` body (RFC 7578) that is there as a whole. Pure.

use bytes::Bytes;
use memchr::memmem::{Finder, find};

use crate::gateway::door::model::disposition;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// What the file is called, if it is one.
    pub file: Option<String>,
    /// What is in it: a piece of the body, not a copy.
    pub contents: Bytes,
}

/// The parts, in their order; those without a name are left out. `None` where the body is not whole.
#[must_use]
pub fn parts(body: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let (opening, delimiter) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let delimiter = Finder::new(&delimiter);
    // The line end before the first delimiter is missing where nothing stands before it.
    let mut at = match body.starts_with(opening.as_bytes()) {
        true => opening.len(),
        false => delimiter.find(body)? + delimiter.needle().len(),
    };
    let mut parts = Vec::new();
    loop {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        // With the end of the delimiter's own line, which is all there is where a part has no headers.
        let head = find(rest, b"\r\n\r\n")?;
        let contents = at + head + 4;
        // Nothing in it: the line end of the head is that of the next delimiter.
        let end = contents - 2 + delimiter.find(&body[contents - 2..])?;
        if let Some((name, file)) = disposition(&rest[..head]) {
            parts.push(Part { name, file, contents: body.slice(contents..end.max(contents)) });
        }
        at = end + delimiter.needle().len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Vec<(String, Option<String>, String)>> {
        let parts = parts(&Bytes::copy_from_slice(body.as_bytes()), "x y")?;
        let text = |part: Part| String::from_utf8(part.contents.to_vec()).expect("text");
        Some(parts.into_iter().map(|part| (part.name.clone(), part.file.clone(), text(part))).collect())
    }

    fn field(head: &str, body: &str) -> String {
        format!("--x y\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
    }

    fn part(name: &str, file: Option<&str>, contents: &str) -> (String, Option<String>, String) {
        (name.to_owned(), file.map(str::to_owned), contents.to_owned())
    }

    #[test]
    fn fields_and_files_are_told_apart() {
        let body = field("name=prompt", "a heron")
            + &field("name=\"image[]\"; filename=\"a \\\"b.png\"", "\r\n--x\r\n\r\nPNG\r\n")
            + &field("name=empty", "")
            + "--x y\r\n\r\nnobody's\r\n--x y--\r\nbehind";
        let expected = vec![
            part("prompt", None, "a heron"),
            part("image[]", Some("a \"b.png"), "\r\n--x\r\n\r\nPNG\r\n"),
            part("empty", None, ""),
        ];
        assert_eq!(read(&body), Some(expected.clone()));
        assert_eq!(read(&format!("a preamble\r\n{body}")), Some(expected));
        assert_eq!(read("--x y--"), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_whole_is_no_form() {
        let whole = field("name=prompt", "a heron") + "--x y--";
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
        assert!(read(&whole).is_some());
        assert_eq!(read("no form at all"), None);
    }
}

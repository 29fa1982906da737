//! The scanner for a body of whatever kind.

use std::ops::Range;

use super::{form::Form, json::Json, multipart::Multipart};

/// How far a scan has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is to be told what follows.
    More,
    /// Here it is.
    Found(Spotted),
    /// There is none, whatever follows.
    Nothing,
}

/// A model's name in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spotted {
    /// The name, with escapes undone.
    pub name: String,
    /// Where it stands: bytes from the beginning of the body, with the quotes around it where there are some.
    pub at: Range<usize>,
    /// How another name is to be written in its place.
    pub written: Written,
}

/// How names are written in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// As a JSON string.
    Json,
    /// As it is.
    Plain,
    /// Percent-encoded.
    Percent,
}

impl Written {
    /// The bytes of a name.
    #[must_use]
    pub fn write(self, name: &str) -> Vec<u8> {
        match self {
            Self::Json => serde_json::Value::from(name).to_string().into_bytes(),
            Self::Plain => name.as_bytes().to_vec(),
            Self::Percent => super::form::encode(name),
        }
    }
}

/// Looks for the name in one body.
#[derive(Debug)]
pub enum Scan {
    /// Nothing has been seen yet of a body that says to be a form. `curl -d` says so of whatever it sends, also of JSON.
    Undecided(usize),
    /// A JSON object.
    Json(Json),
    /// `multipart/form-data`.
    Multipart(Box<Multipart>),
    /// `application/x-www-form-urlencoded`.
    Form(Form),
}

impl Scan {
    /// For a body with this `Content-Type`. What is neither kind of form is tried as JSON, which shows with its first byte.
    #[must_use]
    pub fn new(content_type: Option<&str>) -> Self {
        let (kind, parameters) = content_type.map_or(("", ""), |all| all.split_once(';').unwrap_or((all, "")));
        let is = |other: &str| kind.trim().eq_ignore_ascii_case(other);
        if is("application/x-www-form-urlencoded") {
            return Self::Undecided(0);
        }
        let boundary = is("multipart/form-data").then(|| super::multipart::boundary(parameters)).flatten();
        match boundary {
            Some(boundary) => Self::Multipart(Box::new(Multipart::new(&boundary))),
            None => Self::Json(Json::default()),
        }
    }

    /// Takes in what follows. Not to be told more once it is not [`Progress::More`].
    pub fn feed(&mut self, piece: &[u8]) -> Progress {
        match self {
            Self::Undecided(blank) => {
                let Some(begin) = piece.iter().position(|byte| !byte.is_ascii_whitespace()) else {
                    *blank += piece.len();
                    return Progress::More;
                };
                let at = *blank + begin;
                *self = if piece[begin] == b'{' { Self::Json(Json::at(at)) } else { Self::Form(Form::at(at)) };
                self.feed(&piece[begin..])
            }
            Self::Json(json) => json.feed(piece),
            Self::Multipart(multipart) => multipart.feed(piece),
            Self::Form(form) => form.feed(piece),
        }
    }

    /// Whether it reads JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self, Self::Json(_))
    }

    /// What there is once nothing follows.
    #[must_use]
    pub fn finish(self) -> Option<Spotted> {
        match self {
            Self::Form(form) => form.finish(),
            Self::Undecided(_) | Self::Json(_) | Self::Multipart(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;

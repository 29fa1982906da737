//! How an event stream ends that its service has not brought to an end. Pure.
//!
//! Whoever reads events is told by one more of them, in the shape that its library knows as an error. Nothing that was
//! sent can be taken back: a half-sent event is ended first, so that the error is one of its own.

use serde_json::{Value, json};

use crate::gateway::errors::ApiError;

/// Bytes that are remembered: enough for what stands at the end of a whole stream, with its line ends.
const REMEMBERED: usize = 32;

/// How a family of clients takes an error in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As `openai` does: an event without a name whose data has `error`.
    OpenAi,
    /// As `anthropic` does: an event `error` whose data has `type` and `error`.
    Anthropic,
}

impl Dialect {
    /// The one of whoever asks for this path of a service.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or(path);
        let is_messages =
            path.strip_prefix("/v1/messages").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_messages { Self::Anthropic } else { Self::OpenAi }
    }

    /// A whole event that tells this error.
    #[must_use]
    pub fn event(self, error: &ApiError) -> String {
        let mut body = error.body();
        match self {
            Self::OpenAi => format!("data: {body}\n\n"),
            Self::Anthropic => {
                // Theirs are the names of all kinds but this one.
                if body["error"]["type"] == "server_error" {
                    body["error"]["type"] = Value::from("api_error");
                }
                let told = json!({ "type": "error", "error": body["error"], "src": body["src"] });
                format!("event: error\ndata: {told}\n\n")
            }
        }
    }
}

/// The last bytes of an event stream.
#[derive(Debug, Default)]
pub struct Tail {
    bytes: [u8; REMEMBERED],
    len: usize,
}

impl Tail {
    /// This has been sent.
    pub fn saw(&mut self, piece: &[u8]) {
        let new = &piece[piece.len().saturating_sub(REMEMBERED)..];
        let kept = self.len.min(REMEMBERED - new.len());
        self.bytes.copy_within(self.len - kept..self.len, 0);
        self.bytes[kept..kept + new.len()].copy_from_slice(new);
        self.len = kept + new.len();
    }

    fn sent(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether no event is half-sent.
    #[must_use]
    pub fn is_between(&self) -> bool {
        let ends = |end: &[u8]| self.sent().ends_with(end);
        self.len == 0 || ends(b"\n\n") || ends(b"\r\n\r\n") || ends(b"\r\r")
    }

    /// Whether the last event that was sent says that there are no more, so that nothing is missing.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let said = self.sent().trim_ascii_end();
        said.ends_with(b"data: [DONE]") || said.ends_with(b"data:[DONE]") || said.ends_with(br#""message_stop"}"#)
    }

    /// What ends a half-sent event. After a CR the first of the two may still belong to its line.
    #[must_use]
    pub fn gap(&self) -> &'static str {
        match self.sent() {
            _ if self.is_between() => "",
            [.., b'\n'] => "\n",
            _ => "\n\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use proptest::prelude::*;

    use super::*;

    /// The events in a stream, as the standard reads them (WHATWG HTML, 9.2.6): name and data of each.
    fn events(stream: &str) -> Vec<(String, String)> {
        let text = stream.replace("\r\n", "\n").replace('\r', "\n");
        let (mut all, mut name, mut data) = (Vec::new(), String::new(), Vec::new());
        // What follows the last line end is no line.
        let lines: Vec<&str> = text.split('\n').collect();
        for line in &lines[..lines.len() - 1] {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match (line.is_empty(), field) {
                (true, _) => {
                    if !data.is_empty() {
                        all.push((name.clone(), data.join("\n")));
                    }
                    name.clear();
                    data.clear();
                }
                (false, "event") => value.clone_into(&mut name),
                (false, "data") => data.push(value.to_owned()),
                (false, _) => {}
            }
        }
        all
    }

    fn error() -> ApiError {
        ApiError::new(StatusCode::BAD_GATEWAY, "upstream_closed", "it is\ngone")
    }

    #[test]
    fn each_dialect_tells_the_error_as_its_clients_read_it() {
        let told = |dialect: Dialect| {
            let all = events(&dialect.event(&error()));
            let [(name, data)] = &all[..] else { panic!("one event: {all:?}") };
            (name.clone(), serde_json::from_str::<Value>(data).expect("JSON"))
        };
        let (name, data) = told(Dialect::OpenAi);
        assert_eq!(
            (name.as_str(), &data["error"]["code"], &data["src"]),
            ("", &json!("upstream_closed"), &json!("greenroom"))
        );
        assert_eq!(data["error"]["message"], "it is\ngone");
        let (name, data) = told(Dialect::Anthropic);
        assert_eq!(
            (name.as_str(), &data["type"], &data["error"]["type"]),
            ("error", &json!("error"), &json!("api_error"))
        );
    }

    #[test]
    fn the_path_tells_the_dialect() {
        for path in ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens"] {
            assert_eq!(Dialect::of(path), Dialect::Anthropic, "{path}");
        }
        for path in ["/v1/chat/completions", "/", "/v1/messagesx", "/x?/v1/messages"] {
            assert_eq!(Dialect::of(path), Dialect::OpenAi, "{path}");
        }
    }

    #[test]
    fn a_stream_that_has_said_so_is_over() {
        let is_over = |text: &str| {
            let mut tail = Tail::default();
            tail.saw(text.as_bytes());
            tail.is_over()
        };
        for over in [
            "data: {}\n\ndata: [DONE]\n\n",
            "data: [DONE]\r\n",
            "data:[DONE]\n\n",
            "data: {\"type\":\"message_stop\"}\n\n",
        ] {
            assert!(is_over(over), "{over:?}");
        }
        for open in ["", "\n\n", "data: {\"content\":\"[DONE]\"}\n\n", "data: [DON"] {
            assert!(!is_over(open), "{open:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Wherever it breaks off, and however it came: what was whole stays, and the error is an event of its own.
        #[test]
        fn the_error_is_always_an_event_of_its_own(
            texts in prop::collection::vec("[a-z]{0,40}", 0..5),
            line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cut in 0_usize..200,
            pieces in prop::collection::vec(1_usize..60, 1..200),
        ) {
            let whole: String = texts.iter().map(|text| format!("data: {{{text}}}{line_end}{line_end}")).collect();
            let sent = &whole[..cut.min(whole.len())];
            let (mut tail, mut rest) = (Tail::default(), sent.as_bytes());
            for length in pieces.into_iter().cycle() {
                if rest.is_empty() { break }
                let (piece, after) = rest.split_at(length.min(rest.len()));
                tail.saw(piece);
                rest = after;
            }
            let told = format!("{sent}{}{}", tail.gap(), Dialect::OpenAi.event(&error()));
            let all = events(&told);
            let (last, before) = all.split_last().expect("the error");
            prop_assert!(last.1.starts_with("{\"error\""), "{}", told);
            let were_whole = events(sent);
            prop_assert_eq!(&before[..were_whole.len()], &were_whole[..]);
            prop_assert!(before.len() <= were_whole.len() + 1);
            let follows = told[sent.len()..].starts_with("data: ");
            prop_assert_eq!(follows, tail.is_between());
        }
    }
}

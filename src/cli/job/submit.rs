//! Sends a job: as JSON, or, with files, as a form whose files are read piece by piece.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use greenroom_actors::job::JobId;
use serde_json::{Map, Value, json};

use super::args::{Param, ParamValue, SubmitArgs};
use crate::cli::{
    client::{Client, ClientError, Content},
    failure::Failure,
};

/// Bytes of a file that are read at once.
const BLOCK: usize = 64 * 1024;

/// What is sent for a job.
///
/// # Errors
/// When a parameter is given twice, or a file cannot be read.
pub fn content(args: &SubmitArgs) -> Result<Content, Failure> {
    let mut params = Map::new();
    let mut files: Vec<(&str, &Path)> = Vec::new();
    for Param { name, value } in &args.params {
        if params.contains_key(name) || files.iter().any(|(file, _)| file == name) {
            return Err(Failure::Option { option: "--param", why: format!("`{name}` is there twice") });
        }
        match value {
            ParamValue::Text(text) => drop(params.insert(name.clone(), text.clone().into())),
            ParamValue::File(path) => files.push((name, path)),
        }
    }
    if files.is_empty() {
        return Ok(Content::json(&json!({ "job": args.job, "params": params, "priority": args.priority })));
    }
    // No file begins a line with as much chance as this.
    let boundary = format!("greenroom-{}", JobId::fresh());
    let texts = [
        ("job", args.job.clone()),
        ("priority", args.priority.to_string()),
        ("params", Value::from(params).to_string()),
    ];
    let head = texts.iter().map(|(name, text)| part(&boundary, name, None) + text + "\r\n").collect::<String>();
    let mut parts = vec![Part::Text(head)];
    for (name, path) in files {
        let refuse = |source| Failure::Io { operation: "read", path: path.to_owned(), source };
        // Looked at first: opening a pipe that nobody writes to would last for ever.
        if !fs::metadata(path).map_err(refuse)?.is_file() {
            return Err(refuse(io::Error::other("it is no file")));
        }
        let file = File::open(path).map_err(refuse)?;
        let called = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        parts.extend([
            Part::Text(part(&boundary, name, Some(&called))),
            Part::File(file),
            Part::Text("\r\n".to_owned()),
        ]);
    }
    parts.push(Part::Text(format!("--{boundary}--\r\n")));
    let kind = format!("multipart/form-data; boundary={boundary}");
    Ok(Content::streamed(kind, stream::iter(parts).flat_map(Part::pieces)))
}

/// Sends it; gives the job as it came.
///
/// # Errors
/// When it is not accepted.
pub async fn send(client: &Client, content: Content) -> Result<Value, ClientError> {
    client.send_content("/api/jobs", content).await
}

/// A piece of a form.
enum Part {
    Text(String),
    File(File),
}

impl Part {
    fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::try_unfold(self, |part| async move {
            let mut file = match part {
                Self::Text(text) if text.is_empty() => return Ok(None),
                Self::Text(text) => return Ok(Some((text.into(), Self::Text(String::new())))),
                Self::File(file) => file,
            };
            let mut block = vec![0; BLOCK];
            let n = file.read(&mut block)?;
            block.truncate(n);
            Ok((n > 0).then(|| (block.into(), Self::File(file))))
        })
        .boxed()
    }
}

/// The head of a field (RFC 7578), with its file's name where it is a file.
fn part(boundary: &str, name: &str, file: Option<&str>) -> String {
    let file = file.map(|file| format!("; filename=\"{}\"\r\nContent-Type: application/octet-stream", quoted(file)));
    let file = file.unwrap_or_default();
    format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"{file}\r\n\r\n", quoted(name))
}

/// As browsers write it (<https://html.spec.whatwg.org/#multipart-form-data>).
fn quoted(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::job::args::Then;

    fn args(params: Vec<Param>) -> SubmitArgs {
        SubmitArgs { job: "image".to_owned(), params, priority: 3, then: Then { wait: false, output: None } }
    }

    fn text(name: &str, value: &str) -> Param {
        Param { name: name.to_owned(), value: ParamValue::Text(value.to_owned()) }
    }

    async fn sent(content: Content) -> (String, String) {
        let Content { kind, body } = content;
        let bytes = http_body_util::BodyExt::collect(body).await.expect("it is read").to_bytes();
        (kind, String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn without_files_it_is_json() {
        let (kind, body) = sent(content(&args(vec![text("prompt", "a \"heron\"")])).expect("sound")).await;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(kind, "application/json");
        assert_eq!(body, json!({ "job": "image", "params": { "prompt": "a \"heron\"" }, "priority": 3 }));
    }

    #[tokio::test]
    async fn files_go_along_in_a_form() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a \"b\".png");
        std::fs::write(&path, vec![b'x'; BLOCK + 1]).expect("written");
        let file = Param { name: "init".to_owned(), value: ParamValue::File(path) };
        let (kind, body) = sent(content(&args(vec![text("prompt", "heron"), file])).expect("sound")).await;
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form");
        let field = |head: &str, contents: &str| {
            format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{contents}\r\n")
        };
        let wanted = [
            field("name=\"job\"", "image"),
            field("name=\"priority\"", "3"),
            field("name=\"params\"", "{\"prompt\":\"heron\"}"),
            field(
                "name=\"init\"; filename=\"a %22b%22.png\"\r\nContent-Type: application/octet-stream",
                &"x".repeat(BLOCK + 1),
            ),
            format!("--{boundary}--\r\n"),
        ];
        assert_eq!(body, wanted.concat());
    }

    #[test]
    fn a_parameter_that_is_there_twice_and_a_file_that_is_none_are_refused() {
        let twice = content(&args(vec![text("a", "1"), text("a", "2")]));
        assert!(matches!(twice, Err(Failure::Option { option: "--param", .. })));
        for path in ["/nowhere/at/all", "/"] {
            let file = Param { name: "a".to_owned(), value: ParamValue::File(path.into()) };
            assert!(matches!(content(&args(vec![file])), Err(Failure::Io { .. })), "{path}");
        }
    }
}

//! Puts what a service has answered into the output folder of the job.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use actix_rt::task::spawn_blocking;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{fs::File, io::AsyncWriteExt};

use super::{
    found::{extension, extension_of, take_images},
    wire::{Answer, LONGEST_ANSWER, WireError},
};
use crate::job::JobResult;

/// The most JSON that is kept in the database; more becomes a file.
const LONGEST_JSON: usize = 1 << 20;
/// What JSON is called that is too long.
const JSON_FILE: &str = "answer.json";

/// Why an answer is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// It did not come as a whole.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It could not be written.
    #[error("what it answered cannot be written to {}", .folder.display())]
    Disk {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads a good answer, and keeps it.
pub(super) async fn keep(answer: Answer, folder: PathBuf) -> Result<JobResult, KeepError> {
    let disk = |source| KeepError::Disk { folder: folder.clone(), source };
    if answer.is_json() {
        let body = answer.whole(LONGEST_ANSWER).await?;
        let to = folder.clone();
        return in_background(move || keep_json(&body, &to)).await.map_err(disk);
    }
    keep_as_file(answer, &folder, "output")
        .await
        .map(|name| JobResult { files: name.into_iter().collect(), json: None })
}

/// Writes a body to a file of this name and the extension that belongs to it; none for a body that is empty.
pub(super) async fn keep_as_file(mut answer: Answer, folder: &Path, stem: &str) -> Result<Option<String>, KeepError> {
    let disk = |source| KeepError::Disk { folder: folder.to_owned(), source };
    let (mut file, mut length): (Option<(String, File)>, usize) = (None, 0);
    let kind = answer.content_type.clone();
    while let Some(piece) = answer.piece().await {
        let piece = piece?;
        length += piece.len();
        if length > LONGEST_ANSWER {
            return Err(WireError::TooLong(LONGEST_ANSWER).into());
        }
        let (_, open) = match &mut file {
            Some(open) => open,
            None => {
                let name = named(stem, &piece, kind.as_deref());
                file.insert((name.clone(), create(folder, &name).await.map_err(disk)?))
            }
        };
        open.write_all(&piece).await.map_err(disk)?;
    }
    let Some((name, mut file)) = file else { return Ok(None) };
    file.flush().await.map_err(disk)?;
    Ok(Some(name))
}

/// A name that has an extension keeps it.
fn named(stem: &str, first: &Bytes, kind: Option<&str>) -> String {
    match Path::new(stem).extension() {
        Some(_) => stem.to_owned(),
        None => format!("{stem}.{}", extension(first).unwrap_or_else(|| extension_of(kind))),
    }
}

async fn create(folder: &Path, name: &str) -> io::Result<File> {
    tokio::fs::create_dir_all(folder).await?;
    File::create(folder.join(name)).await
}

/// Images become files; what is left is kept as it is, or becomes a file as well.
fn keep_json(body: &[u8], folder: &Path) -> io::Result<JobResult> {
    fs::create_dir_all(folder)?;
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else {
        fs::write(folder.join("output.txt"), body)?;
        return Ok(JobResult { files: vec!["output.txt".to_owned()], json: None });
    };
    let mut files = Vec::new();
    for image in take_images(&mut json) {
        fs::write(folder.join(&image.name), &image.bytes)?;
        files.push(image.name);
    }
    bounded(files, json, folder)
}

/// A result whose JSON is short enough, which may cost another file.
pub(super) fn bounded(mut files: Vec<String>, json: Value, folder: &Path) -> io::Result<JobResult> {
    let text = serde_json::to_vec(&json).map_err(io::Error::other)?;
    if text.len() <= LONGEST_JSON {
        return Ok(JobResult { files, json: Some(json) });
    }
    fs::write(folder.join(JSON_FILE), &text)?;
    files.push(JSON_FILE.to_owned());
    let note = format!("the answer has {} bytes of JSON, which are in {JSON_FILE}", text.len());
    Ok(JobResult { files, json: Some(json!({ "note": note })) })
}

/// Work that blocks, off this thread.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::{HeaderMap, header};

    use super::*;
    use crate::{base64, job_queue::runner::request::Trouble};

    fn answer(kind: &'static str, body: &[u8]) -> Answer {
        let kind = (header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
        Answer::new(200, &HeaderMap::from_iter([kind]), Full::new(Bytes::copy_from_slice(body)))
    }

    #[actix_rt::test]
    async fn images_become_files_and_the_rest_stays_json() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("output");
        let png = b"\x89PNG and so on";
        let body = json!({ "images": [base64::encode(png)], "info": 7 }).to_string();
        let kept = keep(answer("application/json", body.as_bytes()), folder.clone()).await.expect("kept");
        assert_eq!(kept.files, ["image-1.png"]);
        assert_eq!(kept.json, Some(json!({ "images": ["image-1.png"], "info": 7 })));
        assert_eq!(fs::read(folder.join("image-1.png")).expect("a file"), png);
    }

    #[actix_rt::test]
    async fn anything_else_becomes_one_file_and_nothing_none() {
        let dir = tempfile::tempdir().expect("a folder");
        for (kind, body, expected) in [
            ("image/png; x=y", &b"\x89PNG"[..], Some("output.png")),
            ("application/octet-stream", b"\xff\xd8\xff", Some("output.jpg")),
            ("audio/mpeg", b"ID3", Some("output.mp3")),
            ("text/plain", b"", None),
            ("application/json", b"no json", Some("output.txt")),
        ] {
            let kept = keep(answer(kind, body), dir.path().to_owned()).await.expect("kept");
            assert_eq!((kept.files.first().map(String::as_str), kept.json), (expected, None), "{kind}");
            if let Some(name) = expected {
                assert_eq!(fs::read(dir.path().join(name)).expect("a file"), body);
            }
        }
    }

    #[actix_rt::test]
    async fn a_place_that_is_no_folder_is_named_with_its_cause_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("written");
        for kind in ["application/json", "image/png"] {
            let Trouble::NotKept(told) = keep(answer(kind, b"{}"), file.clone()).await.expect_err("no folder").into()
            else {
                panic!("another trouble")
            };
            assert!(told.starts_with(&format!("what it answered cannot be written to {}: ", file.display())), "{told}");
            assert_eq!(told.matches("os error").count(), 1, "{told}");
        }
    }

    #[actix_rt::test]
    async fn json_that_is_too_long_for_the_database_is_a_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let body = json!({ "text": "x".repeat(LONGEST_JSON) }).to_string();
        let kept = keep(answer("application/json", body.as_bytes()), dir.path().to_owned()).await.expect("kept");
        assert_eq!(kept.files, [JSON_FILE]);
        let note = kept.json.expect("a note")["note"].as_str().map(str::to_owned).expect("a text");
        assert!(note.contains(&body.len().to_string()), "{note}");
        assert_eq!(fs::read_to_string(dir.path().join(JSON_FILE)).expect("a file"), body);
    }
}

//! A submission as `multipart/form-data` (RFC 7578): files go to the disk piece by piece.
//!
//! The fields `job`, `priority` and `params` (a JSON object) are those of the submission. Any other one is a parameter of
//! that name: a file where it has a file's name, else a text.

use std::path::PathBuf;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{error::PayloadError, http::header::HeaderMap};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use greenroom_actors::job_queue::messages::{Contents, JobSpec, Upload};
use tokio::{fs::File, io::AsyncWriteExt};

use super::{refusals::too_large, submission::not_received, written};
use crate::{gateway::errors::ApiError, runtime::uploads::UploadFolder};

/// Fields of one form, files among them.
const MOST_FIELDS: usize = 1024;
/// Bytes of a field that is no file: as many as all parameters of a job may have together, and some more.
const LONGEST_TEXT: usize = 2 << 20;

/// Reads it. The files lie in `uploads`, which is made when the first one comes.
///
/// # Errors
/// 400 for what is no form, or says something twice; 413 past `most` bytes; 503 where the disk refuses.
pub async fn read(
    headers: &HeaderMap,
    body: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
    uploads: &UploadFolder,
    most: u64,
) -> Result<JobSpec, ApiError> {
    let mut form = Multipart::new(headers, body);
    let (mut spec, mut job, mut count) = (JobSpec::default(), None, 0);
    while let Some(mut field) = form.try_next().await.map_err(|error| refuse(&error, most))? {
        count += 1;
        if count > MOST_FIELDS {
            return Err(ApiError::bad_param("body", format!("a form may have {MOST_FIELDS} fields")));
        }
        let Some(name) = field.name().map(str::to_owned) else {
            return Err(ApiError::bad_param("body", "a field of the form has no name"));
        };
        let file = field.content_disposition().and_then(|how| how.get_filename()).map(str::to_owned);
        if let Some(file) = file {
            if written::has(&spec, &name) {
                return Err(written::twice(&name));
            }
            uploads.make().map_err(|error| not_received(&error))?;
            let path = uploads.place(count);
            store(&mut field, path.clone(), most).await?;
            spec.files.push(Upload { param: name, name: file, contents: Contents::Moved(path) });
            continue;
        }
        let value = text(&mut field, &name, most).await?;
        match name.as_str() {
            "job" if job.is_none() => job = Some(value),
            "priority" => spec.priority = priority(&value)?,
            "params" => {
                let params = serde_json::from_str(&value);
                written::add(&mut spec, params.map_err(|error| ApiError::bad_param("params", error.to_string()))?)?;
            }
            _ if name == "job" || written::has(&spec, &name) => return Err(written::twice(&name)),
            _ => drop(spec.params.insert(name, value.into())),
        }
    }
    spec.job = job.ok_or_else(|| ApiError::bad_param("job", "the form has no field `job`"))?;
    Ok(spec)
}

fn priority(text: &str) -> Result<i32, ApiError> {
    text.trim()
        .parse()
        .map_err(|_| ApiError::bad_param("priority", format!("`{text}` is no whole number that fits here")))
}

/// The contents of a field that is no file.
async fn text(field: &mut Field, name: &str, most: u64) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.try_next().await.map_err(|error| refuse(&error, most))? {
        if bytes.len() + piece.len() > LONGEST_TEXT {
            return Err(ApiError::bad_param("params", format!("`{name}` is too long for a text; send it as a file")));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| ApiError::bad_param("params", format!("`{name}` is no text in UTF-8")))
}

/// Writes the contents of a field to a file, so that they are on the disk.
async fn store(field: &mut Field, path: PathBuf, most: u64) -> Result<(), ApiError> {
    let mut file = File::create_new(path).await.map_err(|error| not_received(&error))?;
    while let Some(piece) = field.try_next().await.map_err(|error| refuse(&error, most))? {
        file.write_all(&piece).await.map_err(|error| not_received(&error))?;
    }
    file.flush().await.map_err(|error| not_received(&error))?;
    file.sync_all().await.map_err(|error| not_received(&error))
}

fn refuse(error: &MultipartError, most: u64) -> ApiError {
    match error {
        MultipartError::Payload(PayloadError::Overflow) => too_large(most),
        other => ApiError::bad_param("body", format!("the form cannot be read: {other}")),
    }
}

//! Reads what is sent for a job: JSON, or a form with files. No more is read than a body may have.

use std::io;

use actix_web::{
    HttpMessage, HttpRequest,
    error::PayloadError,
    http::{StatusCode, header::CONTENT_LENGTH},
    web::Payload,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use greenroom_actors::job_queue::messages::JobSpec;

use super::{form, refusals::too_large, written};
use crate::{gateway::errors::ApiError, runtime::uploads::UploadFolder};

/// Reads it. Files lie in `uploads` until somebody moves them away.
///
/// # Errors
/// 400 for what cannot be read, 413 past `most` bytes, 503 where the disk refuses.
pub async fn read(
    request: &HttpRequest,
    body: Payload,
    uploads: &UploadFolder,
    most: u64,
) -> Result<JobSpec, ApiError> {
    let told = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let body = bounded(body, most);
    if request.content_type().eq_ignore_ascii_case("multipart/form-data") {
        return form::read(request.headers(), body, uploads, most).await;
    }
    written::read(&whole(body, most).await?)
}

/// The same, which ends with [`PayloadError::Overflow`] past so many bytes.
fn bounded(
    body: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
    most: u64,
) -> impl Stream<Item = Result<Bytes, PayloadError>> + 'static {
    let mut taken: u64 = 0;
    body.map(move |piece| {
        let piece = piece?;
        taken = taken.saturating_add(piece.len() as u64);
        if taken > most { Err(PayloadError::Overflow) } else { Ok(piece) }
    })
}

async fn whole(body: impl Stream<Item = Result<Bytes, PayloadError>>, most: u64) -> Result<Vec<u8>, ApiError> {
    let read = body.try_fold(Vec::new(), |mut bytes, piece| async move {
        bytes.extend_from_slice(&piece);
        Ok(bytes)
    });
    read.await.map_err(|error| match error {
        PayloadError::Overflow => too_large(most),
        other => ApiError::bad_param("body", format!("it cannot be read: {other}")),
    })
}

/// 503: what came in could not be kept.
pub(super) fn not_received(error: &io::Error) -> ApiError {
    let message = format!("the job is not accepted, since its files cannot be written: {error}");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_written", message)
}

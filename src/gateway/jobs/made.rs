//! Sends a file that a job has made, or the part of it that is asked for.

use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use actix_web::{
    HttpResponse, ResponseError,
    body::SizedStream,
    http::{
        StatusCode,
        header::{
            ACCEPT_RANGES, Charset, ContentDisposition, ContentRange, ContentRangeSpec, DispositionParam,
            DispositionType, ExtendedValue, HeaderMap, IF_RANGE, RANGE, TryIntoHeaderPair, X_CONTENT_TYPE_OPTIONS,
        },
    },
};
use bytes::Bytes;
use futures_util::{Stream, stream};

use super::range::Part;
use crate::{
    gateway::{control::Answer, errors::ApiError},
    runtime::job_files::MadeFile,
};

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// The answer with this file, which is sent on block by block: 200 with all of it, 206 with the range that the headers of the
/// request ask for, 416 where the file has none of it.
///
/// # Errors
/// When the file cannot be read from there.
pub fn answer(mut made: MadeFile, name: &str, headers: &HeaderMap) -> Answer {
    let (size, kind) = (made.size, kind(name));
    let (mut response, from, count) = match asked(headers, size) {
        Part::Whole => (HttpResponse::Ok(), 0, size),
        Part::Bytes { from, count } => {
            let mut response = HttpResponse::PartialContent();
            response.insert_header(content_range(Some((from, from + count - 1)), size));
            (response, from, count)
        }
        Part::None => return Ok(not_satisfiable(size)),
    };
    made.file.seek(SeekFrom::Start(from)).map_err(|error| unreadable(&error))?;
    let body = SizedStream::new(count, Box::pin(blocks(made.file.take(count))));
    Ok(response
        .content_type(kind)
        .insert_header((ACCEPT_RANGES, "bytes"))
        // What is no picture, sound or film is not to be shown as if it were a page of this gateway.
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(disposition(name, kind))
        .body(body))
}

/// What the headers of a request ask for of a file of this size.
fn asked(headers: &HeaderMap, size: u64) -> Part {
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    // No file is told with a mark by which a client could know it again, so none that comes with a range is that of this one.
    let range = range.filter(|_| !headers.contains_key(IF_RANGE));
    range.map_or(Part::Whole, |range| Part::of(range, size))
}

fn content_range(range: Option<(u64, u64)>, size: u64) -> impl TryIntoHeaderPair {
    ContentRange(ContentRangeSpec::Bytes { range, instance_length: Some(size) })
}

/// 416, with the size that the file has.
fn not_satisfiable(size: u64) -> HttpResponse {
    let message = format!("the file has {size} bytes, and none of them is in that range");
    let refused = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message);
    let mut answer = refused.error_response();
    if let Ok((name, value)) = content_range(None, size).try_into_pair() {
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn unreadable(error: &io::Error) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "output_unreadable", format!("the file cannot be read: {error}"))
}

/// All that is read, block by block.
fn blocks(part: impl Read) -> impl Stream<Item = io::Result<Bytes>> {
    // Read in place: what was made a moment ago lies in the page cache.
    stream::try_unfold(part, |mut part| async move {
        let mut block = vec![0; BLOCK];
        let n = part.read(&mut block)?;
        block.truncate(n);
        Ok((n > 0).then(|| (block.into(), part)))
    })
}

/// What a file is, by its name.
fn kind(name: &str) -> &'static str {
    let extension = Path::new(name).extension().and_then(|text| text.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "avif" => "image/avif",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "ogg" | "opus" => "audio/ogg",
        "json" => "application/json",
        "tar" => "application/x-tar",
        "txt" | "log" | "srt" | "vtt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn disposition(name: &str, kind: &str) -> ContentDisposition {
    let is_shown = ["image/", "video/", "audio/"].iter().any(|shown| kind.starts_with(shown));
    let last = name.rsplit('/').next().unwrap_or(name);
    let plain: String = last.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' }).collect();
    let mut parameters = vec![DispositionParam::Filename(plain.clone())];
    if plain != last {
        let value = last.as_bytes().to_vec();
        let charset = Charset::Ext("UTF-8".to_owned());
        parameters.push(DispositionParam::FilenameExt(ExtendedValue { charset, language_tag: None, value }));
    }
    let disposition = if is_shown { DispositionType::Inline } else { DispositionType::Attachment };
    ContentDisposition { disposition, parameters }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_shown_and_what_could_be_a_page_is_not() {
        let told = |name: &str| (kind(name), disposition(name, kind(name)).to_string());
        assert_eq!(told("a/out.PNG"), ("image/png", "inline; filename=\"out.PNG\"".to_owned()));
        assert_eq!(told("page.html"), ("application/octet-stream", "attachment; filename=\"page.html\"".to_owned()));
        assert_eq!(told("x.svg").0, "application/octet-stream");
        let (_, named) = told("r\u{e9}sum\u{e9}\n.png");
        assert_eq!(named, "inline; filename=\"r_sum__.png\"; filename*=UTF-8''r%C3%A9sum%C3%A9%0A.png");
    }
}

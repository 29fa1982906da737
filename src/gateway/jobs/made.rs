//! Sends a file that a job has made.

use std::{
    io::{self, Read},
    path::Path,
};

use actix_web::{
    HttpResponse,
    body::SizedStream,
    http::header::{
        Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue, X_CONTENT_TYPE_OPTIONS,
    },
};
use bytes::Bytes;
use futures_util::{Stream, stream};

use crate::runtime::job_files::MadeFile;

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// The answer with this file, which is sent on block by block.
pub fn answer(made: MadeFile, name: &str) -> HttpResponse {
    let kind = kind(name);
    HttpResponse::Ok()
        .content_type(kind)
        // What is no picture, sound or film is not to be shown as if it were a page of this gateway.
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(disposition(name, kind))
        .body(SizedStream::new(made.size, Box::pin(blocks(made))))
}

/// As many bytes as it had when it was opened.
fn blocks(made: MadeFile) -> impl Stream<Item = io::Result<Bytes>> {
    // Read in place: what was made a moment ago lies in the page cache.
    stream::try_unfold(made.file.take(made.size), |mut file| async move {
        let mut block = vec![0; BLOCK];
        let n = file.read(&mut block)?;
        block.truncate(n);
        Ok((n > 0).then(|| (block.into(), file)))
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

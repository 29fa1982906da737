//! Images that stand in a JSON answer, taken out of it. Pure.
//!
//! A1111 and what speaks like it answers `{"images": [BASE64, ..]}` (`modules/api/models.py`), OpenAI's images
//! `{"data": [{"b64_json": BASE64}, ..]}`; either may be a `data:` URI.

use serde_json::Value;

use crate::base64;

/// An image that was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What its file is called: `image-1.png`.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The members of an answer that hold images: lists of texts, or of objects with such a text.
const LISTS: [&str; 2] = ["images", "data"];
/// Where the text stands in such an object.
const FIELDS: [&str; 2] = ["b64_json", "image"];

/// Takes the images out of an answer; their names stand there instead.
pub fn take_images(answer: &mut Value) -> Vec<Image> {
    let mut images = Vec::new();
    for list in LISTS {
        let Some(Value::Array(items)) = answer.get_mut(list) else { continue };
        for item in items {
            let place = match item {
                Value::Object(fields) => {
                    FIELDS.into_iter().find(|field| fields.get(*field).is_some_and(Value::is_string))
                }
                text => {
                    take(text, &mut images);
                    continue;
                }
            };
            if let Some(text) = place.and_then(|field| item.get_mut(field)) {
                take(text, &mut images);
            }
        }
    }
    images
}

fn take(place: &mut Value, images: &mut Vec<Image>) {
    let Some(bytes) = place.as_str().and_then(image) else { return };
    let name = format!("image-{}.{}", images.len() + 1, extension(&bytes).unwrap_or("bin"));
    *place = Value::String(name.clone());
    images.push(Image { name, bytes });
}

/// The bytes of an image in base64. Any other text that happens to be base64 is not taken for one, but for what says of
/// itself in a `data:` URI that it is.
fn image(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("data:") {
        Some(uri) => base64::decode(uri.split_once(";base64,")?.1),
        None => base64::decode(text).filter(|bytes| extension(bytes).is_some()),
    }
}

/// What a file with these first bytes is called at its end.
#[must_use]
pub fn extension(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [0xff, 0xd8, 0xff, ..] => Some("jpg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some("wav"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("mp4"),
        _ => None,
    }
}

/// What a file of this content type is called at its end, where its first bytes do not tell.
#[must_use]
pub fn extension_of(content_type: Option<&str>) -> &'static str {
    match content_type {
        Some("image/png") => "png",
        Some("image/jpeg") => "jpg",
        Some("image/webp") => "webp",
        Some("image/gif") => "gif",
        Some("audio/wav" | "audio/x-wav") => "wav",
        Some("audio/mpeg") => "mp3",
        Some("audio/flac") => "flac",
        Some("audio/ogg") => "ogg",
        Some("video/mp4") => "mp4",
        Some("application/json") => "json",
        Some("application/zip") => "zip",
        Some("text/event-stream") => "sse",
        Some("text/html") => "html",
        Some(text) if text.starts_with("text/") => "txt",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nand more";
    const JPG: &[u8] = b"\xff\xd8\xff\xe0 and more";

    #[test]
    fn images_become_names_wherever_they_stand() {
        let (png, jpg) = (base64::encode(PNG), base64::encode(JPG));
        let mut answer = json!({ "images": [png, format!("data:image/jpeg;base64,{jpg}")], "info": "seed 7" });
        let images = take_images(&mut answer);
        assert_eq!(answer, json!({ "images": ["image-1.png", "image-2.jpg"], "info": "seed 7" }));
        assert_eq!(images.iter().map(|image| &image.bytes[..]).collect::<Vec<_>>(), [PNG, JPG]);
        let mut answer = json!({ "created": 1, "data": [{ "b64_json": png, "revised_prompt": "x" }] });
        assert_eq!(take_images(&mut answer)[0].name, "image-1.png");
        assert_eq!(answer["data"][0], json!({ "b64_json": "image-1.png", "revised_prompt": "x" }));
    }

    #[test]
    fn what_is_no_image_stays_as_it_is() {
        for answer in [
            json!({ "images": ["abcd", 7, null, { "url": "http://x" }], "data": { "b64_json": "Zg==" } }),
            json!({ "data": [{ "embedding": [1, 2] }], "images": "iVBORw==" }),
            json!(["iVBORw=="]),
            json!(null),
            json!({ "images": ["data:image/png,raw"] }),
        ] {
            let mut left = answer.clone();
            assert_eq!((take_images(&mut left), left), (Vec::new(), answer));
        }
    }

    #[test]
    fn files_are_named_by_what_is_in_them() {
        let webp = b"RIFF\x01\x02\x03\x04WEBPVP8 ";
        assert_eq!(
            [extension(PNG), extension(JPG), extension(webp), extension(b"RIFF")],
            [Some("png"), Some("jpg"), Some("webp"), None]
        );
        assert_eq!(
            [extension_of(Some("audio/wav")), extension_of(Some("text/csv")), extension_of(None)],
            ["wav", "txt", "bin"]
        );
    }
}

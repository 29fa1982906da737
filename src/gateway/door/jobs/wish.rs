//! What a client wants of a job: at which path it asks, and what its body says. Pure.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::form::{Part, parts};
use crate::gateway::{door::model::boundary, errors::ApiError};

/// The ways to ask for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// OpenAI's: an image from a text.
    Generations,
    /// OpenAI's: an image from an image.
    Edits,
    /// Stable Diffusion web UI's: an image from a text.
    TextToImage,
    /// Stable Diffusion web UI's: an image from an image.
    ImageToImage,
}

impl Call {
    /// The one that is answered at this path, whose query is left out of account; `None` where it is something else.
    #[must_use]
    pub fn of(method: &str, path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or(path);
        match path {
            _ if method != "POST" => None,
            "/v1/images/generations" => Some(Self::Generations),
            "/v1/images/edits" => Some(Self::Edits),
            "/sdapi/v1/txt2img" => Some(Self::TextToImage),
            "/sdapi/v1/img2img" => Some(Self::ImageToImage),
            _ => None,
        }
    }

    /// Whether it speaks as Stable Diffusion web UI does.
    #[must_use]
    pub fn is_web_ui(self) -> bool {
        matches!(self, Self::TextToImage | Self::ImageToImage)
    }

    /// Whether it begins with an image.
    #[must_use]
    pub fn takes_image(self) -> bool {
        matches!(self, Self::Edits | Self::ImageToImage)
    }
}

/// What the body says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wish {
    /// The members of its JSON object, or the fields of its form as texts.
    pub members: Map<String, Value>,
    /// The files of its form.
    pub files: Vec<Part>,
}

impl Wish {
    /// Reads a whole body of this `Content-Type`: a form where it says so, else JSON.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(content_type: Option<&str>, body: &Bytes) -> Result<Self, ApiError> {
        let (kind, parameters) = content_type.and_then(|all| all.split_once(';')).unwrap_or_default();
        if kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            let parts = boundary(parameters).and_then(|boundary| parts(body, &boundary));
            return parts.map(Self::of_form).ok_or_else(|| bad_body("the form is not whole"));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self { members, files: Vec::new() }),
            Ok(_) => Err(bad_body("the body is no JSON object")),
            Err(error) => Err(bad_body(&format!("the body is no JSON: {error}"))),
        }
    }

    /// Of a field that comes twice, the first counts. A file that was not chosen is sent without a name and contents.
    fn of_form(parts: Vec<Part>) -> Self {
        let mut wish = Self::default();
        for part in parts {
            match &part.file {
                Some(file) if file.is_empty() && part.contents.is_empty() => {}
                Some(_) => wish.files.push(part),
                None => {
                    let text = String::from_utf8_lossy(&part.contents).into_owned();
                    wish.members.entry(part.name).or_insert(Value::String(text));
                }
            }
        }
        wish
    }
}

fn bad_body(message: &str) -> ApiError {
    ApiError::bad_param("body", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn four_paths_are_answered() {
        for (path, call) in [
            ("/v1/images/generations", Call::Generations),
            ("/v1/images/edits", Call::Edits),
            ("/sdapi/v1/txt2img?model=sdxl", Call::TextToImage),
            ("/sdapi/v1/img2img", Call::ImageToImage),
        ] {
            assert_eq!(Call::of("POST", path), Some(call));
            assert_eq!(Call::of("GET", path), None);
        }
        for other in ["/sdapi/v1/options", "/v1/chat/completions", "/v1/images/generations/x", "/"] {
            assert_eq!(Call::of("POST", other), None, "{other}");
        }
    }

    fn read(kind: &str, body: &str) -> Result<Wish, String> {
        Wish::read(Some(kind), &Bytes::copy_from_slice(body.as_bytes())).map_err(|error| error.message)
    }

    #[test]
    fn a_body_is_json_unless_it_says_to_be_a_form() {
        let prompt = json!({ "prompt": "a heron" }).to_string();
        for kind in ["application/json", "", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"] {
            assert_eq!(read(kind, &prompt).map(|wish| wish.members["prompt"].clone()), Ok(json!("a heron")), "{kind}");
        }
        assert!(read("", "[]").is_err_and(|told| told == "the body is no JSON object"));
        assert!(read("", "prompt=x").is_err_and(|told| told.starts_with("the body is no JSON: ")));
    }

    #[test]
    fn a_form_has_texts_and_the_files_that_were_chosen() {
        let head = |head: &str| format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        let body = [
            &head("name=prompt"),
            "a heron\r\n",
            &head("name=prompt"),
            "no\r\n",
            &head("name=mask; filename=\"\""),
            "\r\n",
            &head("name=image; filename=a.png"),
            "PNG\r\n--x--",
        ]
        .concat();
        let wish = read("multipart/form-data; boundary=x", &body).expect("a form");
        assert_eq!(Value::Object(wish.members), json!({ "prompt": "a heron" }));
        let files: Vec<&str> = wish.files.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(files, ["image"]);
        assert_eq!(read("multipart/form-data; boundary=y", &body), Err("the form is not whole".to_owned()));
        assert_eq!(read("multipart/form-data; charset=x", &body), Err("the form is not whole".to_owned()));
    }
}

//! What a client wants, in the parameters that a job declares. Pure.
//!
//! A member whose name is a declared parameter goes there; some that other programs call otherwise have further names. What
//! is declared nowhere is left out, as engines do. Values are checked where jobs are accepted.

use std::collections::HashSet;

use greenroom_actors::{
    job_queue::messages::{Contents, JobSpec},
    spec::{JobDefinition, ParamKind},
};
use serde_json::{Map, Value};

use super::wish::{Call, Wish};
use crate::gateway::errors::ApiError;
use greenroom_actors::base64;

/// Members that say something about the answer, or about whom they are for.
const NOT_PARAMS: &[&str] = &["model", "response_format", "stream", "user"];
/// What a member may be called among the parameters, the likeliest first; its own name comes before all of them.
const ALSO: &[(&str, &[&str])] = &[
    ("negative_prompt", &["negative"]),
    ("cfg_scale", &["cfg", "guidance"]),
    ("sampler_name", &["sampler", "sampling_method"]),
    ("denoising_strength", &["strength"]),
    ("init_images", IMAGE),
    ("image", IMAGE),
    ("image[]", IMAGE),
    ("mask", &["mask_image"]),
];
/// What the image is called that it begins with.
const IMAGE: &[&str] = &["init", "init_image", "init_img", "image", "input"];
/// What the number of images is called.
const COUNT: &[&str] = &["n", "batch_count", "batch"];

/// How the images are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// In the answer.
    Base64,
    /// Where they are to be had.
    Url,
}

/// How this wish wants its images: `response_format`, which OpenAI's calls have.
///
/// # Errors
/// When it is something else.
pub fn format(call: Call, wish: &Wish) -> Result<Format, ApiError> {
    match wish.members.get("response_format").filter(|_| !call.is_web_ui()) {
        None | Some(Value::Null) => Ok(Format::Base64),
        Some(said) if said == "b64_json" => Ok(Format::Base64),
        Some(said) if said == "url" => Ok(Format::Url),
        Some(_) => Err(ApiError::bad_param("response_format", "`response_format` is `b64_json` or `url`")),
    }
}

/// The job that grants a wish.
///
/// # Errors
/// When the job cannot do what the wish cannot do without, or a member says what nobody could read.
pub fn job(definition: &JobDefinition, call: Call, wish: Wish, priority: i32) -> Result<JobSpec, ApiError> {
    let mut draft = Draft { definition, spec: JobSpec::new(definition.name.as_str()).priority(priority) };
    let image = call.takes_image().then(|| draft.image()).transpose()?;
    let Wish { mut members, files } = wish;
    members.retain(|name, value| !value.is_null() && !NOT_PARAMS.contains(&name.as_str()));
    for part in files {
        let name = draft.file(&part.name).or_else(|| image.filter(|_| is_image(&part.name)));
        if let Some(name) = name.filter(|name| !draft.has(name)) {
            draft.spec = draft.spec.file(name, part.file.unwrap_or_default(), Contents::Bytes(part.contents));
        }
    }
    if let Some(image) = image {
        draft.begin_with(image, &mut members)?;
    }
    draft.count(call, &mut members)?;
    draft.size(&mut members)?;
    // What has a parameter's own name goes before what only may be called so.
    let (own, others): (Vec<_>, Vec<_>) = members.into_iter().partition(|(name, _)| draft.kind(name).is_some());
    for (member, value) in own.into_iter().chain(others) {
        let name = draft.place(&member).filter(|name| !draft.has(name));
        if let Some(name) = name {
            draft.put(name, value)?;
        }
    }
    Ok(draft.spec)
}

/// A job in the making.
struct Draft<'a> {
    definition: &'a JobDefinition,
    spec: JobSpec,
}

impl<'a> Draft<'a> {
    /// What a parameter takes; `None` where it is not declared.
    fn kind(&self, name: &str) -> Option<ParamKind> {
        self.definition.params.iter().find(|param| param.name == name).map(|param| param.kind)
    }

    /// Whether something is given for it already.
    fn has(&self, name: &str) -> bool {
        self.spec.params.contains_key(name) || self.spec.files.iter().any(|file| file.param == name)
    }

    /// The parameter that a member stands for.
    fn place(&self, member: &str) -> Option<&'a str> {
        let also = ALSO.iter().find(|(name, _)| *name == member).map_or(&[][..], |(_, also)| also);
        let declared = |name: &str| self.definition.params.iter().find(|param| param.name == name);
        std::iter::once(member).chain(also.iter().copied()).find_map(declared).map(|param| param.name.as_str())
    }

    /// The same where it takes a file.
    fn file(&self, member: &str) -> Option<&'a str> {
        self.place(member).filter(|name| self.kind(name) == Some(ParamKind::File))
    }

    /// The parameter for the image that is to be begun with: one of the usual names, or the only file there is.
    fn image(&self) -> Result<&'a str, ApiError> {
        let files: Vec<&str> = self
            .definition
            .params
            .iter()
            .filter(|param| param.kind == ParamKind::File)
            .map(|param| param.name.as_str())
            .collect();
        let usual = || IMAGE.iter().find_map(|name| files.iter().find(|file| *file == name));
        let found = if let [only] = &files[..] { Some(only) } else { usual() };
        found.copied().ok_or_else(|| {
            let message = format!("`{}` takes no image to begin with: it declares no such file", self.definition.name);
            ApiError::bad_param("model", message)
        })
    }

    /// Takes the image that it is to begin with out of the members, if it is not there already.
    fn begin_with(&mut self, param: &'a str, members: &mut Map<String, Value>) -> Result<(), ApiError> {
        let told = [members.remove("init_images"), members.remove("image")];
        let mut images = told.into_iter().flatten().flat_map(|told| match told {
            Value::Array(all) => all,
            one => vec![one],
        });
        if let (false, Some(image)) = (self.has(param), images.next()) {
            self.put(param, image)?;
        }
        if images.next().is_some() {
            return Err(ApiError::bad_param("init_images", "it begins with one image, and there are several"));
        }
        if self.has(param) || members.contains_key(param) {
            return Ok(());
        }
        Err(ApiError::bad_param("image", "the request has no image to begin with: `image` in a form, or `init_images`"))
    }

    /// How many images are wanted. Only a job that declares so can make several.
    fn count(&mut self, call: Call, members: &mut Map<String, Value>) -> Result<(), ApiError> {
        let names: &[&'static str] = if call.is_web_ui() { &["n_iter", "batch_size"] } else { &["n"] };
        let mut wanted = None;
        for &name in names {
            // The job's own word for it is passed on as any other.
            if self.kind(name).is_some() && call.is_web_ui() {
                continue;
            }
            if let Some(value) = members.remove(name) {
                wanted = Some(wanted.unwrap_or(1_u64).saturating_mul(whole(name, &value)?));
            }
        }
        let Some(wanted) = wanted else { return Ok(()) };
        match COUNT.iter().find_map(|name| self.place(name)) {
            Some(param) => self.put(param, Value::from(wanted)),
            None if wanted == 1 => Ok(()),
            None => {
                let (job, names) = (&self.definition.name, COUNT.join("`, `"));
                let message = format!("`{job}` makes one image at a time: it declares none of `{names}`");
                Err(ApiError::bad_param("n", message))
            }
        }
    }

    /// `size` is a width and a height, where it is no parameter itself.
    fn size(&mut self, members: &mut Map<String, Value>) -> Result<(), ApiError> {
        if self.kind("size").is_some() {
            return Ok(());
        }
        let Some(size) = members.remove("size").filter(|size| size != "auto") else { return Ok(()) };
        let sides = size.as_str().and_then(|size| size.split_once(['x', 'X'])).and_then(|(width, height)| {
            Some([("width", width.trim().parse::<u32>().ok()?), ("height", height.trim().parse::<u32>().ok()?)])
        });
        let sides = sides.ok_or_else(|| ApiError::bad_param("size", "`size` is a width and a height: `512x512`"))?;
        for (name, pixels) in sides {
            members.entry(name).or_insert(Value::from(pixels));
        }
        Ok(())
    }

    /// Gives a parameter its value; a file is read from its base64.
    fn put(&mut self, param: &str, value: Value) -> Result<(), ApiError> {
        if self.kind(param) != Some(ParamKind::File) {
            self.spec.params.insert(param.to_owned(), value);
            return Ok(());
        }
        let bytes = value.as_str().and_then(file_of);
        let bytes = bytes.ok_or_else(|| ApiError::bad_param("body", format!("`{param}` is no file in base64")))?;
        let name = format!("{param}.{}", extension(&bytes));
        let spec = std::mem::take(&mut self.spec);
        self.spec = spec.file(param, name, Contents::Bytes(bytes.into()));
        Ok(())
    }
}

/// Whether this is how forms call the image that is to be begun with.
fn is_image(field: &str) -> bool {
    matches!(field, "image" | "image[]")
}

/// A number of images, also as a text, which is how forms tell it.
fn whole(name: &'static str, value: &Value) -> Result<u64, ApiError> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|&number| number > 0).ok_or_else(|| {
        ApiError::bad_param(name, format!("`{name}` is a number of images, of which there is at least one"))
    })
}

/// What base64 stands for, also behind the head of a `data:` URL (RFC 2397).
fn file_of(text: &str) -> Option<Vec<u8>> {
    let digits = match text.strip_prefix("data:") {
        Some(rest) => rest.split_once(";base64,")?.1,
        None => text,
    };
    base64::decode(digits.trim()).filter(|bytes| !bytes.is_empty())
}

/// What files that begin so are usually called: PNG (its section 5.2), JPEG (a marker), WebP (a RIFF of that kind).
fn extension(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpg",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        _ => "bin",
    }
}

/// The members, without the images in them: what an answer tells of what it was asked.
#[must_use]
pub fn told_back(definition: &JobDefinition, wish: &Wish) -> Map<String, Value> {
    let files = definition.params.iter().filter(|param| param.kind == ParamKind::File).map(|param| param.name.as_str());
    let images: HashSet<&str> = files.chain(["init_images", "image", "mask"]).collect();
    let mut members = wish.members.clone();
    for (name, value) in &mut members {
        if images.contains(name.as_str()) {
            *value = Value::Null;
        }
    }
    members
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;

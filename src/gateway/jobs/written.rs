//! A submission as JSON: `{"job": NAME, "params": {...}, "priority": 0}`. Pure.

use greenroom_actors::job_queue::messages::{Contents, JobSpec, Upload};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::gateway::errors::ApiError;
use greenroom_actors::base64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    job: String,
    #[serde(default)]
    params: Map<String, Value>,
    #[serde(default)]
    priority: i32,
}

/// A file as a value: its contents in base64, and what it is called.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enclosed {
    data: String,
    name: Option<String>,
}

/// Reads it.
///
/// # Errors
/// 400: which part is not what it should be.
pub fn read(body: &[u8]) -> Result<JobSpec, ApiError> {
    let written: Written =
        serde_json::from_slice(body).map_err(|error| ApiError::bad_param("body", error.to_string()))?;
    let mut spec = JobSpec { job: written.job, priority: written.priority, ..JobSpec::default() };
    add(&mut spec, written.params)?;
    Ok(spec)
}

/// Adds parameters to a submission; a value `{"data": ..., "name": ...}` is a file.
///
/// # Errors
/// 400: a parameter is there already, or a file's contents are no base64.
pub fn add(spec: &mut JobSpec, params: Map<String, Value>) -> Result<(), ApiError> {
    for (param, value) in params {
        if has(spec, &param) {
            return Err(twice(&param));
        }
        if value.get("data").is_none() {
            spec.params.insert(param, value);
            continue;
        }
        let bad = |why: String| ApiError::bad_param("params", format!("`{param}`: {why}"));
        let Enclosed { data, name } = serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
        let bytes = base64::decode(&data).ok_or_else(|| bad("its `data` is no base64".to_owned()))?;
        let name = name.unwrap_or_else(|| param.clone());
        spec.files.push(Upload { param, name, contents: Contents::Bytes(bytes.into()) });
    }
    Ok(())
}

/// Whether it has such a parameter already.
pub fn has(spec: &JobSpec, param: &str) -> bool {
    spec.params.contains_key(param) || spec.files.iter().any(|file| file.param == param)
}

/// 400: a parameter is there twice.
pub fn twice(param: &str) -> ApiError {
    ApiError::bad_param("params", format!("`{param}` is there twice"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_stay_as_they_are_and_enclosed_files_are_taken_out() {
        let body = json!({ "job": "image", "priority": 2,
                           "params": { "prompt": "a heron", "steps": 4, "init": { "data": "Zm9v", "name": "a.png" } } });
        let spec = read(body.to_string().as_bytes()).expect("a submission");
        let wanted = JobSpec::new("image").priority(2).param("prompt", "a heron").param("steps", 4);
        assert_eq!(spec, wanted.file("init", "a.png", Contents::Bytes("foo".into())));
        assert_eq!(read(br#"{"job":"a"}"#).expect("the least"), JobSpec::new("a"));
    }

    #[test]
    fn what_is_none_is_refused_and_named() {
        for (body, part) in [
            ("", "EOF"),
            ("[]", "invalid"),
            ("{}", "missing field `job`"),
            (r#"{"job":"a","parms":{}}"#, "unknown field `parms`"),
            (r#"{"job":"a","params":{"x":{"data":"!"}}}"#, "`x`: its `data` is no base64"),
            (r#"{"job":"a","params":{"x":{"data":"Zm9v","path":"/etc"}}}"#, "unknown field `path`"),
        ] {
            let error = read(body.as_bytes()).expect_err(body);
            assert!(error.status.as_u16() == 400 && error.message.contains(part), "{body}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(error) = read(&body) {
                prop_assert_eq!(error.status.as_u16(), 400);
            }
        }
    }
}

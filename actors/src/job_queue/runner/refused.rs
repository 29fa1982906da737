//! What an answer that is an error says, and which failure that is. Pure.

use serde_json::Value;

use crate::{
    engines::{FailureRules, hint},
    failure::{FailureAction, FailureClass},
    job::JobError,
};

/// The most of an error that is looked at: a traceback is less.
pub const LONGEST_ERROR: usize = 64 << 10;
/// The most of it that is told.
const LONGEST_TOLD: usize = 2 << 10;

/// The failure that an answer of this status tells of. `who` has answered.
#[must_use]
pub fn refused(who: &str, status: u16, body: &[u8], rules: Option<&FailureRules>) -> JobError {
    let said = serde_json::from_slice(body).ok().map(|body| said(&body)).filter(|said| !said.is_empty());
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    let what = match said.as_str() {
        "" => format!("`{who}` answered with status {status} and no word"),
        said => format!("`{who}` answered with status {status}: {}", shortened(said)),
    };
    JobError { status: Some(status), ..failed(what, body, rules) }
}

/// A failure that is told by a text in which the rules may find its class.
#[must_use]
pub fn failed(what: String, text: &[u8], rules: Option<&FailureRules>) -> JobError {
    match rules.and_then(|rules| rules.action_of(text)) {
        Some((class, action)) => {
            let error = JobError::new(Some(class), format!("{what}; {}", hint(class)));
            JobError { action: Some(action).filter(|action| *action != FailureAction::None), ..error }
        }
        None => JobError::new(Some(FailureClass::Unknown), what),
    }
}

/// What an error in JSON says, in the words of those who write such: OpenAI's `error.message`, FastAPI's `detail` (a text,
/// or a list of what is wrong with which field), A1111's `error`, `detail` and `errors` (`modules/api/api.py`), and
/// `message`.
fn said(body: &Value) -> String {
    let mut parts: Vec<String> = Vec::new();
    for field in ["error", "detail", "errors", "message"] {
        let told = match body.get(field) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Object(error)) => {
                text_of(error.get("message")).or_else(|| text_of(error.get("type"))).unwrap_or_default()
            }
            Some(Value::Array(problems)) => problems.iter().filter_map(problem).collect::<Vec<_>>().join("; "),
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => String::new(),
        };
        if !told.is_empty() && !parts.contains(&told) {
            parts.push(told);
        }
    }
    parts.join(": ")
}

/// One of FastAPI's: `{"loc": ["body", "steps"], "msg": "..."}`; or a plain text.
fn problem(problem: &Value) -> Option<String> {
    let Some(told) = text_of(problem.get("msg")) else { return text_of(Some(problem)) };
    let place: Vec<String> = match problem.get("loc") {
        Some(Value::Array(parts)) => {
            parts.iter().map(|part| text_of(Some(part)).unwrap_or_else(|| part.to_string())).collect()
        }
        _ => Vec::new(),
    };
    Some(if place.is_empty() { told } else { format!("{}: {told}", place.join(".")) })
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// As much of a text as is told.
#[must_use]
pub fn shortened(text: &str) -> String {
    if text.len() <= LONGEST_TOLD {
        return text.to_owned();
    }
    format!("{} ...", &text[..text.floor_char_boundary(LONGEST_TOLD)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engines::Engines;

    fn rules(engine: &str) -> FailureRules {
        FailureRules::new(&Engines::built_in().named(engine).expect("an engine"), &[]).expect("they compile")
    }

    #[test]
    fn errors_are_told_in_their_own_words_and_classified() {
        use FailureClass::{Nan, OomGpu, Unknown};
        for (engine, body, told, class) in [
            (
                "a1111",
                r#"{"error":"NansException","detail":"","body":"","errors":"A tensor with all NaNs was produced in Unet."}"#,
                "NansException: A tensor with all NaNs was produced in Unet.",
                Nan,
            ),
            (
                "a1111",
                r#"{"error":"OutOfMemoryError","errors":"CUDA out of memory. Tried"}"#,
                "OutOfMemoryError: CUDA out of memory. Tried",
                OomGpu,
            ),
            ("generic", r#"{"error":{"message":"no such model","type":"x"}}"#, "no such model", Unknown),
            (
                "generic",
                r#"{"detail":[{"loc":["body","steps"],"msg":"not a number"},{"msg":"b"}]}"#,
                "body.steps: not a number; b",
                Unknown,
            ),
            ("generic", r#"{"detail":"Sampler not found"}"#, "Sampler not found", Unknown),
            ("generic", "<h1>Bad</h1>\n", "<h1>Bad</h1>", Unknown),
            ("generic", r#"{"x":1}"#, r#"{"x":1}"#, Unknown),
        ] {
            let error = refused("webui", 500, body.as_bytes(), Some(&rules(engine)));
            assert!(error.message.starts_with(&format!("`webui` answered with status 500: {told}")), "{error:?}");
            assert_eq!((error.class, error.status), (Some(class), Some(500)));
            assert_eq!(error.poisons(), class == Nan, "{error:?}");
            assert_eq!(error.message.contains("; "), class != Unknown || told.contains("; "), "{}", error.message);
        }
        assert_eq!(refused("pod", 503, b"", None).message, "`pod` answered with status 503 and no word");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_answer_makes_it_panic_or_ramble(body in prop::collection::vec(any::<u8>(), 0..9000), text in "[ä\"{}:a]{0,3000}") {
            for body in [&body[..], text.as_bytes()] {
                prop_assert!(refused("x", 500, body, None).message.len() < LONGEST_TOLD + 100);
            }
        }
    }
}

//! What the answer to "do you work?" means. Pure.

use serde_json::Value;

/// Whether this answer says that the service works: one of `nonempty` among the members of the JSON object is neither
/// empty, `null`, `false` nor zero. An answer that is no JSON object says nothing, and a member that is missing may have
/// another name by now: what is not known to be idle works.
#[must_use]
pub fn works(answer: &[u8], nonempty: &[String]) -> bool {
    match serde_json::from_slice(answer) {
        Ok(Value::Object(members)) => nonempty.iter().any(|name| members.get(name).is_none_or(is_something)),
        Ok(_) | Err(_) => true,
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(answer: &str) -> bool {
        works(answer.as_bytes(), &["queue_running".to_owned(), "queue_pending".to_owned()])
    }

    #[test]
    fn it_is_idle_only_when_every_member_is_there_and_empty() {
        assert!(!says(r#"{"queue_running": [], "queue_pending": []}"#));
        assert!(!says(r#"{"queue_running": 0, "queue_pending": null, "exec_info": {"x": 1}}"#));
        assert!(!says(r#"{"queue_running": "", "queue_pending": {}}"#));
        for busy in [r#"[[1, "id"]]"#, "1", "true", r#""loading""#, r#"{"a": 1}"#] {
            assert!(says(&format!(r#"{{"queue_running": {busy}, "queue_pending": []}}"#)), "{busy}");
        }
    }

    #[test]
    fn what_says_nothing_is_taken_for_busy() {
        assert!(says(r#"{"queue_running": []}"#) && says("[]") && says("") && says("<html>"));
    }
}

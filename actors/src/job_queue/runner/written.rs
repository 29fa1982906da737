//! The body that the request of a job sends. Pure: files are given as what is in them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::base64;
use crate::{
    spec::SetValue,
    template::{Part, Template},
};

/// The parameters of a job, and what is in those that are files, by the parameter's name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Given {
    /// As they were given; a file is `{"file": NAME, "size": BYTES}`.
    pub params: Map<String, Value>,
    /// What is in the files.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why there is no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// There is nothing there.
    #[error("there is no place `{place}` in {file}: `{part}` is missing")]
    NoPlace {
        /// The place.
        place: String,
        /// The file.
        file: String,
        /// Where it ends.
        part: String,
    },
}

impl Given {
    /// A parameter as it is sent: a file in base64. `None` where it is not given.
    fn sent(&self, name: &str) -> Option<Value> {
        match self.files.get(name) {
            Some(bytes) => Some(Value::String(base64::encode(bytes))),
            None => self.params.get(name).cloned(),
        }
    }

    /// A parameter as a part of a text. Nothing stands for one that is not given.
    fn told(&self, name: &str) -> String {
        match self.sent(name) {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        }
    }

    /// What a template becomes: one `${param.X}` alone becomes the parameter with its type.
    fn filled(&self, template: &Template) -> Value {
        if let [Part::Param(name)] = template.0.as_slice() {
            return self.sent(name).unwrap_or(Value::Null);
        }
        let text = template.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Param(name) => self.told(name),
            // They mean a process of one's own, which a request has not; the configuration takes none of them here.
            Part::Port
            | Part::Host
            | Part::Name
            | Part::ModelFile
            | Part::GpuLayers
            | Part::Gpu
            | Part::DataDir
            | Part::Output => String::new(),
        });
        Value::String(text.collect())
    }
}

/// All parameters that are given, as one JSON object.
#[must_use]
pub fn of_params(given: &Given) -> Value {
    given.params.keys().filter_map(|name| Some((name.clone(), given.sent(name)?))).collect::<Map<_, _>>().into()
}

/// The contents of a file, in which places are set. `name` is what the file is called in errors.
///
/// # Errors
/// When a place is not there: every part of it but the last must be. What is given as `null` is left as it stands, since
/// the parameter was left out.
pub fn of_file(mut body: Value, name: &str, set: &[(String, SetValue)], given: &Given) -> Result<Value, BadBody> {
    for (place, value) in set {
        let value = match value {
            SetValue::Fixed(value) => value.clone(),
            SetValue::Filled(template) => match given.filled(template) {
                Value::Null => continue,
                value => value,
            },
        };
        let missing =
            |part: &str| BadBody::NoPlace { place: place.clone(), file: name.to_owned(), part: part.to_owned() };
        *find(&mut body, place).map_err(missing)? = value;
    }
    Ok(body)
}

/// The place that a path names. The last part of it may be new in an object; the rest must be there.
fn find<'a, 'p>(body: &'a mut Value, path: &'p str) -> Result<&'a mut Value, &'p str> {
    let mut at = body;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        at = match at {
            Value::Object(fields) => {
                if is_last && !fields.contains_key(part) {
                    fields.insert(part.to_owned(), Value::Null);
                }
                fields.get_mut(part).ok_or(part)?
            }
            Value::Array(items) => part.parse().ok().and_then(|index: usize| items.get_mut(index)).ok_or(part)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(part),
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn given(params: Value) -> Given {
        let Value::Object(params) = params else { panic!("an object") };
        Given { params, files: [("init".to_owned(), b"foo".to_vec())].into() }
    }

    fn param(name: &str) -> Part {
        Part::Param(name.to_owned())
    }

    #[test]
    fn parameters_are_sent_with_their_types_and_files_in_base64() {
        let given =
            given(json!({ "prompt": "a heron", "steps": 4, "hires": true, "init": { "file": "x.png", "size": 3 } }));
        let sent = json!({ "prompt": "a heron", "steps": 4, "hires": true, "init": "Zm9v" });
        assert_eq!(of_params(&given), sent);
    }

    #[test]
    fn places_of_a_file_are_set_by_type_as_text_or_as_they_stand() {
        let body = json!({ "6": { "inputs": { "text": "old", "size": [1, 2] } }, "9": {} });
        let set = [
            (
                "6.inputs.text",
                SetValue::Filled(Template(vec![Part::Text("a ".to_owned()), param("what"), param("steps")])),
            ),
            ("6.inputs.size.1", SetValue::Filled(Template(vec![param("steps")]))),
            ("6.inputs.seed", SetValue::Fixed(json!(7))),
            ("9.image", SetValue::Filled(Template(vec![param("init")]))),
            ("6.inputs.size.0", SetValue::Filled(Template(vec![param("left_out")]))),
        ]
        .map(|(place, value)| (place.to_owned(), value));
        let given = given(json!({ "what": "heron", "steps": 20 }));
        let made = of_file(body, "wf.json", &set, &given).expect("all are there");
        let expected =
            json!({ "6": { "inputs": { "text": "a heron20", "size": [1, 20], "seed": 7 } }, "9": { "image": "Zm9v" } });
        assert_eq!(made, expected);
    }

    #[test]
    fn a_place_that_is_not_there_is_named() {
        for (place, part) in [("7.inputs.text", "7"), ("6.list.2", "2"), ("6.list.x", "x"), ("6.text.x", "x")] {
            let body = json!({ "6": { "list": [0, 1], "text": "t" } });
            let set = [(place.to_owned(), SetValue::Fixed(json!(1)))];
            let told = of_file(body, "wf.json", &set, &Given::default()).expect_err(place).to_string();
            assert_eq!(told, format!("there is no place `{place}` in wf.json: `{part}` is missing"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_place_makes_it_panic(place in "[a-c0-2.]{0,8}") {
            let body = json!({ "a": [{ "b": 1 }, []], "0": { "": null } });
            let _made = of_file(body, "f", &[(place, SetValue::Fixed(json!(1)))], &Given::default());
        }
    }
}

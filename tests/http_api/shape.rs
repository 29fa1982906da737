//! Whether a value has a shape: the part of JSON Schema that the document uses.

use serde_json::Value;

/// What is wrong with `value` by `schema`, each with the place of it.
pub fn faults(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let named = document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("no {name}"));
        return faults(document, named, value, place);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let each: Vec<_> = any.iter().map(|schema| faults(document, schema, value, place)).collect();
        // Of those that do not fit, the one that is nearest tells most.
        return each.into_iter().min_by_key(Vec::len).unwrap_or_default();
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wanted = schema["type"].as_str().unwrap_or_else(|| panic!("{place}: no type in {schema}"));
    if wanted != kind && !(wanted == "number" && kind == "integer") {
        // Counted as much as all that would be below it.
        return vec![format!("{place}: {kind} and not {wanted}"); 100];
    }
    let mut found = Vec::new();
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{place}: {value} is none of {}", schema["enum"]));
    }
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(document, &schema["items"], item, &format!("{place}[{n}]")));
    }
    let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    found.extend(needed.filter(|name| value.get(name).is_none()).map(|name| format!("{place}.{name} is not there")));
    for (name, field) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => found.push(format!("{place} is not in the document")),
            (Value::Null, Value::Null) => {}
            (Value::Null, further) => found.extend(faults(document, further, field, &place)),
            (known, _) => found.extend(faults(document, known, field, &place)),
        }
    }
    found
}

#[test]
fn what_does_not_fit_is_found() {
    use serde_json::json;
    let document = json!({ "shapes": { "word": { "type": "string", "enum": ["a", "b"] } } });
    let schema = json!({
        "type": "object",
        "properties": {
            "n": { "type": "integer" },
            "word": { "anyOf": [{ "$ref": "#/shapes/word" }, { "type": "null" }] },
            "all": { "type": "array", "items": { "type": "number" } },
        },
        "required": ["n"],
        "additionalProperties": false,
    });
    let count = |value: Value| faults(&document, &schema, &value, "").len();
    assert_eq!(count(json!({ "n": 1, "word": null, "all": [1, 2.5] })), 0);
    assert_eq!(count(json!({ "n": 1, "word": "a" })), 0);
    assert_eq!(count(json!({ "n": 1, "word": "c" })), 1);
    assert_eq!(count(json!({})), 1);
    assert_eq!(count(json!({ "n": 1, "new": 1 })), 1);
    assert!(count(json!({ "n": 1.5 })) > 0 && count(json!({ "n": 1, "all": ["x"] })) > 0);
}

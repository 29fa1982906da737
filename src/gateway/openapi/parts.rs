//! The words of JSON Schema (draft 2020-12, which OpenAPI 3.1 uses) that the shapes are made of. Pure.

use serde_json::{Map, Value, json};

/// What is said of a value.
fn with(mut schema: Value, description: &str) -> Value {
    if let (false, Some(object)) = (description.is_empty(), schema.as_object_mut()) {
        object.insert("description".to_owned(), json!(description));
    }
    schema
}

/// A text.
pub fn text(description: &str) -> Value {
    with(json!({ "type": "string" }), description)
}

/// A time, RFC 3339 in UTC.
pub fn time(description: &str) -> Value {
    with(json!({ "type": "string", "format": "date-time" }), description)
}

/// A whole number.
pub fn whole(description: &str) -> Value {
    with(json!({ "type": "integer" }), description)
}

/// A number: seconds, if nothing else is said.
pub fn number(description: &str) -> Value {
    with(json!({ "type": "number" }), description)
}

/// Yes or no.
pub fn boolean(description: &str) -> Value {
    with(json!({ "type": "boolean" }), description)
}

/// One of these words.
pub fn one_of(words: impl IntoIterator<Item = &'static str>, description: &str) -> Value {
    with(json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() }), description)
}

/// Several of these.
pub fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// A value of this kind for each of some names.
pub fn map(of: Value, description: &str) -> Value {
    with(json!({ "type": "object", "additionalProperties": of }), description)
}

/// This, or `null`.
pub fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// Any of these.
pub fn any_of(schemas: impl IntoIterator<Item = Value>) -> Value {
    json!({ "anyOf": schemas.into_iter().collect::<Vec<_>>() })
}

/// A shape of the list of shapes.
pub fn shape(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object with these fields and no others. A name that ends with `?` need not be there.
pub fn object<const N: usize>(description: &str, fields: [(&str, Value); N]) -> Value {
    let needed: Vec<&str> = fields.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let needed = json!(needed);
    let properties: Map<String, Value> =
        fields.into_iter().map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema)).collect();
    let schema =
        json!({ "type": "object", "properties": properties, "required": needed, "additionalProperties": false });
    with(schema, description)
}

/// An object with these fields and perhaps others.
pub fn open_object<const N: usize>(description: &str, fields: [(&str, Value); N]) -> Value {
    let mut schema = object(description, fields);
    if let Some(object) = schema.as_object_mut() {
        object.remove("additionalProperties");
    }
    schema
}

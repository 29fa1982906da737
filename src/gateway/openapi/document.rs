//! Puts the tables together: OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.0>). Pure.

use serde_json::{Map, Value, json};

use super::{
    codes::CODES,
    endpoints::{Answer, Body, ENDPOINTS, Endpoint, Parameter},
    parts::{list, shape},
    schemas::schemas,
};

/// The methods that the specification knows and a path can be asked by; CONNECT is refused.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// What every path may give, beside what is its own.
const EVERYWHERE: [&str; 4] = ["invalid_request", "cross_site", "strange_host", "method_not_allowed"];

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        let method = endpoint.method.to_lowercase();
        let methods: Vec<&str> = METHODS.into_iter().filter(|known| method == "any" || method == *known).collect();
        for method in methods {
            if let Some(path) = path.as_object_mut() {
                path.insert(method.to_owned(), operation(endpoint, method));
            }
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Greenroom",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One gateway for every model, and what the command line uses.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "header": { "type": "apiKey", "in": "header", "name": "x-api-key" },
                "basic": { "type": "http", "scheme": "basic", "description": "the key is the password" },
            },
        },
    })
}

fn operation(endpoint: &Endpoint, method: &str) -> Value {
    let places = endpoint.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let places = places.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": place(name) }));
    let parameters: Vec<Value> = places.chain(endpoint.parameters.iter().map(parameter)).collect();
    let mut operation = json!({
        "operationId": id(method, endpoint.path),
        "tags": [endpoint.group.name()],
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": responses(endpoint),
        // Where no key is set, none is asked for; the unix socket never asks.
        "security": if endpoint.is_open() { json!([]) } else { json!([{ "bearer": [] }, { "header": [] }, { "basic": [] }, {}]) },
    });
    let body = match endpoint.body {
        Body::Nothing => None,
        Body::Model => {
            Some(json!({ "required": true, "content": { "application/json": { "schema": shape("ModelRequest") } } }))
        }
        Body::Form => {
            Some(json!({ "required": true, "content": { "multipart/form-data": { "schema": shape("ModelRequest") } } }))
        }
        Body::Job => Some(json!({ "required": true, "content": {
            "application/json": { "schema": shape("JobRequest") },
            "multipart/form-data": { "schema": shape("JobForm") },
        } })),
        Body::Whatever => Some(json!({ "content": { "*/*": {} } })),
    };
    if let (Some(body), Some(object)) =
        (body.filter(|_| !matches!(method, "get" | "head" | "trace")), operation.as_object_mut())
    {
        object.insert("requestBody".to_owned(), body);
    }
    operation
}

/// A name for programs that make clients of this: unique, and made of method and path.
fn id(method: &str, path: &str) -> String {
    let words = path.split(['/', '.', '-']).map(|word| word.trim_matches(['{', '}'])).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

fn place(name: &str) -> Value {
    match name {
        "command" => json!({ "type": "string", "enum": ["start", "stop", "restart", "load", "offload", "reset"] }),
        _ => json!({ "type": "string" }),
    }
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": if parameter.is_header { "header" } else { "query" },
        "description": parameter.meaning,
        "schema": { "type": parameter.kind },
    })
}

fn responses(endpoint: &Endpoint) -> Value {
    let mut responses = Map::new();
    let json_of = |schema: Value| json!({ "application/json": { "schema": schema } });
    let done = |content: Value| json!({ "description": endpoint.summary, "content": content });
    match endpoint.answer {
        Answer::Json(name) => drop(responses.insert("200".to_owned(), done(json_of(shape(name))))),
        Answer::List(name) => drop(responses.insert("200".to_owned(), done(json_of(list(shape(name)))))),
        Answer::JsonOrAccepted(name) => {
            responses.insert("200".to_owned(), done(json_of(shape(name))));
            let accepted = json!({ "description": "it has been told", "content": json_of(shape(name)) });
            responses.insert("202".to_owned(), accepted);
        }
        Answer::Accepted(name) => drop(responses.insert("202".to_owned(), done(json_of(shape(name))))),
        Answer::Text(kind) => {
            let content = json!({ kind: { "schema": { "type": "string" } } });
            responses.insert("200".to_owned(), done(content));
        }
        Answer::Events(name) => {
            let content = json!({ "text/event-stream": { "schema": shape(name) } });
            responses.insert("200".to_owned(), done(content));
        }
        Answer::File(kind) => {
            let file = json!({ kind: {} });
            responses.insert("200".to_owned(), done(file));
        }
        Answer::FileOrList(name) => {
            let either = json!({ "*/*": {}, "application/json": { "schema": list(shape(name)) } });
            responses.insert("200".to_owned(), done(either));
            let part = json!({ "description": "the part of it that `Range` asks for", "content": { "*/*": {} } });
            responses.insert("206".to_owned(), part);
        }
        Answer::Passed => {
            let passed = json!({ "description": "whatever the service answers, as it came" });
            responses.insert("default".to_owned(), passed);
        }
    }
    let key = (!endpoint.is_open()).then_some("unauthorized");
    let own = endpoint.codes.iter().copied().chain(EVERYWHERE).chain(key);
    let own: Vec<&str> = own.collect();
    let mut statuses: Vec<u16> = CODES.iter().filter(|code| own.contains(&code.code)).map(|code| code.status).collect();
    statuses.dedup();
    for status in statuses {
        let codes = CODES.iter().filter(|code| code.status == status && own.contains(&code.code));
        let told: Vec<String> = codes.map(|code| format!("`{}`: {}", code.code, code.when)).collect();
        let refusal = json!({ "description": told.join("; "), "content": json_of(shape("Error")) });
        responses.insert(status.to_string(), refusal);
    }
    Value::Object(responses)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;

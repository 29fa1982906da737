//! The document is whole: what it points to is there, what is there is pointed to, names are unique.

use std::collections::BTreeSet;

use super::*;

/// Every value in `value`, itself among them.
fn every<'a>(value: &'a Value, see: &mut impl FnMut(&'a Value)) {
    see(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| every(item, see)),
        Value::Object(fields) => fields.values().for_each(|field| every(field, see)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_shape_is_used() {
    let document = document();
    let mut named = BTreeSet::new();
    every(&document, &mut |value| named.extend(value["$ref"].as_str().map(str::to_owned)));
    let shapes = document["components"]["schemas"].as_object().expect("shapes");
    let there: BTreeSet<String> = shapes.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(named, there, "left: pointed to, right: there");
}

#[test]
fn every_operation_has_what_the_specification_asks_for() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        assert!(path.starts_with('/'), "{path}");
        let places: BTreeSet<&str> = path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        for (method, operation) in item.as_object().expect("operations") {
            assert!(METHODS.contains(&method.as_str()), "{method} {path}");
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id.clone()), "{id} stands twice");
            let parameters = operation["parameters"].as_array().expect("a list");
            let in_path: BTreeSet<&str> =
                parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
            assert_eq!(in_path, places, "{method} {path}");
            assert!(parameters.iter().all(|p| p["schema"].is_object() && (p["in"] != "path" || p["required"] == true)));
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.values().all(|response| response["description"].is_string()), "{method} {path}");
            assert!(responses.keys().any(|status| status.starts_with('2') || status == "default"), "{method} {path}");
            let schemes = operation["security"].as_array().expect("a list").iter().filter_map(Value::as_object);
            for scheme in schemes.flat_map(Map::keys) {
                assert!(document["components"]["securitySchemes"][scheme].is_object(), "{scheme}");
            }
        }
    }
    assert!(ids.len() > ENDPOINTS.len(), "a path for any method has an operation for each");
}

#[test]
fn every_code_of_an_endpoint_is_one_and_each_is_given_somewhere() {
    let known: BTreeSet<&str> = CODES.iter().map(|code| code.code).collect();
    assert_eq!(known.len(), CODES.len(), "each stands once");
    let own = ENDPOINTS.iter().flat_map(|endpoint| endpoint.codes.iter().copied());
    // These two are for what is no endpoint at all, and for what every one asks.
    let given: BTreeSet<&str> = own.chain(EVERYWHERE).chain(["unauthorized", "not_found"]).collect();
    assert_eq!(given, known, "left: given, right: known");
}

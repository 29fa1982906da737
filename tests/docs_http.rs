//! `docs/http.md` and the OpenAPI document name every route, every code, every event and every figure that is in the code,
//! and none that does not exist.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

use greenroom::gateway::{
    metrics,
    openapi::{CODES, ENDPOINTS, Group},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// The code of every file of the gateway, its tests left out.
fn gateway() -> String {
    fn files(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_tests")) {
                continue;
            }
            if path.is_dir() {
                files(&path, text);
            } else {
                let code = fs::read_to_string(&path).expect("a source file");
                text.push_str(code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default());
            }
        }
    }
    let mut text = String::new();
    files(&root().join("src/gateway"), &mut text);
    text
}

/// What stands between each `open` and the next `close`.
fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split(close).next())
}

/// The rows of the table whose head begins with `head`, as cells.
fn rows(document: &str, head: &str) -> Vec<Vec<String>> {
    let table = document.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// What the code has is what the rows of the table have whose head begins with `head`, read by `row`.
#[track_caller]
fn assert_documented<T: Ord + Debug>(in_code: &BTreeSet<T>, head: &str, row: impl Fn(&[String]) -> T) {
    let in_document: BTreeSet<T> = rows(&read("docs/http.md"), head).iter().map(|cells| row(cells)).collect();
    assert_eq!(*in_code, in_document, "left: in the code, right: in docs/http.md");
}

/// The first two cells.
fn pair(cells: &[String]) -> (String, String) {
    (cells[0].clone(), cells[1].clone())
}

/// A path with its places bare: `{path:.*}` is `{path}`.
fn bare(path: &str) -> String {
    let mut bare = String::new();
    let mut parts = path.split('{');
    bare.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // What stands in the braces has none of its own.
        let (place, rest) = part.split_once('}').unwrap_or((part, ""));
        bare.push_str(&format!("{{{}}}{rest}", place.split(':').next().unwrap_or_default()));
    }
    bare
}

/// Every route that is registered: `at("/path", web::get()...)`, and `.route("/path", web::get()...)` or `post()...`, the
/// door's own.
fn routes_in_code() -> BTreeSet<(String, String)> {
    let code =
        gateway().split_whitespace().collect::<Vec<_>>().join(" ").replace("at( ", "at(").replace("route( ", "route(");
    let registered = ["at(\"/", "route(\"/"].into_iter().flat_map(|open| code.split(open).skip(1));
    registered
        .filter_map(|rest| {
            let (path, rest) = rest.split_once('"')?;
            let method = rest.strip_prefix(", ")?.split('(').next()?;
            let method = method.strip_prefix("web::").unwrap_or(method).to_uppercase();
            let method = if method == "ROUTE" { "any".to_owned() } else { method };
            Some((method, bare(&format!("/{path}"))))
        })
        .collect()
}

fn endpoints(wanted: impl Fn(Group) -> bool) -> BTreeSet<(String, String)> {
    let wanted = ENDPOINTS.iter().filter(|endpoint| wanted(endpoint.group));
    wanted.map(|endpoint| (endpoint.method.to_owned(), endpoint.path.to_owned())).collect()
}

#[test]
fn every_route_is_an_endpoint_of_the_openapi_document_and_the_other_way_round() {
    let in_code = routes_in_code();
    assert!(in_code.len() > 20, "the routes in the code were not found: {in_code:?}");
    assert_eq!(in_code, endpoints(|_| true), "left: in the code, right: in the table of endpoints");
}

#[test]
fn every_endpoint_is_in_the_document_and_the_other_way_round() {
    let own = |group| matches!(group, Group::Operations | Group::Control);
    assert_documented(&endpoints(own), "| method | path | answer", pair);
    assert_documented(&endpoints(|group| group == Group::Traffic), "| method | path | where", pair);
    assert_documented(&endpoints(|group| group == Group::Peers), "| method | path | what", pair);
}

#[test]
fn every_endpoint_has_a_curl_line_and_every_curl_line_an_endpoint() {
    let document = read("docs/http.md");
    let lines: Vec<&str> = document.lines().filter(|line| line.starts_with("curl ")).collect();
    let asks: Vec<(&str, &str)> = lines.iter().map(|line| ask(line)).collect();
    for endpoint in ENDPOINTS {
        let is_asked = |(method, path): &&(&str, &str)| {
            (endpoint.method == "any" || endpoint.method == *method) && matches(endpoint.path, path)
        };
        assert!(asks.iter().any(|ask| is_asked(&ask)), "no curl line for {} {}", endpoint.method, endpoint.path);
    }
    for (method, path) in asks {
        let known = ENDPOINTS.iter().any(|e| (e.method == "any" || e.method == method) && matches(e.path, path));
        assert!(known, "there is no endpoint for {method} {path}");
    }
}

/// The method and the path of a curl line.
fn ask(line: &str) -> (&str, &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |flag: &str| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1).copied());
    let is_post = words.iter().any(|word| word.starts_with("-d") || *word == "-F");
    let url = words.iter().map(|word| word.trim_matches('\'')).find_map(|word| word.strip_prefix("http://"));
    let path = url.and_then(|url| url.find('/').map(|at| &url[at..])).expect("a URL with a path");
    (after("-X").unwrap_or(if is_post { "POST" } else { "GET" }), path.split('?').next().unwrap_or(path))
}

/// Whether a path is one of those that an endpoint's stands for. The last place may have slashes in it.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    let is_open = pattern.last().is_some_and(|last| last.starts_with('{'));
    let fits = |(place, word): (&&str, &&str)| place.starts_with('{') || place == word;
    (pattern.len() == path.len() || (is_open && pattern.len() < path.len() && pattern[1] != "api"))
        && pattern.iter().zip(&path).all(fits)
}

#[test]
fn every_code_is_in_the_document_and_the_other_way_round() {
    let in_table: BTreeSet<(String, String, String)> =
        CODES.iter().map(|code| (code.status.to_string(), code.code.to_owned(), code.when.replace('`', ""))).collect();
    assert_documented(&in_table, "| status | code |", |cells| (cells[0].clone(), cells[1].clone(), cells[2].clone()));
    let code = gateway();
    let mut in_code = BTreeSet::new();
    for rest in code.split("StatusCode::").skip(1) {
        // `StatusCode::NOT_FOUND, "not_found", ...`
        let mut parts = rest.splitn(3, ',');
        let (Some(_status), Some(code)) = (parts.next(), parts.next()) else { continue };
        if let Some(code) = code.trim().strip_prefix('"').and_then(|code| code.strip_suffix('"')) {
            in_code.insert(code.to_owned());
        }
    }
    in_code.extend(between(&code, "unavailable(\"", '"').map(str::to_owned));
    let in_table: BTreeSet<String> = CODES.iter().map(|code| code.code.to_owned()).collect();
    assert!(in_code.len() > 8, "the codes in the code were not found: {in_code:?}");
    assert_eq!(in_code, in_table, "left: in the code, right: in the table of codes");
}

#[test]
fn every_figure_is_in_the_document_and_the_other_way_round() {
    let names: BTreeSet<String> = metrics::NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_documented(&names, "| figure |", |cells| cells[0].split('{').next().unwrap_or_default().to_owned());
}

#[test]
fn every_kind_of_event_is_in_the_document_and_the_other_way_round() {
    let code = read("actors/src/event/kind.rs");
    let in_code: BTreeSet<String> = between(&code, "#[serde(rename = \"", '"').map(str::to_owned).collect();
    assert!(in_code.len() > 4, "the events in the code were not found: {in_code:?}");
    assert_documented(&in_code, "| type | fields", |cells| cells[0].clone());
}

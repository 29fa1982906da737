//! `docs/http.md` names every route and every code of the control API and the door, and none that does not exist.

use std::{collections::BTreeSet, fmt::Debug, fs, path::PathBuf};

fn read(path: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
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

#[test]
fn every_route_is_in_the_document_and_the_other_way_round() {
    // A long route has its arguments on lines of their own.
    let code = read("src/gateway/control.rs").split_whitespace().collect::<Vec<_>>().join(" ").replace("at( ", "at(");
    let in_code: BTreeSet<(String, String)> = code
        .split(".service(at(\"")
        .skip(1)
        .filter_map(|rest| {
            let path = rest.split('"').next()?.replace("{command:start|stop|restart|load|offload|reset}", "{command}");
            let method = between(rest, "web::", '(').next()?.to_uppercase();
            Some((method, path))
        })
        .collect();
    assert!(in_code.len() > 10, "the routes in the code were not found: {in_code:?}");
    assert_documented(&in_code, "| method | path |", pair);
}

#[test]
fn every_path_of_the_door_is_in_the_document_and_the_other_way_round() {
    let code =
        read("src/gateway/door/routes.rs") + &read("src/gateway/door/peers.rs").replace(".service(at(\"", ".route(\"");
    let in_code: BTreeSet<(String, String)> = code
        .split(".route(\"")
        .skip(1)
        .filter_map(|rest| {
            let path = rest.split('"').next()?.replace("{service:[^/]*}", "{service}");
            let method = between(rest, "web::", '(').next()?.to_uppercase();
            Some((path, if method == "ROUTE" { "any".to_owned() } else { method }))
        })
        .collect();
    assert!(in_code.len() > 3, "the paths in the code were not found: {in_code:?}");
    assert_documented(&in_code, "| path | method |", pair);
}

#[test]
fn every_code_is_in_the_document_and_the_other_way_round() {
    let sources = ["errors.rs", "control.rs", "guard.rs", "door/refusal.rs", "door/routes.rs", "door/peers.rs"];
    let sources: String = sources.iter().map(|file| read(&format!("src/gateway/{file}"))).collect();
    let mut in_code = BTreeSet::new();
    for rest in sources.split("StatusCode::").skip(1) {
        // `StatusCode::NOT_FOUND, "not_found", ...`
        let mut parts = rest.splitn(3, ',');
        let (Some(_status), Some(code)) = (parts.next(), parts.next()) else { continue };
        if let Some(code) = code.trim().strip_prefix('"').and_then(|code| code.strip_suffix('"')) {
            in_code.insert(code.to_owned());
        }
    }
    assert!(in_code.len() > 8, "the codes in the code were not found: {in_code:?}");
    assert_documented(&in_code, "| status | code |", |cells| cells[1].clone());
}

#[test]
fn every_kind_of_event_is_in_the_document_and_the_other_way_round() {
    let code = read("actors/src/event/kind.rs");
    let in_code: BTreeSet<String> = between(&code, "#[serde(rename = \"", '"').map(str::to_owned).collect();
    assert!(in_code.len() > 4, "the events in the code were not found: {in_code:?}");
    assert_documented(&in_code, "| type | fields", |cells| cells[0].clone());
}

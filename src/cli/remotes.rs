//! The table of remotes: each of their URLs in a line. Pure.

use super::{
    seen::Remote,
    table::{Cell, cut, table},
};

const GREEN: u8 = 32;
const RED: u8 = 31;

/// The table, and below it what is wrong with those that are out.
#[must_use]
pub fn remotes(remotes: &[Remote], width: Option<usize>, color: bool) -> Vec<String> {
    let urls = || remotes.iter().flat_map(|remote| remote.urls.iter().map(move |url| (remote, url)));
    let rows: Vec<Vec<Cell>> = urls()
        .map(|(remote, url)| {
            let state = Cell { color: Some(if url.is_in() { GREEN } else { RED }), ..Cell::text(&url.state) };
            let users = Cell::number(if url.in_flight > 0 { url.in_flight.to_string() } else { "-".to_owned() });
            vec![Cell::text(&remote.name), state, users, Cell::text(&url.url)]
        })
        .collect();
    let mut lines = table(&["REMOTE", "STATE", "USERS", "URL"], &rows, width, color);
    let out = urls().filter(|(_, url)| !url.is_in());
    let reasons =
        out.filter_map(|(remote, url)| Some(format!("{}: {}: {}", remote.name, url.url, url.last_error.as_ref()?)));
    lines.extend(reasons.map(|line| cut(&line, width.unwrap_or(usize::MAX))));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_url_has_a_line_and_those_that_are_out_say_why() {
        let seen: Vec<Remote> = serde_json::from_value(json!([
            { "name": "pod", "urls": [
                { "url": "https://a.example:7860", "state": "in", "in_flight": 3, "last_error": "once" },
                { "url": "https://b.example", "state": "out", "in_flight": 0, "last_error": "nobody listens" },
            ] },
            { "name": "b", "urls": [{ "url": "http://c", "state": "in", "in_flight": 0, "last_error": null }] },
        ]))
        .expect("remotes");
        let expected = "\
REMOTE  STATE  USERS  URL
pod     in         3  https://a.example:7860
pod     out        -  https://b.example
b       in         -  http://c
pod: https://b.example: nobody listens";
        assert_eq!(remotes(&seen, None, false).join("\n"), expected);
        assert!(remotes(&seen, Some(30), false).iter().all(|line| line.chars().count() <= 30));
    }
}

//! `history requests`: who was asked for what, with what outcome, and how long it waited and took. Pure.

use greenroom_actors::{history_store::messages::RequestRow, ids::ServiceName};

use super::table::{Cell, table};
use crate::runtime::told::{seconds, size};

const HEADS: [&str; 8] = ["CAME", "MODEL", "SERVICE", "CODE", "WAITED", "TOOK", "BYTES", "OUTCOME"];

/// Requests, oldest first.
#[must_use]
pub fn render(rows: &[RequestRow], width: Option<usize>, color: bool) -> String {
    if rows.is_empty() {
        return "nothing recorded".to_owned();
    }
    let cells: Vec<Vec<Cell>> = rows.iter().rev().map(row).collect();
    table(&HEADS, &cells, width, color).join("\n")
}

fn row(request: &RequestRow) -> Vec<Cell> {
    let at = request.at.to_string();
    let at = at.split('.').next().unwrap_or_default().replace('T', " ");
    // What took no time is no figure to compare.
    let span = |span: f64| Cell::number(if span < 0.000_5 { "-".to_owned() } else { seconds(span) });
    vec![
        Cell::text(at),
        Cell::text(request.model.as_deref().unwrap_or("-")),
        Cell::text(request.service.as_ref().map_or("-", ServiceName::as_str)),
        Cell::number(request.code.to_string()),
        span(request.waited),
        span(request.took),
        Cell::number(size(request.bytes)),
        Cell::text(outcome(request)),
    ]
}

fn outcome(request: &RequestRow) -> String {
    match (&request.error, request.code, request.whole) {
        (Some(error), _, _) => error.clone(),
        (None, 499, _) => "the client left".to_owned(),
        (None, _, false) => "broke off".to_owned(),
        (None, 400.., true) => "refused by the service".to_owned(),
        (None, _, true) => "done".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_request_is_a_row_with_its_outcome() {
        let row = |code: u16, error: Option<&str>, whole: bool| -> RequestRow {
            let row = json!({
                "at": "2026-11-21T09:00:00.25Z", "model": "gemma", "service": "chat", "code": code, "error": error,
                "waited": 0.0, "took": 3.2, "bytes": 2048, "whole": whole,
            });
            serde_json::from_value(row).expect("a request")
        };
        let rows = [
            row(200, None, true),
            row(200, None, false),
            row(429, Some("queue_full"), true),
            row(404, None, true),
            row(499, None, false),
        ];
        let told = render(&rows, None, false);
        let outcomes: Vec<&str> = told.lines().skip(1).filter_map(|line| line.split("  ").last()).collect();
        assert_eq!(outcomes, ["the client left", "refused by the service", "queue_full", "broke off", "done"]);
        let last = told.lines().last().unwrap_or_default();
        assert!(last.starts_with("2026-11-21 09:00:00  gemma  chat "), "{told}");
        assert_eq!(render(&[], None, false), "nothing recorded");
    }
}

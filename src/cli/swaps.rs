//! `history swaps`: who came into memory, who left for it, and where the time went. Pure.

use greenroom_actors::{history_store::messages::SwapRow, ids::ServiceName};

use super::table::{Cell, table};
use crate::runtime::told::seconds;

const HEADS: [&str; 9] = ["READY", "IN", "TOTAL", "QUEUE", "DRAIN", "STOP", "RECLAIM", "LOAD", "OUT"];

/// Swaps, oldest first.
#[must_use]
pub fn render(rows: &[SwapRow], width: Option<usize>, color: bool) -> String {
    if rows.is_empty() {
        return "nothing recorded".to_owned();
    }
    let cells: Vec<Vec<Cell>> = rows.iter().rev().map(row).collect();
    table(&HEADS, &cells, width, color).join("\n")
}

fn row(swap: &SwapRow) -> Vec<Cell> {
    let at = swap.at.to_string();
    let at = at.split('.').next().unwrap_or_default().replace('T', " ");
    let out: Vec<&str> = swap.from.iter().map(ServiceName::as_str).collect();
    let took = &swap.seconds;
    // What took no time is no figure to compare.
    let part = |span: f64| Cell::number(if span < 0.000_5 { "-".to_owned() } else { seconds(span) });
    vec![
        Cell::text(at),
        Cell::text(swap.service.as_str()),
        part(took.total),
        part(took.queue),
        part(took.drain),
        part(took.stop),
        part(took.reclaim),
        part(took.load),
        Cell::text(if out.is_empty() { "-".to_owned() } else { out.join(", ") }),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_swap_is_a_row_with_its_parts() {
        let swap = |at: &str, service: &str, from: &[&str]| -> SwapRow {
            let seconds = json!({ "queue": 0.0, "drain": 0.1, "stop": 0.3, "reclaim": 0.8, "load": 2.0, "total": 3.2 });
            let run = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
            let row = json!({ "at": at, "service": service, "run_id": run, "from": from, "seconds": seconds });
            serde_json::from_value(row).expect("a swap")
        };
        let rows =
            [swap("2026-11-21T09:00:10Z", "chat", &[]), swap("2026-11-21T09:00:00.25Z", "image", &["chat", "tts"])];
        assert_eq!(
            render(&rows, None, false),
            "READY                IN     TOTAL  QUEUE  DRAIN   STOP  RECLAIM  LOAD  OUT\n\
             2026-11-21 09:00:00  image   3.2s      -  100ms  300ms    800ms  2.0s  chat, tts\n\
             2026-11-21 09:00:10  chat    3.2s      -  100ms  300ms    800ms  2.0s  -"
        );
        assert_eq!(render(&[], None, false), "nothing recorded");
    }
}

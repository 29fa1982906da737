//! Aligned text: columns, colours of states, ages and sizes. Pure.

use std::time::Duration;

use greenroom_actors::{plain::plain, state::ServiceState};

/// Blanks between two columns.
const GAP: usize = 2;

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Its colour (an SGR code), where there are colours.
    pub color: Option<u8>,
    /// Whether it stands at the right of its column.
    pub right: bool,
}

impl Cell {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number.
    pub fn number(text: impl Into<String>) -> Self {
        Self { right: true, ..Self::text(text) }
    }

    /// A service's state in its colour.
    #[must_use]
    pub fn state(state: ServiceState) -> Self {
        Self { color: Some(color_of(state)), ..Self::text(state.name()) }
    }
}

/// Green is well, yellow is on its way, red needs somebody, grey is at rest.
#[must_use]
pub fn color_of(state: ServiceState) -> u8 {
    match state {
        ServiceState::Ready | ServiceState::Completed => 32,
        ServiceState::Reserved
        | ServiceState::Spawning
        | ServiceState::Starting
        | ServiceState::Draining
        | ServiceState::Stopping
        | ServiceState::Killing
        | ServiceState::Reclaiming
        | ServiceState::Backoff => 33,
        ServiceState::Unready | ServiceState::Failed | ServiceState::Quarantined | ServiceState::Stuck => 31,
        ServiceState::Stopped | ServiceState::Offloaded | ServiceState::Sleeping => 90,
    }
}

/// `text` in a colour, where there are colours.
#[must_use]
pub fn paint(text: &str, color: u8, colored: bool) -> String {
    if colored { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Lines of aligned columns under their heads. No line is longer than `width`: the last column is cut.
#[must_use]
pub fn table(heads: &[&str], rows: &[Vec<Cell>], width: Option<usize>, colored: bool) -> Vec<String> {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
        cells.chain(heads.get(column).map(|head| head.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(widest).collect();
    let right = |column: usize| rows.iter().filter_map(|row| row.get(column)).any(|cell| cell.right);
    let head: Vec<Cell> =
        heads.iter().enumerate().map(|(i, head)| Cell { right: right(i), ..Cell::text(*head) }).collect();
    std::iter::once(&head).chain(rows).map(|row| line(row, &widths, width, colored)).collect()
}

fn line(row: &[Cell], widths: &[usize], width: Option<usize>, colored: bool) -> String {
    let mut text = String::new();
    let mut used = 0;
    for (cell, &column) in row.iter().zip(widths) {
        let room = width.map_or(usize::MAX, |w| w.saturating_sub(used));
        let shown = cut(&cell.text, room);
        let pad = " ".repeat(column.min(room).saturating_sub(shown.chars().count()));
        let painted = cell.color.map_or_else(|| shown.clone(), |color| paint(&shown, color, colored));
        text.push_str(&if cell.right { pad + &painted } else { painted + &pad });
        text.push_str(&" ".repeat(GAP));
        used += column + GAP;
        if width.is_some_and(|w| used >= w) {
            break;
        }
    }
    text.trim_end().to_owned()
}

/// `text` in at most `room` characters, on one line; what is cut ends in `…`.
#[must_use]
pub fn cut(text: &str, room: usize) -> String {
    let one_line = plain(text);
    if one_line.chars().count() <= room {
        return one_line;
    }
    let kept: String = one_line.chars().take(room.saturating_sub(1)).collect();
    if room == 0 { kept } else { kept.trim_end().to_owned() + "…" }
}

/// A time span in at most six characters: `0.3ms`, `240ms`, `1.50s`, `12s`, `3m07s`, `2h05m`, `4d02h`.
#[must_use]
pub fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.as_millis() < 10 => format!("{:.1}ms", span.as_secs_f64() * 1e3),
        0 => format!("{}ms", span.as_millis()),
        1..=9 => format!("{:.2}s", span.as_secs_f64()),
        10..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `1 process`, `2 processes`.
#[must_use]
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_at_the_right() {
        let rows = vec![
            vec![Cell::text("chat"), Cell::number("7"), Cell::text("a")],
            vec![Cell::text("x"), Cell::number("1234"), Cell::text("")],
        ];
        let lines = table(&["NAME", "PID", "WHY"], &rows, None, false);
        assert_eq!(lines, ["NAME   PID  WHY", "chat     7  a", "x     1234"]);
    }

    #[test]
    fn the_last_column_is_cut_to_the_width() {
        let rows = vec![vec![Cell::text("chat"), Cell::text("exit status 1: a long story\nover two lines")]];
        let lines = table(&["NAME", "REASON"], &rows, Some(24), false);
        assert_eq!(lines[1], "chat  exit status 1: a…");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let rows = vec![vec![Cell::state(ServiceState::Ready), Cell::text("a")]];
        assert_eq!(table(&["STATE", "B"], &rows, None, true)[1], "\x1b[32mready\x1b[0m  a");
    }

    #[test]
    fn ages_are_short() {
        let texts = [0, 12, 187, 7_500, 352_800].map(|s| age(Duration::from_secs(s)));
        assert_eq!(texts, ["0.0ms", "12s", "3m07s", "2h05m", "4d02h"]);
        let texts = [3, 240, 1_500].map(|ms| age(Duration::from_millis(ms)));
        assert_eq!(texts, ["3.0ms", "240ms", "1.50s"]);
    }

    proptest! {
        #[test]
        fn no_line_is_longer_than_the_terminal(
            cells in prop::collection::vec("\\PC{0,30}", 3), width in 1usize..60, right: bool
        ) {
            let rows = vec![cells.iter().map(|c| Cell { right, ..Cell::text(c.clone()) }).collect()];
            for line in table(&["A", "B", "C"], &rows, Some(width), false) {
                prop_assert!(line.chars().count() <= width, "{line:?}");
            }
        }
    }
}

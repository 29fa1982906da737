//! `config show`: the configuration after all layers, with where each value comes from.

use super::{
    args::Global,
    failure::Failure,
    place,
    table::{Cell, table},
    terminal::Terminal,
};
use crate::config::EffectiveRow;

/// Where a value that nobody set comes from.
const DEFAULT: &str = "default";

/// Prints what was set; with `effective` the defaults as well.
pub fn run(effective: bool, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let mut rows = place::load(global)?.effective.rows();
    if !effective {
        rows.retain(|row| row.origin != DEFAULT);
    }
    if terminal.json {
        terminal.value(&rows)?;
        return Ok(0);
    }
    terminal.say(render(&rows, terminal.width, terminal.color))?;
    Ok(0)
}

/// Nothing is cut: this is what one looks things up in. A table that does not fit becomes lines.
fn render(rows: &[EffectiveRow], width: Option<usize>, color: bool) -> String {
    let cells: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| vec![Cell::text(&row.key), Cell::text(row.value.to_string()), Cell::text(&row.origin)])
        .collect();
    let table = table(&["KEY", "VALUE", "FROM"], &cells, None, color);
    if width.is_none_or(|width| table.iter().all(|line| line.chars().count() <= width)) {
        return table.join("\n");
    }
    rows.iter().map(|row| format!("{} = {}  # {}", row.key, row.value, row.origin)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_does_not_fit_becomes_lines_that_are_whole() {
        let row = EffectiveRow {
            key: "runtime.name".to_owned(),
            value: "\"studio\"".to_owned(),
            origin: "greenroom.toml:2:8".to_owned(),
        };
        let rows = [row];
        assert!(render(&rows, Some(80), false).starts_with("KEY"), "{}", render(&rows, Some(80), false));
        assert_eq!(render(&rows, Some(30), false), "runtime.name = \"studio\"  # greenroom.toml:2:8");
    }
}

//! The table as Markdown: the reference part of `docs/configuration.md`.

use std::fmt::Write;

use super::{key::Key, lookup::keys};

/// Every key with its default and what it does.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    let mut section = "";
    for key in keys() {
        let top = key.parts().next().unwrap_or_default();
        if top != section {
            section = top;
            let title = title(top);
            write_line(&mut text, format_args!("\n### {title}\n\n| key | takes | default | |\n|---|---|---|---|"));
        }
        let Key { path, kind, help, .. } = key;
        let default = default(key);
        let path = path.replace('*', "NAME");
        let takes = escape(&kind.expected());
        write_line(&mut text, format_args!("| `{path}` | {takes} | {default} | {} |", escape(help)));
    }
    text
}

fn write_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _written = writeln!(text, "{line}");
}

fn title(section: &str) -> String {
    match section {
        "service" => "`[service.NAME]` and `[defaults.service]`".to_owned(),
        "job" | "remote" => format!("`[{section}.NAME]`"),
        _ => format!("`[{section}]`"),
    }
}

fn default(key: &Key) -> String {
    match (key.default, key.same_as) {
        (Some(value), _) => format!("`{}`", escape(value)),
        (None, Some(other)) => format!("`{other}`"),
        (None, None) => "(none)".to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

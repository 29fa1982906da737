//! Texts with `${...}`: what is known is filled in, what only a start knows becomes a part of a template.

use std::path::PathBuf;

use greenroom_actors::template::{Part, Template};

use super::read::Reader;
use crate::config::{
    holes::{BadHole, Piece, expand, from_outside, pieces},
    source::Span,
    suggest::nearest,
    tree::{Node, dotted},
};

/// Deepest chain of macros within macros.
const MAX_MACROS: usize = 16;

/// Longest text that macros may grow to, in bytes: what Linux takes as one argument.
const MAX_TEXT: usize = 128 << 10;

/// The names that a start knows.
const AT_START: [(&str, Part); 7] = [
    ("port", Part::Port),
    ("host", Part::Host),
    ("name", Part::Name),
    ("model_file", Part::ModelFile),
    ("gpu_layers", Part::GpuLayers),
    ("gpu", Part::Gpu),
    ("data_dir", Part::DataDir),
];

/// The template that a text at `span` means. A hole that cannot be filled is reported and left empty.
pub(super) fn template(reader: &mut Reader<'_>, text: &str, span: Span) -> Template {
    let mut filled = Filled::default();
    match filled.take(reader, text, span, 0) {
        Ok(()) => {}
        Err(Trouble::Hole(bad)) => report(reader, span, &bad),
        Err(Trouble::Endless) => {
            reader.error(
                span,
                "macros that hold one another without an end",
                "a macro must not lead back to itself, nor grow past 128 KiB",
            );
        }
    }
    Template(filled.parts)
}

enum Trouble {
    Hole(BadHole),
    Endless,
}

/// A template while it is made.
#[derive(Default)]
struct Filled {
    parts: Vec<Part>,
    bytes: usize,
}

impl Filled {
    fn take(&mut self, reader: &Reader<'_>, text: &str, span: Span, depth: usize) -> Result<(), Trouble> {
        if depth > MAX_MACROS {
            return Err(Trouble::Endless);
        }
        for piece in pieces(text).map_err(Trouble::Hole)? {
            let hole = match piece {
                Piece::Text(text) => {
                    self.push(Part::Text(text.to_owned()));
                    continue;
                }
                Piece::Hole(hole) => hole,
            };
            let base = reader.effective.sources().base(span);
            if let Some(filling) = from_outside(hole, base, reader.outside) {
                self.push(Part::Text(filling.map_err(Trouble::Hole)?.text));
            } else if let Some((_, part)) = AT_START.iter().find(|(name, _)| *name == hole) {
                self.push(part.clone());
            } else {
                let inner = macro_text(reader, hole);
                let (Some(text), Some(node)) = (inner.and_then(Node::text), inner) else {
                    return Err(Trouble::Hole(BadHole::Unknown(hole.to_owned())));
                };
                if self.bytes > MAX_TEXT {
                    return Err(Trouble::Endless);
                }
                self.take(reader, text, node.span, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Texts side by side become one.
    fn push(&mut self, part: Part) {
        match (self.parts.last_mut(), part) {
            (Some(Part::Text(before)), Part::Text(text)) => {
                self.bytes += text.len();
                before.push_str(&text);
            }
            (_, part) => {
                self.bytes += if let Part::Text(text) = &part { text.len() } else { 1 };
                self.parts.push(part);
            }
        }
    }
}

fn report(reader: &mut Reader<'_>, span: Span, bad: &BadHole) {
    // A wrong value of the macro has been reported where it is written.
    if let BadHole::Unknown(name) = bad
        && reader.effective.is_faulty(&["macros", name])
    {
        return;
    }
    let help = match bad {
        BadHole::Unknown(name) if name == "output" || name.starts_with("param.") => {
            "it has a meaning in jobs only".to_owned()
        }
        BadHole::Unknown(name) => {
            let macros = reader.effective.below(&["macros"]);
            let known: Vec<&str> =
                AT_START.iter().map(|(name, _)| *name).chain(macros.iter().map(|(n, _)| *n)).collect();
            match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `${{{near}}}`?"),
                None => format!("known here: {}; `$${{` is a literal `${{`", known.join(", ")),
            }
        }
        _ => bad.help(),
    };
    reader.error(span, bad.to_string(), help);
}

/// The text of the macro `name`, if there is one.
pub(super) fn macro_text<'a>(reader: &Reader<'a>, name: &str) -> Option<&'a Node> {
    reader.node(&["macros", name]).filter(|node| node.text().is_some())
}

/// The absolute path that a key means; `None` if it is empty or was reported. `extra` are further names with their
/// texts.
pub(super) fn path(reader: &mut Reader<'_>, key: &[&str], extra: &[(&str, &str)]) -> Option<PathBuf> {
    let node = reader.node(key)?;
    let mut text = String::new();
    for piece in pieces(node.text()?).unwrap_or_default() {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Hole(hole) => match extra.iter().find(|(name, _)| *name == hole) {
                Some((_, value)) => text.push_str(value),
                None => match template(reader, &format!("${{{hole}}}"), node.span).0.as_slice() {
                    [] => return None,
                    [Part::Text(filled)] => text.push_str(filled),
                    _ => {
                        let message = format!("`{}`: `${{{hole}}}` is known only when a service starts", dotted(key));
                        reader.error(
                            node.span,
                            message,
                            "a path may hold ${env.NAME}, ${file:...} and macros of texts",
                        );
                        return None;
                    }
                },
            },
        }
    }
    if text.is_empty() {
        return None;
    }
    // The default of `working_dir` means the folder of the file that names the service.
    let owner = if node.span == Span::default() { reader.effective.mention(&key[..key.len().min(2)]) } else { None };
    let base = reader.effective.sources().base(owner.unwrap_or(node.span)).to_owned();
    if text.starts_with('~') && reader.outside.variable("HOME").is_none_or(str::is_empty) {
        let message = format!("`{}`: `~` stands for nothing: HOME is not set", dotted(key));
        reader.error(node.span, message, "set HOME, or write an absolute path");
        return None;
    }
    Some(expand(&text, &base, reader.outside))
}

/// Reports what is wrong in macros that no service uses, and in the commands of jobs.
pub(super) fn check_unused(reader: &mut Reader<'_>) {
    for (_, node) in reader.effective.below(&["macros"]) {
        let holes = node.text().map(pieces).unwrap_or(Ok(Vec::new())).unwrap_or_default();
        // A macro may be one of jobs.
        if !holes.iter().any(|piece| matches!(piece, Piece::Hole(hole) if is_of_jobs(hole))) {
            let _checked = template(reader, node.text().unwrap_or_default(), node.span);
        }
    }
}

fn is_of_jobs(hole: &str) -> bool {
    hole == "output" || hole.starts_with("param.")
}

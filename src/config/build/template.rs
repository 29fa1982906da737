//! Texts with `${...}`: what is known is filled in, what only a start knows becomes a part of a template.

use std::path::PathBuf;

use greenroom_actors::template::{Part, Template};

use super::{
    read::Reader,
    scope::{IN_JOBS, Scope, is_of_jobs, is_of_listeners},
};
use crate::config::{
    holes::{BadHole, Piece, expand, from_outside, pieces},
    source::Span,
    suggest::nearest,
    tree::{Node, dotted, quote_key},
};

/// Deepest chain of macros within macros.
const MAX_MACROS: usize = 16;

/// Longest text that macros may grow to, in bytes: what Linux takes as one argument.
const MAX_TEXT: usize = 128 << 10;

/// The template that a text at `span` means. A hole that cannot be filled is reported and left empty.
pub(super) fn template(reader: &mut Reader<'_>, scope: &Scope<'_>, text: &str, span: Span) -> Template {
    let mut filled = Filled::default();
    match filled.take(reader, scope, text, span, 0) {
        Ok(()) => {}
        Err(Trouble::Hole(bad)) => report(reader, scope, span, &bad),
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
    fn take(
        &mut self,
        reader: &Reader<'_>,
        scope: &Scope<'_>,
        text: &str,
        span: Span,
        depth: usize,
    ) -> Result<(), Trouble> {
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
            } else if let Some(part) = scope.part(hole) {
                self.push(part);
            } else {
                let inner = macro_text(reader, hole);
                let (Some(text), Some(node)) = (inner.and_then(Node::text), inner) else {
                    return Err(Trouble::Hole(BadHole::Unknown(hole.to_owned())));
                };
                if self.bytes > MAX_TEXT {
                    return Err(Trouble::Endless);
                }
                self.take(reader, scope, text, node.span, depth + 1)?;
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

fn report(reader: &mut Reader<'_>, scope: &Scope<'_>, span: Span, bad: &BadHole) {
    // A wrong value of the macro, or of the param, has been reported where it is written.
    if let BadHole::Unknown(name) = bad
        && (reader.effective.is_faulty(&["macros", name]) || is_faulty_param(reader, scope, name))
    {
        return;
    }
    let help = match bad {
        BadHole::Unknown(name) => help_for(reader, scope, name),
        _ => bad.help(),
    };
    reader.error(span, bad.to_string(), help);
}

fn is_faulty_param(reader: &Reader<'_>, scope: &Scope<'_>, hole: &str) -> bool {
    let name = hole.strip_prefix("param.");
    scope.job().zip(name).is_some_and(|(job, name)| reader.effective.is_faulty(&["job", job, "params", name]))
}

/// What to do about a hole that nothing fills.
fn help_for(reader: &Reader<'_>, scope: &Scope<'_>, name: &str) -> String {
    if name == "output" || is_of_jobs(name) && scope.job().is_none() {
        return IN_JOBS.to_owned();
    }
    if is_of_listeners(name) && scope.job().is_some() {
        return "the process of a job has no port; what listens on one is a service, and a job can ask it by `request`"
            .to_owned();
    }
    // Held against its like alone: what all params have in common makes any two look alike.
    if let (Some(param), Some(job)) = (name.strip_prefix("param."), scope.job()) {
        return match nearest(param, scope.params().iter().copied()) {
            Some(near) => format!("did you mean `${{param.{near}}}`?"),
            None => {
                format!("a param is declared first: add params.{} = {{}} to [job.{}]", quote_key(param), quote_key(job))
            }
        };
    }
    let macros = reader.effective.below(&["macros"]);
    let known: Vec<String> = scope.known().into_iter().chain(macros.iter().map(|(n, _)| (*n).to_owned())).collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `${{{near}}}`?"),
        None if known.is_empty() => "it has a meaning in services and jobs only; `$${` is a literal `${`".to_owned(),
        None => format!("known here: {}; `$${{` is a literal `${{`", known.join(", ")),
    }
}

/// The text of the macro `name`, if there is one.
pub(super) fn macro_text<'a>(reader: &Reader<'a>, name: &str) -> Option<&'a Node> {
    reader.node(&["macros", name]).filter(|node| node.text().is_some())
}

/// The absolute path that a key means; `None` if it is empty or was reported. `extra` are further names with their
/// texts.
pub(super) fn path(reader: &mut Reader<'_>, key: &[&str], extra: &[(&str, &str)]) -> Option<PathBuf> {
    let node = reader.node(key)?;
    path_at(reader, node, key, extra)
}

/// The same for a value that is a part of the key's.
pub(super) fn path_at(reader: &mut Reader<'_>, node: &Node, key: &[&str], extra: &[(&str, &str)]) -> Option<PathBuf> {
    let mut text = String::new();
    for piece in pieces(node.text()?).unwrap_or_default() {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Hole(hole) => match extra.iter().find(|(name, _)| *name == hole) {
                Some((_, value)) => text.push_str(value),
                None => text.push_str(&known_now(reader, node, key, hole)?),
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

/// What a hole in a path stands for before anything runs; `None` if it was reported.
fn known_now(reader: &mut Reader<'_>, node: &Node, key: &[&str], hole: &str) -> Option<String> {
    let of_job = key.first() == Some(&"job");
    let scope = if of_job { Scope::ANYWHERE } else { Scope::SERVICE };
    match template(reader, &scope, &format!("${{{hole}}}"), node.span).0.as_slice() {
        [] => None,
        [Part::Text(filled)] => Some(filled.clone()),
        _ => {
            let who = if of_job { "job" } else { "service" };
            let message = format!("`{}`: `${{{hole}}}` is known only when a {who} starts", dotted(key));
            reader.error(node.span, message, "a path may hold ${env.NAME}, ${file:...} and macros of texts");
            None
        }
    }
}

/// Reports what is wrong in macros, also in those that nobody uses.
pub(super) fn check_unused(reader: &mut Reader<'_>) {
    for (_, node) in reader.effective.below(&["macros"]) {
        let _checked = template(reader, &Scope::ANYWHERE, node.text().unwrap_or_default(), node.span);
    }
}

//! Reading the file, and the machine's answer to whether a model file is there.

use std::path::Path;

use super::whole::{Imported, whole};
use crate::config::{
    holes::{Piece, expand, from_outside, pieces},
    outside::{Machine, Outside, read_text},
    parse::{Language, MAX_FILE, parse},
    problem::{ConfigErrors, Problem},
    source::{SourceKind, SourceMap},
};

/// Reads the configuration of llama-swap in `file` and turns it into one of Greenroom. Model files are looked for
/// relative to `base`, the folder of the new configuration, with the variables `env`.
///
/// # Errors
/// When the file cannot be read, is no YAML, or is something else than such a configuration: every problem with its
/// place.
pub fn import_llama_swap(file: &Path, base: &Path, env: &[(String, String)]) -> Result<Imported, ConfigErrors> {
    let name = file.display().to_string();
    let text = read_text(file, MAX_FILE)
        .map_err(|why| ConfigErrors(vec![Problem::whole(name.as_str(), format!("the file cannot be read: {why}"))]))?;
    import(&name, text, base, &Machine::new(env))
}

/// The same for a text.
fn import(name: &str, text: String, base: &Path, outside: &dyn Outside) -> Result<Imported, ConfigErrors> {
    let text = text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text);
    let mut sources = SourceMap::new(base.to_owned());
    let id = sources.add(SourceKind::File, name, text, base.to_owned());
    let parsed = parse(&sources, id, Language::Yaml);
    if !parsed.problems.is_empty() {
        return Err(ConfigErrors(parsed.problems));
    }
    whole(&sources, &parsed.root, name, &|file| is_file(file, base, outside))
}

/// Whether a model file that a command names is there.
fn is_file(file: &str, base: &Path, outside: &dyn Outside) -> bool {
    let Ok(pieces) = pieces(file) else { return false };
    let filled: Option<String> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => Some((*text).to_owned()),
            Piece::Hole(hole) => from_outside(hole, base, outside)?.ok().map(|filling| filling.text),
        })
        .collect();
    filled.is_some_and(|path| outside.size(&expand(&path, base, outside)).is_ok())
}

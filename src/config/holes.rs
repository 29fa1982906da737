//! `${...}` in texts: finding them, and filling those that the outside knows. Pure but for the door it is handed.
//!
//! `$${` stands for a literal `${`. What a hole stands for is never searched for holes again, so a secret or a
//! variable may hold any text.

use std::path::Path;

use super::outside::Outside;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// What stands between `${` and `}`.
    Hole(&'a str),
}

/// Why a hole cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHole {
    /// No `}` follows.
    #[error("`${{` is not closed: a `}}` is missing")]
    Open,
    /// The variable is not set and there is no default.
    #[error("the environment variable `{0}` is not set")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("`{path}` cannot be read: {why}")]
    NoFile {
        /// As it was written.
        path: String,
        /// In the system's words.
        why: String,
    },
    /// No macro has that name, or it has no meaning at this place.
    #[error("`${{{0}}}` stands for nothing here")]
    Unknown(String),
}

impl BadHole {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Open => "close it, or write `$${` for a literal `${`".to_owned(),
            Self::NoVariable(name) => format!("set it, or give a default: ${{env.{name}:-VALUE}}"),
            Self::NoFile { .. } => "the path is relative to the config file's folder".to_owned(),
            Self::Unknown(name) if name == "output" || name.starts_with("param.") => {
                "in a job it may stand in `command`, `env` and `cleanup` of a process, and in `request.set`".to_owned()
            }
            Self::Unknown(_) => "write `$${` for a literal `${`".to_owned(),
        }
    }
}

/// Splits a text at its holes.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, BadHole> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        if let Some(before) = before.strip_suffix('$') {
            // `$${`: the text before it, then the two characters themselves.
            found.extend([Piece::Text(before), Piece::Text("${")]);
            rest = &rest[at + 2..];
            continue;
        }
        let (inner, after) = rest[at + 2..].split_once('}').ok_or(BadHole::Open)?;
        found.extend([Piece::Text(before), Piece::Hole(inner)]);
        rest = after;
    }
    found.push(Piece::Text(rest));
    found.retain(|piece| *piece != Piece::Text(""));
    Ok(found)
}

/// What a hole stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    /// The text.
    pub text: String,
    /// Whether it must not be shown.
    pub secret: bool,
}

/// Fills `env.NAME`, `env.NAME:-default` and `file:PATH`; `None` for any other name.
pub fn from_outside(hole: &str, base: &Path, outside: &dyn Outside) -> Option<Result<Filling, BadHole>> {
    if let Some(name) = hole.strip_prefix("env.") {
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        // As in a shell, an empty variable takes the default.
        let value = outside.variable(name).filter(|value| default.is_none() || !value.is_empty()).or(default);
        let filling = value.map(|text| Filling { text: text.to_owned(), secret: false });
        return Some(filling.ok_or_else(|| BadHole::NoVariable(name.to_owned())));
    }
    let path = hole.strip_prefix("file:")?;
    let contents = outside.contents(&expand(path, base, outside));
    Some(match contents {
        Ok(text) => Ok(Filling { text: text.trim().to_owned(), secret: true }),
        Err(why) => Err(BadHole::NoFile { path: path.to_owned(), why }),
    })
}

/// A path with `~` expanded, taken relative to `base`, without `.` parts.
#[must_use]
pub fn expand(path: &str, base: &Path, outside: &dyn Outside) -> std::path::PathBuf {
    let home = outside.variable("HOME").filter(|home| !home.is_empty());
    let path = match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => path.to_owned(),
    };
    base.join(path).components().collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::config::outside::Program;

    /// A machine with one variable `X`, an empty `E`, a home, and one file.
    #[derive(Debug)]
    pub struct Small;

    impl Outside for Small {
        fn variable(&self, name: &str) -> Option<&str> {
            match name {
                "X" => Some("a ${b}"),
                "E" => Some(""),
                "HOME" => Some("/home/me"),
                _ => None,
            }
        }

        fn contents(&self, path: &Path) -> Result<String, String> {
            if path == Path::new("/base/key") { Ok(" s3cret\n".to_owned()) } else { Err("no such file".to_owned()) }
        }

        fn document(&self, path: &Path) -> Result<String, String> {
            self.contents(path)
        }

        fn program(&self, path: &Path) -> Program {
            Program::Found(Path::new("/bin").join(path))
        }

        fn size(&self, _path: &Path) -> Result<u64, String> {
            Ok(0)
        }

        fn ram(&self) -> Option<u64> {
            None
        }

        fn chance(&self) -> Option<[u8; 24]> {
            None
        }
    }

    fn filled(hole: &str) -> Option<Result<String, BadHole>> {
        from_outside(hole, Path::new("/base"), &Small).map(|filling| filling.map(|filling| filling.text))
    }

    #[test]
    fn holes_and_literal_ones_are_told_apart() {
        use Piece::{Hole, Text};
        assert_eq!(pieces("a${b}c"), Ok(vec![Text("a"), Hole("b"), Text("c")]));
        assert_eq!(pieces("$${b} $5 {}"), Ok(vec![Text("${"), Text("b} $5 {}")]));
        assert_eq!(pieces("${b"), Err(BadHole::Open));
        assert_eq!(pieces(""), Ok(vec![]));
    }

    #[test]
    fn variables_defaults_and_files() {
        assert_eq!(filled("env.X"), Some(Ok("a ${b}".to_owned())));
        assert_eq!(filled("env.E:-d"), Some(Ok("d".to_owned())));
        assert_eq!(filled("env.E"), Some(Ok(String::new())));
        assert_eq!(filled("env.Y"), Some(Err(BadHole::NoVariable("Y".to_owned()))));
        assert_eq!(filled("file:key"), Some(Ok("s3cret".to_owned())));
        assert!(matches!(filled("file:/nope"), Some(Err(BadHole::NoFile { .. }))));
        assert_eq!(filled("port"), None);
    }

    #[test]
    fn paths_are_relative_to_the_file_and_know_the_home() {
        let expand = |path| expand(path, Path::new("/base"), &Small);
        assert_eq!(expand("."), PathBuf::from("/base"));
        assert_eq!(expand("./a/b"), PathBuf::from("/base/a/b"));
        assert_eq!(expand("~/x"), PathBuf::from("/home/me/x"));
        assert_eq!(expand("~x"), PathBuf::from("/base/~x"));
        assert_eq!(expand("/abs"), PathBuf::from("/abs"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_text_without_holes_is_itself(text in "[^$]{0,40}") {
            let whole: String = pieces(&text).unwrap().iter().map(|piece| match piece {
                Piece::Text(text) | Piece::Hole(text) => *text,
            }).collect();
            prop_assert_eq!(whole, text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "([${}:-]|env|file|\\PC){0,30}") {
            for piece in pieces(&text).unwrap_or_default() {
                if let Piece::Hole(hole) = piece {
                    let _filled = filled(hole);
                }
            }
        }
    }
}

//! `cleanup.actions.purge`: which folder may be emptied. Pure.
//!
//! Only what is surely its own: the private folder, or what lies strictly below a `working_dir` that somebody set. What is
//! filled in for each job is judged again when it is known; here it must not be able to choose among the folders that lie
//! beside one another in the `working_dir`.

use std::path::Path;

use greenroom_actors::template::{Part, Template};

use super::{owner::Owner, read::Reader, scope::Scope, template::template};
use crate::config::{holes::expand, tree::Node};

/// Why a folder may not be emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Nothing is named.
    Empty,
    /// A `..` stands in it.
    Upwards,
    /// It is, or may be, another's.
    NotOwn,
}

/// The folder that a `purge` of `who` names, among those of `on`; `None` if it was reported.
pub(super) fn purge(
    reader: &mut Reader<'_>,
    who: Owner<'_>,
    on: Owner<'_>,
    scope: &Scope<'_>,
    node: &Node,
    working_dir: Option<&Path>,
) -> Option<Template> {
    let text = node.text()?;
    let before = reader.errors();
    let folder = template(reader, scope, text, node.span);
    if reader.errors() > before {
        return None;
    }
    let folder = absolute(reader, folder, node);
    let message = match judge(&folder, working_dir) {
        Ok(()) => return Some(folder),
        Err(Refusal::Empty) => format!("{who}: `purge` names no folder"),
        Err(Refusal::Upwards) => format!("{who}: `purge`: `..` leads out of the folder in `{text}`"),
        Err(Refusal::NotOwn) => format!("{who}: `purge` would empty `{text}`, which is no folder of {on}'s own"),
    };
    let help = match working_dir {
        Some(own) => format!("write `${{data_dir}}`, a folder below it, or one below `{}`", own.display()),
        None => {
            "write `${data_dir}` or a folder below it; where `working_dir` is set, a folder below that will do".into()
        }
    };
    reader.error(node.span, message, help);
    None
}

/// With its beginning made absolute; a `/` at the end of that stays.
fn absolute(reader: &Reader<'_>, Template(mut parts): Template, node: &Node) -> Template {
    if let Some(Part::Text(first)) = parts.first_mut()
        && !first.is_empty()
    {
        let slash = if first.ends_with('/') { "/" } else { "" };
        let path = expand(first, reader.effective.sources().base(node.span), reader.outside);
        *first = format!("{}{slash}", path.display());
    }
    Template(parts)
}

fn judge(Template(parts): &Template, working_dir: Option<&Path>) -> Result<(), Refusal> {
    let upwards = |part: &Part| matches!(part, Part::Text(text) if text.split('/').any(|name| name == ".."));
    if parts.iter().any(upwards) {
        return Err(Refusal::Upwards);
    }
    match parts.as_slice() {
        [] => Err(Refusal::Empty),
        [Part::Text(only)] if only.is_empty() => Err(Refusal::Empty),
        [Part::DataDir] => Ok(()),
        [Part::DataDir, Part::Text(below), ..] if below.starts_with('/') => Ok(()),
        [Part::Text(whole)] if is_below(whole, working_dir) => Ok(()),
        // What is known of it names a folder below; what is filled in comes below that one.
        [Part::Text(start), _, ..] if start.rsplit_once('/').is_some_and(|(known, _)| is_below(known, working_dir)) => {
            Ok(())
        }
        _ => Err(Refusal::NotOwn),
    }
}

/// Whether a path lies strictly below the folder, by its names alone. Everything lies below the root, which says nothing.
fn is_below(path: &str, folder: Option<&Path>) -> bool {
    let Some(folder) = folder.filter(|folder| folder.is_absolute() && folder.parent().is_some()) else { return false };
    Path::new(path).strip_prefix(folder).is_ok_and(|rest| rest.components().next().is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    fn judged(parts: &[Part], folder: &str) -> Result<(), Refusal> {
        let folder = Some(Path::new(folder)).filter(|folder| !folder.as_os_str().is_empty());
        judge(&Template(parts.to_vec()), folder)
    }

    #[test]
    fn the_private_folder_and_what_lies_below_it_may_be_emptied() {
        assert_eq!(judged(&[Part::DataDir], ""), Ok(()));
        assert_eq!(judged(&[Part::DataDir, text("/tmp")], ""), Ok(()));
        assert_eq!(judged(&[Part::DataDir, text("/"), Part::Param("x".into())], ""), Ok(()));
    }

    #[test]
    fn what_only_begins_like_it_may_not() {
        assert_eq!(judged(&[Part::DataDir, text("2")], ""), Err(Refusal::NotOwn));
        assert_eq!(judged(&[Part::DataDir, Part::Param("x".into())], ""), Err(Refusal::NotOwn));
        assert_eq!(judged(&[text("/work2/tmp")], "/work"), Err(Refusal::NotOwn));
        assert_eq!(judged(&[Part::DataDir, text("/../x")], ""), Err(Refusal::Upwards));
        assert_eq!(judged(&[text("/work/a/../..")], "/work"), Err(Refusal::Upwards));
    }

    #[test]
    fn a_folder_below_the_working_dir_may_and_that_itself_may_not() {
        assert_eq!(judged(&[text("/work/tmp")], "/work"), Ok(()));
        assert_eq!(judged(&[text("/work/tmp/"), Part::Param("x".into())], "/work"), Ok(()));
        for refused in ["/work", "/work/", "/", "/etc", "work/tmp"] {
            assert_eq!(judged(&[text(refused)], "/work"), Err(Refusal::NotOwn), "{refused}");
        }
        // An empty value would leave the whole folder, and any other one chooses among what lies there.
        assert_eq!(judged(&[text("/work/"), Part::Param("x".into())], "/work"), Err(Refusal::NotOwn));
        assert_eq!(judged(&[text("/work/t"), Part::Param("x".into())], "/work"), Err(Refusal::NotOwn));
        assert_eq!(judged(&[Part::Param("x".into())], "/work"), Err(Refusal::NotOwn));
    }

    #[test]
    fn without_a_working_dir_or_with_the_root_as_one_no_path_may() {
        assert_eq!(judged(&[text("/work/tmp")], ""), Err(Refusal::NotOwn));
        assert_eq!(judged(&[text("/etc")], "/"), Err(Refusal::NotOwn));
        assert_eq!(judged(&[], ""), Err(Refusal::Empty));
        assert_eq!(judged(&[text("")], "/work"), Err(Refusal::Empty));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_may_be_emptied_lies_below_the_folder(path in "(/|\\.|\\.\\.|work|tmp|a){0,10}") {
            if judged(&[text(&path)], "/work").is_ok() {
                let real: std::path::PathBuf = Path::new(&path).components().collect();
                prop_assert!(real.starts_with("/work") && real != Path::new("/work"), "{path}");
                prop_assert!(!path.contains("/../") && !path.ends_with("/.."), "{path}");
            }
        }
    }
}

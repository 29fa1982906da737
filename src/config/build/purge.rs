//! `cleanup.actions.purge`: which folder may be emptied. Pure.
//!
//! Only what is surely its own: the private folder, or what lies strictly below a `working_dir` that somebody set. What is
//! filled in for each job is judged again when it is known; here it must not be able to choose among the folders that lie
//! beside one another in the `working_dir`.

use std::path::Path;

use greenroom_actors::{
    spec::{Common, NotOwn, check_own},
    template::{Part, Template},
};

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

/// What is known of the folders that lie about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// The `working_dir` that somebody set.
    pub(super) working_dir: Option<&'a Path>,
    /// `runtime.state_dir`.
    pub(super) state_dir: &'a Path,
}

impl<'a> Around<'a> {
    /// The `working_dir`, with the reason where it is not its own.
    fn own(self, home: Option<&str>) -> (Option<&'a Path>, Option<(&'a Path, NotOwn)>) {
        let common = Common { home: home.map(Path::new), state_dir: self.state_dir };
        match self.working_dir.map(|folder| (folder, check_own(folder, common))) {
            Some((folder, Ok(()))) => (Some(folder), None),
            Some((folder, Err(why))) => (None, Some((folder, why))),
            None => (None, None),
        }
    }
}

/// The folder that a `purge` of `who` names, among those of `on`; `None` if it was reported.
pub(super) fn purge(
    reader: &mut Reader<'_>,
    who: Owner<'_>,
    on: Owner<'_>,
    scope: &Scope<'_>,
    node: &Node,
    around: Around<'_>,
) -> Option<Template> {
    let text = node.text()?;
    let before = reader.errors();
    let folder = template(reader, scope, text, node.span);
    if reader.errors() > before {
        return None;
    }
    let folder = absolute(reader, folder, node);
    let (working_dir, not_own) = around.own(reader.outside.variable("HOME"));
    let message = match judge(&folder, working_dir) {
        Ok(()) => return Some(folder),
        Err(Refusal::Empty) => format!("{who}: `purge` names no folder"),
        Err(Refusal::Upwards) => format!("{who}: `purge`: `..` leads out of the folder in `{text}`"),
        Err(Refusal::NotOwn) => {
            let why = |(folder, why): (&Path, NotOwn)| format!(": its `working_dir` `{}` {why}", folder.display());
            let why = not_own.map(why).unwrap_or_default();
            format!("{who}: `purge` would empty `{text}`, which is no folder of {on}'s own{why}")
        }
    };
    let help = match (working_dir, not_own) {
        (Some(own), _) => format!("write `${{data_dir}}`, a folder below it, or one below `{}`", own.display()),
        (None, Some(_)) => {
            "write `${data_dir}` or a folder below it, or set a `working_dir` that is its own".to_owned()
        }
        (None, None) => {
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

/// Whether a path lies strictly below the folder, by its names alone.
fn is_below(path: &str, folder: Option<&Path>) -> bool {
    let Some(folder) = folder else { return false };
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
        assert_eq!(judged(&[text("/srv/own2/tmp")], "/srv/own"), Err(Refusal::NotOwn));
        assert_eq!(judged(&[Part::DataDir, text("/../x")], ""), Err(Refusal::Upwards));
        assert_eq!(judged(&[text("/srv/own/a/../..")], "/srv/own"), Err(Refusal::Upwards));
    }

    #[test]
    fn a_folder_below_the_working_dir_may_and_that_itself_may_not() {
        assert_eq!(judged(&[text("/srv/own/tmp")], "/srv/own"), Ok(()));
        assert_eq!(judged(&[text("/srv/own/tmp/"), Part::Param("x".into())], "/srv/own"), Ok(()));
        for refused in ["/srv/own", "/srv/own/", "/", "/other", "srv/own/tmp"] {
            assert_eq!(judged(&[text(refused)], "/srv/own"), Err(Refusal::NotOwn), "{refused}");
        }
        // An empty value would leave the whole folder, and any other one chooses among what lies there.
        assert_eq!(judged(&[text("/srv/own/"), Part::Param("x".into())], "/srv/own"), Err(Refusal::NotOwn));
        assert_eq!(judged(&[text("/srv/own/t"), Part::Param("x".into())], "/srv/own"), Err(Refusal::NotOwn));
        assert_eq!(judged(&[Part::Param("x".into())], "/srv/own"), Err(Refusal::NotOwn));
    }

    #[test]
    fn without_a_working_dir_no_path_may() {
        assert_eq!(judged(&[text("/srv/own/tmp")], ""), Err(Refusal::NotOwn));
        assert_eq!(judged(&[], ""), Err(Refusal::Empty));
        assert_eq!(judged(&[text("")], "/srv/own"), Err(Refusal::Empty));
    }

    #[test]
    fn a_working_dir_that_is_not_its_own_is_as_none_and_the_reason_is_told() {
        for (folder, expected) in [
            ("/srv/webui", None),
            ("/", Some(NotOwn::Root)),
            ("/people/me", Some(NotOwn::Home)),
            ("/people/me/.state", Some(NotOwn::StateDir)),
        ] {
            let folder = Path::new(folder);
            let around = Around { working_dir: Some(folder), state_dir: Path::new("/people/me/.state") };
            let own = if expected.is_none() { Some(folder) } else { None };
            assert_eq!(around.own(Some("/people/me")), (own, expected.map(|why| (folder, why))), "{folder:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_may_be_emptied_lies_below_the_folder(path in "(/|\\.|\\.\\.|/srv/own|tmp|a){0,10}") {
            if judged(&[text(&path)], "/srv/own").is_ok() {
                let real: std::path::PathBuf = Path::new(&path).components().collect();
                prop_assert!(real.starts_with("/srv/own") && real != Path::new("/srv/own"), "{path}");
                prop_assert!(!path.contains("/../") && !path.ends_with("/.."), "{path}");
            }
        }
    }
}

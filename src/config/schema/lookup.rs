//! Finding a key by its path.

use super::{gateway, job, key::Key, operations, remote, resources, runtime, service};

/// `[defaults.service]` takes what `[service.NAME]` takes.
const DEFAULTS: [&str; 2] = ["defaults", "service"];

/// What stands at a path.
#[derive(Debug, Clone, Copy)]
pub enum Found {
    /// A key.
    Key(&'static Key),
    /// A table that holds keys.
    Section,
    /// Nothing.
    Unknown,
}

/// Every key, in the order people see them.
pub fn keys() -> impl Iterator<Item = &'static Key> + Clone {
    [runtime::KEYS, gateway::KEYS, resources::KEYS, service::KEYS, job::KEYS, remote::KEYS, operations::KEYS]
        .into_iter()
        .flatten()
}

/// What stands at `path`.
#[must_use]
pub fn lookup(path: &[String]) -> Found {
    let path = canonical(path);
    let mut section = path.is_empty() || path == ["defaults"];
    for key in keys() {
        let mut parts = key.parts();
        if path.iter().all(|name| parts.next().is_some_and(|part| fits(part, name))) {
            if parts.next().is_none() {
                return Found::Key(key);
            }
            section = true;
        }
    }
    if section { Found::Section } else { Found::Unknown }
}

/// What may stand right below `path`, each once; `*` where the user chooses.
#[must_use]
pub fn children(path: &[String]) -> Vec<&'static str> {
    if path == &DEFAULTS[..1] {
        return vec![DEFAULTS[1]];
    }
    let path = canonical(path);
    let mut names = Vec::new();
    for key in keys() {
        let mut parts = key.parts();
        if path.iter().all(|name| parts.next().is_some_and(|part| fits(part, name)))
            && let Some(next) = parts.next()
            && !names.contains(&next)
        {
            names.push(next);
        }
    }
    if path.is_empty() {
        names.push(DEFAULTS[0]);
    }
    names
}

/// A number by which paths sort as the table does.
#[must_use]
pub fn rank(path: &[String]) -> usize {
    let path = canonical(path);
    keys().position(|key| matches(key, &path)).unwrap_or(usize::MAX)
}

fn matches(key: &Key, path: &[&str]) -> bool {
    let mut parts = key.parts();
    path.iter().all(|name| parts.next().is_some_and(|part| fits(part, name))) && parts.next().is_none()
}

fn fits(part: &str, name: &str) -> bool {
    part == "*" || part == name
}

/// The path with `defaults.service` read as a service's.
fn canonical(path: &[String]) -> Vec<&str> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["defaults", "service", rest @ ..] => ["service", "*"].into_iter().chain(rest.iter().copied()).collect(),
        _ => names,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn every_path_of_the_table_is_found_and_is_its_only_one() {
        for key in keys() {
            let same = keys().filter(|other| other.path == key.path).count();
            assert_eq!(same, 1, "{}", key.path);
            assert!(matches!(lookup(&path(key.path)), Found::Key(found) if found.path == key.path));
            assert!(key.help.ends_with('.'), "{}", key.path);
        }
    }

    #[test]
    fn defaults_of_services_take_what_services_take() {
        assert!(matches!(lookup(&path("defaults.service.restart.max")), Found::Key(_)));
        assert!(matches!(lookup(&path("defaults.service")), Found::Section));
        assert!(matches!(lookup(&path("defaults.job")), Found::Unknown));
        assert_eq!(children(&path("defaults")), ["service"]);
        assert!(children(&[]).contains(&"defaults"));
    }

    #[test]
    fn children_are_named_once() {
        assert_eq!(children(&path("service.x.alive.generation")), ["every", "timeout"]);
        assert_eq!(children(&path("service")), ["*"]);
    }
}

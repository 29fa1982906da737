//! The keys of one service or job, collected in code.

use super::{
    in_code::{Setting, SettingKey},
    parse::parse_key,
    value::Value,
};

/// What was set below `section.NAME`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedKeys {
    section: &'static str,
    name: String,
    settings: Vec<(Vec<String>, Value)>,
    unreadable: Vec<(String, Value)>,
}

impl NamedKeys {
    /// None yet.
    pub(super) fn new(section: &'static str, name: String) -> Self {
        Self { section, name, settings: Vec::new(), unreadable: Vec::new() }
    }

    /// One more.
    pub(super) fn key<const N: usize>(mut self, path: [&str; N], value: Value) -> Self {
        self.settings.push((path.map(str::to_owned).to_vec(), value));
        self
    }

    /// One more, written as in TOML.
    pub(super) fn written(mut self, key: &str, value: Value) -> Self {
        match parse_key(key) {
            Some(path) => self.settings.push((path, value)),
            None => self.unreadable.push((key.to_owned(), value)),
        }
        self
    }

    /// As settings of the whole; a key that cannot be read stays as it was written, to be told.
    pub(super) fn into_settings(self) -> Vec<Setting> {
        let head = [self.section.to_owned(), self.name];
        // The table itself, so that one without any key is there.
        let table = (Vec::new(), Value::table());
        let whole = |path: Vec<String>| SettingKey::Path(head.iter().cloned().chain(path).collect());
        let known = std::iter::once(table).chain(self.settings);
        let known = known.map(|(path, value)| Setting { key: whole(path), value });
        let unreadable = self.unreadable.into_iter();
        let unreadable = unreadable.map(|(key, value)| Setting { key: SettingKey::Dotted(key), value });
        known.chain(unreadable).collect()
    }
}

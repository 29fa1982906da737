//! Takes secrets out of whatever goes into a bundle. Pure.
//!
//! Two ways, one after the other. Values that the configuration holds as secrets go wherever they stand, also in the output of
//! a program. And what follows a word such as `--api-key` or `Authorization:` goes whatever it is: it may be one that nobody
//! has told us. Rather too much is taken out than too little, so that a bundle may be sent to somebody.

use std::sync::LazyLock;

use memchr::memmem;
use regex::bytes::{Captures, Regex};

use crate::{
    spec::{JobWork, RuntimeSpec, ServiceSpec},
    template::Template,
};

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";
/// Shorter values are not looked for: they would be found in half of all words. What follows a telling word goes anyway.
const SHORTEST: usize = 6;
/// Words in the names of variables that hold secrets.
const TELLING: [&str; 5] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD"];

/// A value: quoted, quoted within a JSON string, or up to the next space, quote or backslash.
const VALUE: &str = r#"("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\\"(?:[^"\\\n]|\\[^"\n])*\\"|[^\s"'\\\x00]+)"#;
/// The same, as the member of a list or table: it also ends where that does.
const MEMBER: &str = r#"("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\\"(?:[^"\\\n]|\\[^"\n])*\\"|[^\s"'\\\x00,;}\])]+)"#;

/// What comes before a value. Each has the group 1 for what stays.
const BEFORE: [(&str, &str); 7] = [
    // An option and its value, as on a command line, with zero bytes between them, and as members of a list.
    (r#"(?i)(--?[a-z0-9_-]*(?:api[_-]?keys?|token|secret|password|passwd)(?:=|[\s\x00]+|"\s*,\s*|'\s*,\s*))"#, VALUE),
    // A header, or what stands for it in JSON.
    (r#"(?i)(authorization["']?\s*[:=]\s*(?:(?:bearer|basic|digest|token)\s+)?)"#, VALUE),
    (r#"(?i)(\bbearer\s+)"#, VALUE),
    // A parameter of a URL.
    (r#"(?i)([?&](?:key|token|api_key|access_token|sig|signature|secret|password)=)"#, VALUE),
    // A variable of an environment, as it stands and as a key of JSON.
    (r"(\b[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)[A-Z0-9_]*=)", VALUE),
    (r#"(\b[A-Z0-9_]*(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)[A-Z0-9_]*["']\s*[:=]\s*)"#, MEMBER),
    // A key of JSON, TOML or YAML, or a header such as `x-api-key`.
    (
        r#"(?i)([a-z0-9_-]*(?:api[_-]?keys?|access[_-]?key|access[_-]?token|auth[_-]?token|secret|password|passwd)["']?\s*[:=]\s*\[?)"#,
        MEMBER,
    ),
];

/// What is a secret by its own form: the password of a URL, and tokens that say by whom they were made.
const WHOLE: [&str; 2] = [
    r#"(?i)(\b[a-z][a-z0-9+.-]*://[^/\s:@"']*:)([^@/\s"']+)(@)"#,
    r#"(\b)(sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*)()"#,
];

static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let before = BEFORE.iter().map(|(before, value)| format!("(?-u){before}{value}()"));
    let whole = WHOLE.iter().map(|whole| format!("(?-u){whole}"));
    before.chain(whole).filter_map(|form| Regex::new(&form).ok()).collect()
});

/// The secrets that are known. The default knows none, and still finds those that follow a telling word.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<Vec<u8>>);

/// Without them.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// These values, and the words and `name=value` parts that they consist of.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<Vec<u8>> = Vec::new();
        for value in values {
            let value = value.trim();
            let after = value.split_once('=').map(|(_, after)| after);
            let words = value.split_ascii_whitespace().filter(|word| word.len() >= 2 * SHORTEST);
            let lines = value.lines().map(str::trim);
            for part in [value].into_iter().chain(after).chain(words).chain(lines) {
                // As it stands, and as JSON writes it.
                let quoted = serde_json::Value::from(part).to_string();
                let within = quoted.as_bytes()[1..quoted.len() - 1].to_vec();
                known.extend([part.as_bytes().to_vec(), within].into_iter().filter(|part| part.len() >= SHORTEST));
            }
        }
        // A value that holds another goes first, so that nothing of it stays.
        known.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        known.dedup();
        Self(known)
    }

    /// Those of `one` and `other`.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().cloned());
        self.0.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.0.dedup();
        self
    }

    /// Those that a spec holds: keys, variables whose name tells, and the path of the webhook.
    #[must_use]
    pub fn of_spec(spec: &RuntimeSpec) -> Self {
        let keys = spec.gateway.api_keys.iter().cloned();
        let remotes = spec.remotes.iter().filter_map(|remote| remote.api_key.clone());
        let workers = spec.jobs.iter().filter_map(|job| match &job.work {
            JobWork::Process(process) => Some(&process.service),
            JobWork::Request(_) => None,
        });
        let variables = spec.services.iter().chain(workers).flat_map(of_service);
        // What somebody may post to is known to those who know the path.
        let path = |url: &str| url.split_once("://")?.1.split_once('/').map(|(_, path)| path.to_owned());
        let webhook = spec.watchdog.notify.webhook.as_deref().and_then(path).filter(|path| path.len() >= 2 * SHORTEST);
        Self::new(keys.chain(remotes).chain(variables).chain(webhook))
    }

    /// Those that an environment holds, by the names of its variables.
    #[must_use]
    pub fn of_environment(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::new(variables.into_iter().filter(|(name, _)| is_telling(name)).map(|(_, value)| value))
    }

    /// The same bytes without any secret.
    #[must_use]
    pub fn remove(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for secret in &self.0 {
            if memmem::find(&bytes, secret).is_some() {
                bytes = replaced(&bytes, secret);
            }
        }
        for form in FORMS.iter() {
            if form.is_match(&bytes) {
                bytes = form.replace_all(&bytes, masked).into_owned();
            }
        }
        bytes
    }

    /// The same text without any secret.
    #[must_use]
    pub fn remove_from(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.remove(text.as_bytes())).into_owned()
    }
}

fn of_service(service: &ServiceSpec) -> impl Iterator<Item = String> {
    service.env.iter().filter(|(name, _)| is_telling(name)).map(|(_, value)| Template::plain(value))
}

/// Whether a variable of this name holds a secret.
fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    TELLING.iter().any(|word| name.contains(word))
}

fn replaced(bytes: &[u8], secret: &[u8]) -> Vec<u8> {
    let (mut out, mut from) = (Vec::with_capacity(bytes.len()), 0);
    for at in memmem::find_iter(bytes, secret) {
        out.extend_from_slice(&bytes[from..at]);
        out.extend_from_slice(MASK.as_bytes());
        from = at + secret.len();
    }
    out.extend_from_slice(&bytes[from..]);
    out
}

/// Quotes stay, so that JSON stays JSON.
fn masked(found: &Captures<'_>) -> Vec<u8> {
    let group = |n: usize| found.get(n).map(|group| group.as_bytes()).unwrap_or_default();
    let (before, value) = (group(1), group(2));
    let is_json = before.trim_ascii_end().ends_with(b"\":");
    let quote: &[u8] = match value {
        b"null" | b"true" | b"false" if is_json => return [before, value].concat(),
        [b'"', ..] => b"\"",
        [b'\'', ..] => b"'",
        [b'\\', b'"', ..] => b"\\\"",
        // A number. Within a JSON string this is a key without quotes around its value.
        _ if is_json => b"\"",
        _ => b"",
    };
    [before, quote, MASK.as_bytes(), quote, group(3)].concat()
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;

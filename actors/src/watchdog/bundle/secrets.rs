//! Takes secrets out of whatever goes into a bundle. Pure.
//!
//! Two ways, one after the other. Values that the configuration holds as secrets go wherever they stand, also in the output of
//! a program. And what follows a word such as `--api-key` or `Authorization:` goes whatever it is ([`forms`]): it may be one
//! that nobody has told us. Rather too much is taken out than too little, so that a bundle may be sent to somebody.

use memchr::memmem;

use super::forms;
use crate::{
    spec::{JobWork, RuntimeSpec, ServiceSpec},
    template::{Part, Template},
};

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";
/// Shorter values are not looked for: they would be found in half of all words. What follows a telling word goes anyway.
const SHORTEST: usize = 6;
/// Stands for what is not known of an argument before a run.
const HOLE: &str = "${}";
/// Words in the names of variables that hold secrets.
const TELLING: [&str; 5] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD"];

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

    /// Those that a spec holds: keys, variables whose name tells, what options such as `--api-key` are given, and the path of
    /// the webhook.
    #[must_use]
    pub fn of_spec(spec: &RuntimeSpec) -> Self {
        let keys = spec.gateway.api_keys.iter().cloned();
        let remotes = spec.remotes.iter().filter_map(|remote| remote.api_key.clone());
        let workers = spec.jobs.iter().filter_map(|job| match &job.work {
            JobWork::Process(process) => Some(&process.service),
            JobWork::Request(_) => None,
        });
        let of_services = spec.services.iter().chain(workers).flat_map(of_service);
        // What somebody may post to is known to those who know the path.
        let path = |url: &str| url.split_once("://")?.1.split_once('/').map(|(_, path)| path.to_owned());
        let webhook = spec.watchdog.notify.webhook.as_deref().and_then(path).filter(|path| path.len() >= 2 * SHORTEST);
        Self::new(keys.chain(remotes).chain(of_services).chain(webhook))
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
        let found = forms::find(&bytes);
        if found.is_empty() {
            return bytes;
        }
        let (mut out, mut from) = (Vec::with_capacity(bytes.len()), 0);
        for forms::Found { at, quote } in found {
            out.extend_from_slice(&bytes[from..at.start]);
            out.extend([&quote, MASK.as_bytes(), &quote].concat());
            from = at.end;
        }
        out.extend_from_slice(&bytes[from..]);
        out
    }

    /// The same text without any secret.
    #[must_use]
    pub fn remove_from(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.remove(text.as_bytes())).into_owned()
    }
}

fn of_service(service: &ServiceSpec) -> impl Iterator<Item = String> {
    let variables = service.env.iter().filter(|(name, _)| is_telling(name)).map(|(_, value)| Template::plain(value));
    variables.chain(of_command(&service.command))
}

/// What is known before a run of the values that its options, variables and URLs hold.
fn of_command(command: &[Template]) -> Vec<String> {
    // A hole keeps its place, so that what follows is not taken for its value.
    let text = |part: &Part| if let Part::Text(text) = part { text.clone() } else { HOLE.to_owned() };
    let arguments: Vec<String> = command.iter().map(|part| part.0.iter().map(text).collect()).collect();
    let line = arguments.join("\0");
    let found = forms::find(line.as_bytes()).into_iter().filter_map(|found| line.get(found.at));
    found.filter(|value| !value.starts_with('-') && !value.contains(HOLE)).map(str::to_owned).collect()
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

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;

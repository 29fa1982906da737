//! Names and identities: what a service, a run and a process are called everywhere.
//!
//! A *service* has a name that a person chose; each start of it is a *run* with an id of its own, so that late
//! news about an earlier incarnation can be told apart and dropped.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest service name in bytes. Names become file and cgroup names together with a run id and a suffix, and those
/// end at 255 bytes.
pub const MAX_NAME: usize = 64;

/// A service's name as the config gives it: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first one a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

/// Why a text is not a service name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Empty or longer than [`MAX_NAME`] bytes.
    #[error("a name has 1 to {MAX_NAME} characters, this one has {0}")]
    Length(usize),
    /// A character that cannot stand in a file name and a URL unquoted, or not at the start of one.
    #[error("`{0}` cannot stand there: use letters, digits, `.`, `_` and `-`, and begin with a letter or digit")]
    Character(char),
}

impl ServiceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        if text.is_empty() || text.len() > MAX_NAME {
            return Err(BadName::Length(text.len()));
        }
        let plain = |c: char| c.is_ascii_alphanumeric();
        match text.chars().enumerate().find(|&(i, c)| !(plain(c) || i > 0 && ".-_".contains(c))) {
            Some((_, c)) => Err(BadName::Character(c)),
            None => Ok(Self(text.into())),
        }
    }
}

impl TryFrom<String> for ServiceName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One start of a service: a ULID, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(ulid::Ulid);

impl RunId {
    /// A new id, unique on this machine and later than those made before it.
    #[must_use]
    pub fn fresh() -> Self {
        Self(ulid::Ulid::new())
    }

    /// When it was made, in milliseconds since 1970.
    #[must_use]
    pub fn made_at(self) -> u64 {
        self.0.timestamp_ms()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = ulid::DecodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A process id as the kernel gives it. It names a process only while that process lives: across a restart of the
/// runtime use a [`ProcessIdentity`](crate::os::proc::ProcessIdentity).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_a_file_and_a_url_are_taken_and_others_say_why() {
        for good in ["a", "qwen2.5", "chat_1-b", &"x".repeat(64)] {
            assert_eq!(good.parse::<ServiceName>().map(|n| n.to_string()), Ok(good.to_owned()));
        }
        assert_eq!("".parse::<ServiceName>(), Err(BadName::Length(0)));
        assert_eq!("a/b".parse::<ServiceName>(), Err(BadName::Character('/')));
        assert_eq!(".hidden".parse::<ServiceName>(), Err(BadName::Character('.')));
        assert_eq!("x".repeat(65).parse::<ServiceName>(), Err(BadName::Length(65)));
    }

    #[test]
    fn a_run_id_survives_its_text() {
        let id = RunId::fresh();
        assert_eq!(id.to_string().parse::<RunId>().ok(), Some(id));
    }
}

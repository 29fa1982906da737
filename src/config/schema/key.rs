//! What a row of the table says.

use greenroom_actors::{engines::Engines, units::ByteSize};

/// A key: where it stands, what it takes, what holds without it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted path; `*` stands for a name that the user chooses.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds when nobody sets it, as TOML; `None` = nothing.
    pub default: Option<&'static str>,
    /// The key whose value it has when nobody sets it.
    pub same_as: Option<&'static str>,
    /// The key of the same table beside which it has no meaning.
    pub not_beside: Option<&'static str>,
    /// What it does, in a line of Markdown.
    pub help: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number between the two, both included.
    Int(i64, i64),
    /// A share from 0 to 1.
    Ratio,
    /// Any string.
    Text,
    /// A string that is not empty.
    Named,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `"30s"`.
    Duration,
    /// `"30s"`, at least 1 ms: what is waited for or repeated, and must not become a busy loop.
    Pause,
    /// `"8GiB"`.
    Size,
    /// `"8GiB"`, at least so many bytes.
    SizeFrom(u64),
    /// `"1s..60s"`.
    DurationRange,
    /// `"1s..60s"`, at least 1 ms.
    PauseRange,
    /// `"10800-10999"`.
    PortRange,
    /// `"200MiB/10m"`.
    Growth,
    /// `"vram > 0.8"`.
    Condition,
    /// A path, with `~` and `${...}`.
    Path,
    /// A string with `${...}` that are filled in at a start.
    Template,
    /// A regular expression.
    Regex,
    /// `"/health"`.
    HttpPath,
    /// `"POST /shutdown"`, on a service's own port.
    HttpCall,
    /// `"POST https://host/restart"`.
    HttpRequest,
    /// `"http://..."` or `"https://..."`.
    Url,
    /// `"127.0.0.1:8484"` or `"unix:/path"`.
    Listen,
    /// Which requests: `"*"`, `"/v1/*"`, `"POST /prompt"`.
    Requests,
    /// `"auto"`, or the name of an engine.
    Engine,
    /// Program and arguments: a list, or one string.
    Command,
    /// A string, number or `true`/`false`.
    Scalar,
    /// The same; a string with `${...}` that are filled in for each job.
    ScalarTemplate,
    /// A list of these.
    List(&'static Kind),
    /// A table with names that the user chooses.
    Map(&'static Kind),
    /// A table with these fields.
    Record(&'static [Field]),
    /// A table with exactly one of these fields.
    Choice(&'static [Field]),
    /// Any of these.
    OneOf(&'static [Kind]),
}

/// A field of a table that is one value.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
}

impl Key {
    /// A key without a default.
    pub(super) const fn new(path: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { path, kind, default: None, same_as: None, not_beside: None, help }
    }

    /// With a default, as TOML.
    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// With another key's value as its default.
    pub(super) const fn or_as(mut self, key: &'static str) -> Self {
        self.same_as = Some(key);
        self
    }

    /// Without a meaning, and so refused, beside this key of the same table.
    pub(super) const fn not_beside(mut self, key: &'static str) -> Self {
        self.not_beside = Some(key);
        self
    }

    /// The parts of the path.
    pub fn parts(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.path.split('.')
    }

    /// Whether its value must not be shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.path.ends_with("api_key") || self.path.ends_with("api_keys")
    }
}

impl Field {
    /// A field that may be left out.
    pub(super) const fn may(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false }
    }

    /// A field that must be there.
    pub(super) const fn must(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: true }
    }
}

impl Kind {
    /// What it takes, in words for a message: `a duration such as "30s"`.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Int(min, i64::MAX) => format!("a whole number from {min}"),
            Self::Int(min, max) => format!("a whole number from {min} to {max}"),
            Self::Ratio => "a share from 0.0 to 1.0".to_owned(),
            Self::Text => "a string".to_owned(),
            Self::Named => "a string that is not empty".to_owned(),
            Self::Word([only]) => format!("\"{only}\""),
            Self::Word(words) => format!("one of \"{}\"", words.join("\", \"")),
            Self::Duration => "a duration such as \"30s\"".to_owned(),
            Self::Pause => "a duration of at least 1ms such as \"30s\"".to_owned(),
            Self::SizeFrom(least) => format!("a size of at least {} such as \"8GiB\"", ByteSize(*least)),
            Self::Size => "a size such as \"8GiB\"".to_owned(),
            Self::DurationRange => "a range of durations such as \"1s..60s\"".to_owned(),
            Self::PauseRange => "a range of durations of at least 1ms such as \"1s..60s\"".to_owned(),
            Self::PortRange => "a range of ports such as \"10800-10999\"".to_owned(),
            Self::Growth => "a growth such as \"200MiB/10m\"".to_owned(),
            Self::Condition => "a condition such as \"vram > 0.8\"".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Template => "a string, with `${...}` if need be".to_owned(),
            Self::Regex => "a regular expression".to_owned(),
            Self::HttpPath => "a path such as \"/health\"".to_owned(),
            Self::HttpCall => "method and path such as \"POST /shutdown\"".to_owned(),
            Self::HttpRequest => "method and URL such as \"POST https://host/restart\"".to_owned(),
            Self::Url => "a URL such as \"https://host:7860\"".to_owned(),
            Self::Listen => "an address such as \"127.0.0.1:8484\" or \"unix:/run/x.sock\"".to_owned(),
            Self::Requests => "\"*\", a path such as \"/v1/*\", or method and path such as \"POST /prompt\"".to_owned(),
            Self::Engine => expected_engine(),
            Self::Command => "a command: a list of strings, or one string".to_owned(),
            Self::Scalar => "a string, a number or true or false".to_owned(),
            Self::ScalarTemplate => "a string, with `${...}` if need be, a number or true or false".to_owned(),
            Self::List(of) => format!("a list, each member {}", of.expected()),
            Self::Map(of) => format!("a table, each value {}", of.expected()),
            Self::Record(fields) => format!("a table {}", sketch(fields, ", ")),
            Self::Choice(fields) => format!("a table with one of {}", sketch(fields, " | ")),
            Self::OneOf(kinds) => kinds.iter().map(Self::expected).collect::<Vec<_>>().join(", or "),
        }
    }
}

fn expected_engine() -> String {
    let names: Vec<String> = Engines::built_in().all().map(|engine| format!("\"{}\"", engine.name())).collect();
    format!("\"auto\", the name of an engine that the application brings, or one of {}", names.join(", "))
}

fn sketch(fields: &[Field], between: &str) -> String {
    let names = fields.iter().map(|field| field.name).collect::<Vec<_>>().join(between);
    format!("{{ {names} }}")
}

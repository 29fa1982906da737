//! Whether a value is what its key takes. Pure.
//!
//! `${env...}` and `${file...}` are filled in first, but not in commands, templates and paths: those are split or
//! joined before their holes are filled, which happens when the spec is built.

use std::{path::Path, time::Duration};

use greenroom_actors::{
    engines::Engines,
    units::{ByteSize, DurationRange, parse_duration},
};

use super::{
    holes::{BadHole, Piece, from_outside, pieces},
    outside::Outside,
    schema::{Field, Kind},
    source::Span,
    suggest::nearest,
    tree::{Entry, Node, Value},
};

/// The shortest pause between two tries of anything.
const SHORTEST: Duration = Duration::from_millis(1);

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, at or inside the value.
    pub span: Span,
    /// What, without the key.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Whether the fault lies inside the value: a better message than that of the value as a whole.
    inside: bool,
}

/// What a value is checked against.
#[derive(Clone, Copy)]
pub struct Checker<'a> {
    /// Who fills holes.
    pub outside: &'a dyn Outside,
    /// What paths in `${file:...}` are relative to.
    pub base: &'a Path,
    /// What `engine` can name.
    pub engines: &'a Engines,
}

impl Checker<'_> {
    /// The value with its holes filled, if `kind` takes it.
    pub fn check(&self, kind: &Kind, node: &Node) -> Result<Node, Fault> {
        match kind {
            Kind::List(of) => self.list(kind, of, node),
            Kind::Map(of) => self.map(kind, of, node),
            Kind::Record(fields) => self.record(kind, fields, false, node),
            Kind::Choice(fields) => self.record(kind, fields, true, node),
            Kind::OneOf(kinds) => self.one_of(kind, kinds, node),
            Kind::Command => command(kind, node),
            Kind::Engine => self.engine(kind, node),
            Kind::Path | Kind::Template => match &node.value {
                Value::Text(text) => pieces(text).map(|_| node.clone()).map_err(|bad| Fault::hole(node.span, &bad)),
                _ => Err(Fault::sort(kind, node)),
            },
            Kind::ScalarTemplate => match &node.value {
                Value::Text(_) => self.check(&Kind::Template, node),
                _ => scalar(&Kind::Scalar, node).map_err(|_| Fault::sort(kind, node)),
            },
            _ => {
                let (filled, one_hole) = self.fill(node)?;
                let checked = scalar(kind, &filled);
                // A text that was one hole may be a number: there is no other way to write one.
                match filled.text().filter(|_| one_hole && checked.is_err()).and_then(retyped) {
                    Some(value) => scalar(kind, &Node { value, ..filled }),
                    None => checked,
                }
            }
        }
    }

    /// Fills the holes of a text; says whether it was nothing but one hole.
    fn fill(&self, node: &Node) -> Result<(Node, bool), Fault> {
        // `${port}` is the one word with a hole that a key takes as it stands.
        let Some(text) = node.text().filter(|text| text.contains("${") && *text != "${port}") else {
            return Ok((node.clone(), false));
        };
        let bad = |bad: BadHole| Fault::hole(node.span, &bad);
        let parts = pieces(text).map_err(bad)?;
        let (mut filled, mut secret) = (String::new(), false);
        for part in &parts {
            match part {
                Piece::Text(text) => filled.push_str(text),
                Piece::Hole(hole) => {
                    let filling = from_outside(hole, self.base, self.outside)
                        .unwrap_or_else(|| Err(BadHole::Unknown((*hole).to_owned())))
                        .map_err(bad)?;
                    secret |= filling.secret;
                    filled.push_str(&filling.text);
                }
            }
        }
        let one_hole = matches!(parts.as_slice(), [Piece::Hole(_)]);
        Ok((Node { value: Value::Text(filled), span: node.span, secret }, one_hole))
    }

    /// A name that the application's own engines have, or one that is built in.
    fn engine(&self, kind: &Kind, node: &Node) -> Result<Node, Fault> {
        let (filled, _) = self.fill(node)?;
        let Some(name) = filled.text() else { return Err(Fault::sort(kind, &filled)) };
        if name == "auto" || self.engines.named(name).is_some() {
            return Ok(filled);
        }
        let known: Vec<&str> = std::iter::once("auto").chain(self.engines.all().map(|engine| engine.name())).collect();
        let help = nearest(name, known.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
        let message = format!("`{name}` is not one of \"{}\"", known.join("\", \""));
        Err(Fault { span: node.span, message, help, inside: false })
    }

    fn list(&self, kind: &Kind, of: &Kind, node: &Node) -> Result<Node, Fault> {
        let Value::List(items) = &node.value else { return Err(Fault::sort(kind, node)) };
        let items = items.iter().map(|item| self.check(of, item).map_err(Fault::inner)).collect::<Result<_, _>>()?;
        Ok(Node { value: Value::List(items), ..node.clone() })
    }

    fn map(&self, kind: &Kind, of: &Kind, node: &Node) -> Result<Node, Fault> {
        let Value::Table(entries) = &node.value else { return Err(Fault::sort(kind, node)) };
        let entries = entries.iter().map(|entry| {
            let checked = self.check(of, &entry.node).map_err(|fault| fault.inner().named(&entry.key))?;
            Ok(Entry { node: checked, ..entry.clone() })
        });
        Ok(Node { value: Value::Table(entries.collect::<Result<_, _>>()?), ..node.clone() })
    }

    fn record(&self, kind: &Kind, fields: &[Field], one: bool, node: &Node) -> Result<Node, Fault> {
        let Value::Table(entries) = &node.value else { return Err(Fault::sort(kind, node)) };
        let mut checked = Vec::new();
        for entry in entries {
            let Some(field) = fields.iter().find(|field| field.name == entry.key) else {
                let near = nearest(&entry.key, fields.iter().map(|field| field.name));
                let help = near.map_or_else(|| kind.expected(), |near| format!("did you mean `{near}`?"));
                let message = format!("unknown key `{}`", entry.key);
                return Err(Fault { span: entry.key_span, message, help: Some(help), inside: true });
            };
            let value = self.check(&field.kind, &entry.node).map_err(|fault| fault.inner().named(&entry.key))?;
            checked.push(Entry { node: value, ..entry.clone() });
        }
        let whole = |message| Fault { span: node.span, message, help: None, inside: true };
        if one && checked.len() != 1 {
            return Err(whole(format!("expected {}, found {}", kind.expected(), checked.len())));
        }
        if let Some(field) = fields.iter().find(|field| field.required && node.field(field.name).is_none()) {
            return Err(whole(format!("`{}` is missing: {}", field.name, field.kind.expected())));
        }
        Ok(Node { value: Value::Table(checked), ..node.clone() })
    }

    fn one_of(&self, kind: &Kind, kinds: &[Kind], node: &Node) -> Result<Node, Fault> {
        let mut inside = None;
        for alternative in kinds {
            match self.check(alternative, node) {
                Ok(node) => return Ok(node),
                Err(fault) if fault.inside => inside = inside.or(Some(fault)),
                Err(_) => {}
            }
        }
        // A hole that cannot be filled is the same fault for every alternative.
        let (filled, _) = self.fill(node)?;
        Err(inside.unwrap_or_else(|| Fault::sort(kind, &filled)))
    }
}

fn scalar(kind: &Kind, node: &Node) -> Result<Node, Fault> {
    let fits = match (kind, &node.value) {
        (Kind::Bool, Value::Bool(_))
        | (Kind::Text, Value::Text(_))
        | (Kind::Scalar, Value::Text(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)) => Ok(()),
        (Kind::Int(min, max), Value::Int(number)) => within(number, min, max, kind),
        (Kind::Ratio, Value::Float(number)) => within(number, &0.0, &1.0, kind),
        #[allow(clippy::cast_precision_loss, reason = "only 0 and 1 pass")]
        (Kind::Ratio, Value::Int(number)) => within(&(*number as f64), &0.0, &1.0, kind),
        (_, Value::Text(text)) => text_fits(kind, text),
        _ => Err(None),
    };
    match fits {
        Ok(()) => Ok(node.clone()),
        Err(Some((message, help))) if !node.secret => {
            // What is wrong in a pattern says more than which other values there are.
            Err(Fault { span: node.span, message, help, inside: matches!(kind, Kind::Regex) })
        }
        Err(_) => Err(Fault::sort(kind, node)),
    }
}

type Fit = Result<(), Option<(String, Option<String>)>>;

fn within<T: PartialOrd + std::fmt::Display>(number: &T, min: &T, max: &T, kind: &Kind) -> Fit {
    if min <= number && number <= max {
        return Ok(());
    }
    Err(Some((format!("{number} is out of range: expected {}", kind.expected()), None)))
}

/// Whether a text has the form that `kind` asks for; `Err(None)` if texts are not what it takes at all.
fn text_fits(kind: &Kind, text: &str) -> Fit {
    let form = |fits: bool| {
        if fits { Ok(()) } else { Err(Some((format!("`{text}` is not {}", kind.expected()), None))) }
    };
    let quantity = |error: Option<greenroom_actors::units::BadQuantity>| match error {
        None => Ok(()),
        Some(error) => Err(Some((error.to_string(), Some(format!("write {}", kind.expected()))))),
    };
    match kind {
        Kind::Named => form(!text.is_empty()),
        Kind::Word(words) if words.contains(&text) => Ok(()),
        Kind::Word(words) => {
            let help = nearest(text, words.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
            Err(Some((format!("`{text}` is not {}", kind.expected()), help)))
        }
        Kind::Duration => quantity(parse_duration(text).err()),
        Kind::Size => quantity(text.parse::<ByteSize>().err()),
        Kind::Pause => match parse_duration(text) {
            Ok(duration) => form(duration >= SHORTEST),
            Err(error) => quantity(Some(error)),
        },
        Kind::SizeFrom(least) => match text.parse::<ByteSize>() {
            Ok(size) => form(size.0 >= *least),
            Err(error) => quantity(Some(error)),
        },
        Kind::PauseRange => match text.parse::<DurationRange>() {
            Ok(range) => form(range.min >= SHORTEST),
            Err(error) => quantity(Some(error)),
        },
        Kind::DurationRange => quantity(text.parse::<DurationRange>().err()),
        Kind::PortRange => form(port_range(text).is_some()),
        Kind::Growth => form(text.split_once('/').is_some_and(|(size, time)| {
            size.parse::<ByteSize>().is_ok() && parse_duration(time).is_ok_and(|time| !time.is_zero())
        })),
        Kind::Condition => form(text.split_once('>').is_some_and(|(what, share)| {
            ["vram", "ram"].contains(&what.trim()) && share.trim().parse().is_ok_and(|n: f64| (0.0..=1.0).contains(&n))
        })),
        Kind::Regex => regex::Regex::new(text).map(|_| ()).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Some((format!("the regular expression does not compile: {why}"), None))
        }),
        Kind::HttpPath => form(http_path(text)),
        Kind::HttpCall => form(http_call(text).is_some_and(|(_, target)| http_path(target))),
        Kind::HttpRequest => form(http_call(text).is_some_and(|(_, target)| url(target))),
        Kind::Url => form(url(text)),
        Kind::Requests => form(requests(text).is_some()),
        Kind::Listen => form(text.parse::<std::net::SocketAddr>().is_ok() || named_address(text)),
        _ => Err(None),
    }
}

/// Both ends of `"10800-10999"`, the smaller first, neither 0.
#[must_use]
pub fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (0 < first && first <= last).then_some((first, last))
}

/// Method, if there is one, and path of `"*"`, `"/v1/*"`, `"POST /prompt"`. A path is without a query and has a `*` at its
/// end alone.
#[must_use]
pub fn requests(text: &str) -> Option<(Option<&str>, &str)> {
    let (method, path) = match text.split_once(' ') {
        Some((method, path)) => (Some(method), path),
        None => (None, text),
    };
    let known = method.is_none_or(|method| METHODS.contains(&method) || ["HEAD", "OPTIONS"].contains(&method));
    let start = path.strip_suffix('*').unwrap_or(path);
    let plain = http_path(start) && !start.contains(['*', '?', '#']);
    (known && (path == "*" || plain)).then_some((method, path))
}

/// What a program may be asked by.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Method and target of `"POST /shutdown"`.
#[must_use]
pub fn http_call(text: &str) -> Option<(&str, &str)> {
    let (method, target) = text.split_once(' ')?;
    let known = METHODS.contains(&method);
    (known && (http_path(target) || url(target))).then_some((method, target))
}

/// A path such as `"/health"`.
#[must_use]
pub fn http_path(text: &str) -> bool {
    text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic())
}

fn url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(|c| c.is_ascii_graphic()))
}

fn named_address(text: &str) -> bool {
    if let Some(path) = text.strip_prefix("unix:") {
        return !path.is_empty();
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    !host.is_empty() && host.chars().all(named) && port.parse::<u16>().is_ok()
}

fn command(kind: &Kind, node: &Node) -> Result<Node, Fault> {
    let open =
        |node: &Node| pieces(node.text().unwrap_or_default()).map(|_| ()).map_err(|b| Fault::hole(node.span, &b));
    match &node.value {
        Value::Text(_) => open(node)?,
        Value::List(items) => {
            for item in items {
                item.text().ok_or_else(|| Fault::sort(&Kind::Text, item).inner())?;
                open(item).map_err(Fault::inner)?;
            }
        }
        _ => return Err(Fault::sort(kind, node)),
    }
    Ok(node.clone())
}

fn retyped(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Float)).ok(),
    }
}

impl Fault {
    fn hole(span: Span, bad: &BadHole) -> Self {
        Self { span, message: bad.to_string(), help: Some(bad.help()), inside: true }
    }

    /// It is not what the key takes.
    fn sort(kind: &Kind, node: &Node) -> Self {
        let found = match &node.value {
            _ if node.secret => "something else in the file".to_owned(),
            Value::Text(text) if text.len() <= 60 => format!("\"{text}\""),
            Value::Int(_) | Value::Bool(_) | Value::Float(_) => node.to_toml(),
            value => value.sort().to_owned(),
        };
        let message = format!("expected {}, found {found}", kind.expected());
        Self { span: node.span, message, help: None, inside: false }
    }

    fn inner(self) -> Self {
        Self { inside: true, ..self }
    }

    fn named(self, key: &str) -> Self {
        Self { message: format!("`{key}`: {}", self.message), ..self }
    }
}

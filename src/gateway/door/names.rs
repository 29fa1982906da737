//! Whom a request means. Pure.

use std::borrow::Cow;

use serde::Deserialize;

/// A service that requests can go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its own name.
    pub name: &'a str,
    /// The names that clients use.
    pub serves: &'a [String],
}

impl Candidate<'_> {
    fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.serves.iter().any(|served| served == name)
    }

    /// The name to tell clients.
    fn told(&self) -> String {
        self.serves.first().map_or(self.name, String::as_str).to_owned()
    }
}

/// Why a request goes to nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrouted {
    /// Nobody has that name.
    #[error("there is no model `{name}`; {}", listed(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// It names none, and there is none that goes without saying.
    #[error("the request names no model, neither as `model` in its JSON body nor in the header X-Model; {}", listed(.known))]
    NoModel {
        /// What there is.
        known: Vec<String>,
    },
}

fn listed(known: &[String]) -> String {
    match known {
        [] => "no service has a port that requests could go to".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    }
}

/// The service of this name.
///
/// # Errors
/// When there is none.
pub fn find<'a>(name: &str, candidates: &[Candidate<'a>]) -> Result<Candidate<'a>, Unrouted> {
    let found = candidates.iter().find(|candidate| candidate.answers_to(name)).copied();
    found.ok_or_else(|| Unrouted::Unknown { name: name.to_owned(), known: known(candidates) })
}

/// The service that a request means: by the first name that there is, else the only one there is, else the default.
///
/// # Errors
/// When a name is unknown, or there is none at all.
pub fn choose<'a>(
    names: [Option<&str>; 2],
    default: &str,
    candidates: &[Candidate<'a>],
) -> Result<Candidate<'a>, Unrouted> {
    let said = names.into_iter().flatten().find(|name| !name.is_empty());
    match (said, candidates) {
        (Some(name), _) => find(name, candidates),
        (None, [only]) => Ok(*only),
        (None, _) if !default.is_empty() => find(default, candidates),
        (None, _) => Err(Unrouted::NoModel { known: known(candidates) }),
    }
}

fn known(candidates: &[Candidate<'_>]) -> Vec<String> {
    candidates.iter().map(Candidate::told).collect()
}

/// The `model` of a JSON body; `None` where it is none, or has none.
#[must_use]
pub fn model(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        model: Option<Cow<'a, str>>,
    }
    serde_json::from_slice::<Named<'_>>(body).ok()?.model
}

/// Of `/upstream/{service}/{path}?{query}` the service, decoded, and what it is asked for, byte for byte. A path that
/// is not there is `/`.
#[must_use]
pub fn upstream(path_and_query: &str) -> Option<(String, String)> {
    let rest = path_and_query.strip_prefix("/upstream/")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (service, target) = rest.split_at(end);
    let service = decode(service).filter(|name| !name.is_empty())?;
    Some((service, if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_from_the_body_goes_before_one_from_the_header() {
        let (gemma, qwen) = (["gemma".to_owned()], ["qwen".to_owned(), "qwen:latest".to_owned()]);
        let chat = Candidate { name: "chat", serves: &gemma };
        let code = Candidate { name: "code", serves: &qwen };
        let all = [chat, code];
        assert_eq!(choose([Some("qwen:latest"), Some("gemma")], "", &all), Ok(code));
        assert_eq!(choose([Some(""), Some("chat")], "", &all), Ok(chat));
        assert_eq!(choose([None, None], "qwen", &all), Ok(code));
        assert_eq!(choose([None, None], "", &all[..1]), Ok(chat));
        let known = vec!["gemma".to_owned(), "qwen".to_owned()];
        assert_eq!(choose([None, None], "", &all), Err(Unrouted::NoModel { known: known.clone() }));
        assert_eq!(
            choose([Some("gpt"), Some("gemma")], "gemma", &all),
            Err(Unrouted::Unknown { name: "gpt".to_owned(), known })
        );
        for nobody in [choose([None, None], "", &[]), choose([Some("gpt"), None], "", &[])] {
            let told = nobody.expect_err("there is none").to_string();
            assert!(told.ends_with("; no service has a port that requests could go to"), "{told}");
        }
    }

    #[test]
    fn the_model_is_found_wherever_it_stands_in_the_body() {
        assert_eq!(model(br#"{"messages":[{"model":"no"}],"stream":true,"model":"a\u0041"}"#).as_deref(), Some("aA"));
        for none in [&b""[..], b"[]", b"{}", br#"{"model":null}"#, br#"{"model":3}"#, b"not json", b"{\"model\":\"x\""]
        {
            assert_eq!(model(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_follows_the_service_is_passed_on_as_it_is() {
        let split = |text| upstream(text).map(|(service, target)| format!("{service} {target}"));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split("/upstream/chat/a%2Fb/..//c?x=%20&y"), some("chat /a%2Fb/..//c?x=%20&y"));
        assert_eq!(split("/upstream/chat"), some("chat /"));
        assert_eq!(split("/upstream/chat?x"), some("chat /?x"));
        assert_eq!(split("/upstream/org%2Fmodel//evil.example/"), some("org/model //evil.example/"));
        for nobody in ["/upstream/", "/upstream", "/upstream//x", "/upstream/%zz/x", "/upstream/%ff", "/upstream/%f"] {
            assert_eq!(split(nobody), None, "{nobody}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_path_is_changed(path in "(/[!-~]{0,20}){1,4}") {
            prop_assert_eq!(upstream(&format!("/upstream/chat{path}")), Some(("chat".to_owned(), path)));
        }

        #[test]
        fn nothing_that_comes_in_is_too_strange(text in "\\PC{0,40}") {
            if let Some((service, path)) = upstream(&format!("/upstream/{text}")) {
                prop_assert!(!service.is_empty() && path.starts_with('/'));
            }
            prop_assert!(upstream(&text).is_none() || text.starts_with("/upstream/"));
            prop_assert!(model(text.as_bytes()).is_none());
        }
    }
}

//! Whom the path of `/upstream/{service}/{path}` means. Pure.

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

/// Undoes percent-encoding; `None` where it is none, or not UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let &[high, low, ref after @ ..] = after else { return None };
        bytes.push(hex(high)? << 4 | hex(low)?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_follows_the_service_is_passed_on_as_it_is() {
        let split = |text| upstream(text).map(|(service, target)| format!("{service} {target}"));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split("/upstream/chat/a%2Fb/..//c?x=%20&y"), some("chat /a%2Fb/..//c?x=%20&y"));
        assert_eq!(split("/upstream/chat"), some("chat /"));
        assert_eq!(split("/upstream/chat?x"), some("chat /?x"));
        assert_eq!(split("/upstream/org%2Fmodel//evil.example/"), some("org/model //evil.example/"));
        for nobody in [
            "/upstream/",
            "/upstream",
            "/upstream//x",
            "/upstream/%zz/x",
            "/upstream/%ff",
            "/upstream/%f",
            "/upstream/%+f",
        ] {
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
        }
    }
}

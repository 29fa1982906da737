//! Who may ask. Pure.

use greenroom_actors::base64;

/// The key that a request has brought, if it has brought one. `authorization` is the header of that name, `api_key` the
/// header `x-api-key`, which comes first.
#[must_use]
pub fn brought(authorization: Option<&str>, api_key: Option<&str>) -> Option<Vec<u8>> {
    if let Some(key) = api_key {
        return Some(key.trim().as_bytes().to_vec());
    }
    let (scheme, rest) = authorization?.trim().split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.trim().as_bytes().to_vec()),
        // RFC 7617: the name, a colon, the password. Any name will do.
        "basic" => {
            let pair = base64::decode(rest.trim())?;
            let colon = pair.iter().position(|&byte| byte == b':')?;
            Some(pair[colon + 1..].to_vec())
        }
        _ => None,
    }
}

/// Whether it is one of `keys`. Takes the same time whichever it is like, and however much.
#[must_use]
pub fn is_one_of(keys: &[String], brought: &[u8]) -> bool {
    keys.iter().fold(false, |found, key| found | is_same(key.as_bytes(), brought))
}

/// Compares without a way out at the first difference. The length may be learned.
fn is_same(key: &[u8], brought: &[u8]) -> bool {
    let differences = key.iter().zip(brought).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differences) == 0 && key.len() == brought.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_in_three_ways() {
        assert_eq!(brought(Some("Bearer sk-1"), None).as_deref(), Some(&b"sk-1"[..]));
        assert_eq!(brought(Some("bearer  sk-1 "), None).as_deref(), Some(&b"sk-1"[..]));
        assert_eq!(brought(None, Some("sk-2")).as_deref(), Some(&b"sk-2"[..]));
        // anybody:sk:3
        assert_eq!(brought(Some("Basic YW55Ym9keTpzazoz"), None).as_deref(), Some(&b"sk:3"[..]));
        for nothing in ["", "Bearer", "Basic !!", "Basic YWJj", "Digest x"] {
            assert_eq!(brought(Some(nothing), None), None, "{nothing}");
        }
    }

    #[test]
    fn only_the_whole_key_opens() {
        let keys = ["sk-1".to_owned(), "sk-22".to_owned()];
        assert!(is_one_of(&keys, b"sk-1") && is_one_of(&keys, b"sk-22"));
        for other in [&b""[..], b"sk-", b"sk-2", b"sk-12", b"sk-222"] {
            assert!(!is_one_of(&keys, other), "{other:?}");
        }
        assert!(!is_one_of(&[], b""));
    }
}

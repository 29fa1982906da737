//! Who may ask. Pure.

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
            let pair = base64(rest.trim())?;
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

/// RFC 4648, section 4, with or without the padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let value = group.iter().try_fold(0_u32, |value, &digit| Some(value << 6 | u32::from(base64_digit(digit)?)))?;
        let [_, first, second, third] = (value << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => bytes.extend([first, second, third]),
            3 => bytes.extend([first, second]),
            2 => bytes.push(first),
            _ => return None,
        }
    }
    Some(bytes)
}

fn base64_digit(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
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

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm8", b"fo"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!((base64("Z"), base64("Zm9vZ"), base64("Zm=v")), (None, None, None));
    }
}

//! Who goes first among those who wait. Pure.

use crate::gateway::errors::ApiError;

/// The priority that a client with a key may tell in a header: whoever waits for the same service with a lower number is let
/// in after it. A whole number; 0 where nothing is said. `is_known` says whether the client has brought a key: the word of
/// one without is passed over, whatever it says.
///
/// # Errors
/// When it is no whole number of 32 bits.
pub fn of(header: Option<&[u8]>, is_known: bool) -> Result<i32, ApiError> {
    let Some(said) = header.filter(|_| is_known) else { return Ok(0) };
    let number = std::str::from_utf8(said).ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| ApiError::bad_param("X-Priority", "X-Priority is a whole number, such as 10 or -1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_with_a_key_is_heard() {
        let said = |text: &str, is_known| of(Some(text.as_bytes()), is_known).map_err(|refused| refused.param);
        assert_eq!([said("7", true), said(" -3 ", true), said("+1", true)], [Ok(7), Ok(-3), Ok(1)]);
        assert_eq!([said("7", false), said("high", false)], [Ok(0), Ok(0)]);
        for wrong in ["", "high", "1.5", "2147483648", "1 2", "\u{fc}"] {
            assert_eq!(said(wrong, true), Err(Some("X-Priority")), "{wrong}");
        }
        assert_eq!(of(Some(&[0xff]), true).map_err(|refused| refused.code), Err("invalid_request"));
        assert_eq!(of(None, true), Ok(0));
    }
}

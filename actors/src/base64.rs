//! Base64 (RFC 4648, section 4), as images and files travel in JSON. Pure.

use ::base64::{
    Engine as _,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig},
    },
};

/// Padding is written, and may be left out.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

fn engine(alphabet: &Alphabet) -> GeneralPurpose {
    GeneralPurpose::new(alphabet, CONFIG)
}

/// As text, padded. Where bytes come in pieces, each piece but the last has to be a multiple of three long.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    engine(&STANDARD).encode(bytes)
}

/// How many digits so many bytes take.
#[must_use]
pub fn length(bytes: u64) -> u64 {
    bytes.div_ceil(3).saturating_mul(4)
}

/// The bytes of a text; `None` where it is no Base64. Padding may be left out, the digits of section 5 (`-` and `_`) may stand
/// for those of section 4, and ends of lines are passed over.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    if !text.contains(['\r', '\n']) {
        return engine(alphabet).decode(text).ok();
    }
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    engine(alphabet).decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_of_either_section_with_and_without_padding_and_ends_of_lines_are_read() {
        for (text, bytes) in
            [("", &b""[..]), ("Zg==", b"f"), ("Zg", b"f"), ("Zm9v\r\nYg==\n", b"foob"), ("-_-_", b"\xfb\xff\xbf")]
        {
            assert_eq!(decode(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(decode("+/+/"), decode("-_-_"));
        assert_eq!([decode("Z"), decode("Zm9vZ"), decode("Zm=v"), decode("Zm 9")], [const { None }; 4]);
    }

    proptest! {
        #[test]
        fn what_is_written_in_pieces_is_read_whole(bytes: Vec<u8>, threes in 1_usize..5) {
            let text: String = bytes.chunks(threes * 3).map(encode).collect();
            prop_assert_eq!(text.len() as u64, length(bytes.len() as u64));
            prop_assert_eq!(decode(&text), Some(bytes));
        }
    }
}

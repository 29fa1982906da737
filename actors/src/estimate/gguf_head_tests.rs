//! Headers as they are, and as nobody should write them.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// A value, as it is written.
enum Value<'a> {
    U16(u16),
    U32(u32),
    I32(i32),
    U64(u64),
    F32(f32),
    Text(&'a str),
    Texts(&'a [&'a str]),
    Numbers(&'a [u32]),
    /// A type of its own, with these bytes behind it.
    Raw(u32, &'a [u8]),
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn array(out: &mut Vec<u8>, kind: u32, length: usize) {
    out.extend(9u32.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend((length as u64).to_le_bytes());
}

fn plain(out: &mut Vec<u8>, kind: u32, bytes: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend(bytes);
}

impl Value<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U16(n) => plain(out, 2, &n.to_le_bytes()),
            Self::U32(n) => plain(out, 4, &n.to_le_bytes()),
            Self::I32(n) => plain(out, 5, &n.to_le_bytes()),
            Self::U64(n) => plain(out, 10, &n.to_le_bytes()),
            Self::F32(n) => plain(out, 6, &n.to_le_bytes()),
            Self::Raw(kind, bytes) => plain(out, *kind, bytes),
            Self::Text(value) => {
                out.extend(8u32.to_le_bytes());
                text(out, value);
            }
            Self::Texts(values) => {
                array(out, 8, values.len());
                values.iter().for_each(|value| text(out, value));
            }
            Self::Numbers(values) => {
                array(out, 4, values.len());
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }
}

fn file(version: u32, entries: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(version.to_le_bytes());
    out.extend(7u64.to_le_bytes());
    out.extend((entries.len() as u64).to_le_bytes());
    for (key, value) in entries {
        text(&mut out, key);
        value.write(&mut out);
    }
    out
}

fn usual() -> Vec<u8> {
    file(
        3,
        &[
            ("general.architecture", Value::Text("gemma3")),
            ("general.name", Value::Text("a model")),
            ("gemma3.rope.freq_base", Value::F32(1e6)),
            ("tokenizer.ggml.tokens", Value::Texts(&["<s>", "", "heron"])),
            ("tokenizer.ggml.token_type", Value::Numbers(&[3, 1, 1])),
            ("gemma3.block_count", Value::U32(48)),
            ("split.count", Value::U16(3)),
        ],
    )
}

fn head(bytes: &[u8]) -> Result<GgufHead, HeadError> {
    read(&mut Cursor::new(bytes))
}

fn layers(value: Value<'_>) -> Option<u32> {
    let bytes = file(2, &[("llama.block_count", value), ("general.architecture", Value::Text("llama"))]);
    head(&bytes).expect("a header").layers
}

#[test]
fn layers_architecture_and_parts_are_found_among_the_rest() {
    let found = head(&usual()).expect("a header");
    assert_eq!(found, GgufHead { architecture: Some("gemma3".to_owned()), layers: Some(48), splits: Some(3) });
}

#[test]
fn the_count_may_have_any_width_and_stand_before_the_name() {
    assert_eq!(layers(Value::U64(32)), Some(32));
    assert_eq!(layers(Value::I32(32)), Some(32));
    assert_eq!(layers(Value::U16(1)), Some(1));
}

#[test]
fn a_count_that_no_model_has_is_not_believed() {
    for odd in [Value::U32(0), Value::U32(MOST_LAYERS + 1), Value::I32(-1), Value::U64(u64::MAX), Value::Text("48")] {
        assert_eq!(layers(odd), None);
    }
}

#[test]
fn another_architectures_count_is_not_taken() {
    let entries = [
        ("clip.block_count", Value::U32(27)),
        ("general.architecture", Value::Text("llama")),
        ("llama.block_count", Value::U32(32)),
    ];
    assert_eq!(head(&file(3, &entries)).expect("a header").layers, Some(32));
    assert_eq!(head(&file(3, &entries[..2])).expect("a header").layers, None);
}

#[test]
fn what_is_no_header_says_why() {
    assert!(matches!(head(b"PK\x03\x04 and more"), Err(HeadError::NotGguf)));
    assert!(matches!(head(&file(1, &[])), Err(HeadError::Version(1))));
    assert!(matches!(head(&file(3u32.swap_bytes(), &[])), Err(HeadError::Version(_))));
    let nested = [0u8; 12].map(|_| 9);
    assert!(matches!(head(&file(3, &[("a", Value::Raw(9, &nested))])), Err(HeadError::Broken(_))));
    assert!(matches!(head(&file(3, &[("a", Value::Raw(77, &[]))])), Err(HeadError::Broken(_))));
    let endless = u64::MAX.to_le_bytes();
    assert!(matches!(head(&file(3, &[("a", Value::Raw(8, &endless))])), Err(HeadError::Broken(_))));
    let mut crowded = file(3, &[]);
    crowded[16..24].copy_from_slice(&endless);
    assert!(matches!(head(&crowded), Err(HeadError::Broken(_))));
}

#[test]
fn a_header_cut_short_anywhere_is_an_error_and_never_a_wrong_answer() {
    let whole = usual();
    for length in 0..whole.len() {
        let cut = head(&whole[..length]);
        assert!(matches!(cut, Err(HeadError::Unreadable(_))), "{length}: {cut:?}");
    }
}

/// A file of zeros without end, as a sparse one is, and how much of it was read.
struct Endless {
    start: Vec<u8>,
    at: u64,
    read: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for (n, byte) in buffer.iter_mut().enumerate() {
            let place = usize::try_from(self.at).unwrap_or(usize::MAX).saturating_add(n);
            *byte = self.start.get(place).copied().unwrap_or(0);
        }
        self.at += buffer.len() as u64;
        self.read += buffer.len() as u64;
        Ok(buffer.len())
    }
}

impl Seek for Endless {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.at = match to {
            io::SeekFrom::Start(at) => at,
            io::SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            io::SeekFrom::End(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.at)
    }
}

#[test]
fn a_list_without_end_is_given_up_and_what_stood_before_it_is_kept() {
    let mut list = 8u32.to_le_bytes().to_vec();
    list.extend(u64::MAX.to_le_bytes());
    let entries = [
        ("general.architecture", Value::Text("llama")),
        ("llama.block_count", Value::U32(32)),
        ("tokenizer.ggml.tokens", Value::Raw(9, &list)),
    ];
    let mut source = Endless { start: file(3, &entries), at: 0, read: 0 };
    assert_eq!(read(&mut source).expect("what was found").layers, Some(32));
    assert!(source.read <= MOST_READ, "{} bytes were read", source.read);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_can_stand_in_a_file_breaks_it(mut bytes in prop::collection::vec(any::<u8>(), 0..400), real in any::<bool>()) {
        if real && bytes.len() >= 24 {
            bytes[..4].copy_from_slice(b"GGUF");
            bytes[4..8].copy_from_slice(&3u32.to_le_bytes());
            bytes[18..24].fill(0);
        }
        drop(head(&bytes));
    }

    #[test]
    fn a_changed_byte_never_breaks_it(at in 0_usize..200, byte in any::<u8>()) {
        let mut bytes = usual();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(head) = head(&bytes) {
            prop_assert!(head.layers.is_none_or(|n| (1..=MOST_LAYERS).contains(&n)));
        }
    }
}

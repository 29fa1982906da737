//! Headers as they are, and as nobody should write them.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use proptest::prelude::*;

use super::*;
use crate::{
    cause::chain,
    estimate::{gguf::Value, llama::Model},
};

/// Writes in either byte order.
struct Out {
    bytes: Vec<u8>,
    big: bool,
}

impl Out {
    fn number(&mut self, value: u64, width: usize) {
        let mut bytes = value.to_le_bytes()[..width].to_vec();
        if self.big {
            bytes.reverse();
        }
        self.bytes.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64, 8);
        self.bytes.extend(text.as_bytes());
    }

    fn entry(&mut self, key: &str, kind: u64) {
        self.text(key);
        self.number(kind, 4);
    }

    fn number_entry(&mut self, key: &str, value: u64) {
        self.entry(key, 4);
        self.number(value, 4);
    }

    fn list_entry(&mut self, key: &str, kind: u64, length: u64) {
        self.entry(key, 9);
        self.number(kind, 4);
        self.number(length, 8);
    }

    fn tensor(&mut self, name: &str, shape: &[u64], kind: u64, offset: u64) {
        self.text(name);
        self.number(shape.len() as u64, 4);
        shape.iter().for_each(|n| self.number(*n, 8));
        self.number(kind, 4);
        self.number(offset, 8);
    }
}

fn begun(big: bool, version: u64, tensors: u64, entries: u64) -> Out {
    let mut out = Out { bytes: b"GGUF".to_vec(), big };
    out.number(version, 4);
    out.number(tensors, 8);
    out.number(entries, 8);
    out
}

/// A small model, with 256 bytes of data.
fn usual(big: bool) -> Vec<u8> {
    let mut out = begun(big, 3, 3, 8);
    out.entry("general.architecture", 8);
    out.text("llama");
    out.number_entry("llama.block_count", 1);
    out.number_entry("llama.embedding_length", 8);
    out.number_entry("llama.context_length", 512);
    out.number_entry("llama.attention.head_count", 2);
    out.list_entry("llama.attention.head_count_kv", 5, 1);
    out.number(1, 4);
    out.list_entry("tokenizer.ggml.tokens", 8, 3);
    ["<s>", "", "heron"].iter().for_each(|text| out.text(text));
    out.list_entry("tokenizer.ggml.scores", 6, 3);
    (0..3).for_each(|_| out.number(0, 4));
    out.tensor("token_embd.weight", &[8, 3], 0, 0);
    out.tensor("blk.0.attn_q.weight", &[8, 8], 1, 96);
    out.tensor("blk.0.odd", &[8], 77, 224);
    let data = out.bytes.len().next_multiple_of(32);
    out.bytes.resize(data + 256, 0);
    out.bytes
}

fn read(bytes: &[u8]) -> Result<Header, GgufError> {
    Header::read(Cursor::new(bytes))
}

#[test]
fn words_numbers_and_tensors_are_read_in_either_byte_order() {
    for big in [false, true] {
        let header = read(&usual(big)).expect("a header");
        assert_eq!(header.metadata.text("general.architecture"), Some("llama"));
        assert_eq!(header.metadata.number("llama.embedding_length"), Some(8));
        assert_eq!(header.metadata.get("llama.attention.head_count_kv"), Some(&Value::List(vec![1])));
        assert_eq!(header.metadata.length("tokenizer.ggml.tokens"), Some(3));
        let sizes: Vec<(&str, u64)> = header.tensors.iter().map(|t| (t.name.as_str(), t.bytes)).collect();
        // Of a type that nobody knows: up to the end of the file.
        assert_eq!(sizes, [("token_embd.weight", 96), ("blk.0.attn_q.weight", 128), ("blk.0.odd", 32)]);
        assert_eq!(header.tensors[1].begins - header.tensors[0].begins, 96);
    }
}

#[test]
fn what_is_no_header_says_where_and_why() {
    let why = |bytes: &[u8]| chain(&read(bytes).expect_err("no header"));
    assert_eq!(why(b"PK\x03\x04 and more"), "at byte 0: this is no GGUF file");
    assert_eq!(why(b""), "at byte 0: this is no GGUF file");
    assert_eq!(why(&begun(false, 1, 0, 0).bytes), "at byte 8: GGUF version 1 is not known, 2 and 3 are");
    let crowded = why(&begun(false, 3, u64::MAX, 0).bytes);
    assert_eq!(crowded, format!("at byte 16: tensors: {} is more than the 0 that are possible here", u64::MAX));
    assert_eq!(why(&begun(false, 3, 0, 0).bytes[..20]), "at byte 16: the file is cut short here");
    let mut nested = begun(false, 3, 0, 1);
    nested.list_entry("a", 9, 1);
    nested.bytes.extend([0; 64]);
    assert!(why(&nested.bytes).contains("unknown type 9"), "{}", why(&nested.bytes));
    let mut endless = begun(false, 3, 0, 1);
    endless.entry("a", 8);
    endless.number(u64::MAX, 8);
    assert!(why(&endless.bytes).contains("bytes of a value"), "{}", why(&endless.bytes));
    let mut wide = begun(false, 3, 1, 0);
    wide.tensor("huge", &[u64::MAX, u64::MAX], 0, 0);
    assert!(why(&wide.bytes).contains("`huge` is beyond any file"), "{}", why(&wide.bytes));
    let whole = usual(false);
    let cut = why(&whole[..whole.len() - 40]);
    assert!(cut.contains("tensor `blk.0.attn_q.weight` would end at byte"), "{cut}");
}

#[test]
fn an_offset_that_overflows_is_beyond_the_file() {
    let mut out = begun(false, 3, 1, 0);
    out.tensor("far", &[8], 0, u64::MAX - 8);
    out.bytes.resize(4096, 0);
    assert!(matches!(read(&out.bytes).expect_err("beyond").wrong, Wrong::CutShort { end: u64::MAX, .. }));
}

#[test]
fn a_header_cut_short_anywhere_is_an_error_and_never_a_wrong_answer() {
    let whole = usual(false);
    // The last tensor takes whatever the file has.
    for length in 0..whole.len() - 32 {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
}

/// A file of zeros that says it is as long as a file can be, and how much of it was read.
struct Endless {
    start: Vec<u8>,
    at: u64,
    read: u64,
}

impl Read for &mut Endless {
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

impl Seek for &mut Endless {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(by) => (1_u64 << 62).saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

#[test]
fn a_list_without_end_in_a_file_without_end_is_given_up() {
    let mut out = begun(false, 3, 0, 1);
    out.list_entry("tokenizer.ggml.tokens", 8, 1 << 50);
    let mut source = Endless { start: out.bytes, at: 0, read: 0 };
    let error = Header::read(&mut source).expect_err("given up");
    assert!(matches!(error.wrong, Wrong::TooMany { what: "bytes of a header", .. }), "{error:?}");
    assert!(source.read <= 32 << 20, "{} bytes were read", source.read);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_can_stand_in_a_file_breaks_it(
        mut bytes in prop::collection::vec(any::<u8>(), 0..600), real in any::<bool>(),
    ) {
        if real && bytes.len() >= 24 {
            bytes[..4].copy_from_slice(b"GGUF");
            bytes[4..8].copy_from_slice(&3_u32.to_le_bytes());
            bytes[9..16].fill(0);
            bytes[17..24].fill(0);
        }
        drop(read(&bytes));
    }

    #[test]
    fn changed_bytes_never_break_it_nor_what_is_made_of_it(
        changes in prop::collection::vec((0_usize..1000, any::<u8>()), 1..6), big in any::<bool>(),
    ) {
        let mut bytes = usual(big);
        let length = bytes.len();
        changes.iter().for_each(|(at, byte)| bytes[at % length] = *byte);
        if let Ok(header) = read(&bytes) {
            prop_assert!(header.tensors.iter().all(|tensor| tensor.begins + tensor.bytes <= length as u64));
            if let Ok(model) = Model::of(vec![header]) {
                let estimate = model.estimate(&crate::estimate::llama::Options::default(), 2, true);
                prop_assert!(estimate.vram() > 0);
            }
        }
    }
}

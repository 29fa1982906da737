//! A tape archive, as far as a bundle needs one: plain files with short names. Pure.
//!
//! The format is `ustar` of POSIX.1-1988 (IEEE Std 1003.1, `pax`, "ustar Interchange Format"): blocks of 512 bytes, a header
//! of fixed fields with octal numbers before each file, two blocks of zeros at the end. Every `tar` reads it.

/// Everything is made of these.
pub const BLOCK: usize = 512;
/// Longest name: the field that it stands in. The prefix field is not used.
const LONGEST_NAME: usize = 100;
/// The largest size that eleven octal digits hold.
const LARGEST: u64 = 0o777_7777_7777;

/// Where the fields stand: offset and length.
const NAME: (usize, usize) = (0, 100);
const MODE: (usize, usize) = (100, 8);
const OWNER: (usize, usize) = (108, 8);
const GROUP: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
const MODIFIED: (usize, usize) = (136, 12);
const CHECKSUM: (usize, usize) = (148, 8);
const KIND: usize = 156;
const MAGIC: (usize, usize) = (257, 8);

/// What cannot be put into an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMember {
    /// No relative path of 1 to 100 bytes that leads only downwards.
    #[error("`{0}` cannot be the name of a file in an archive")]
    Name(String),
    /// 8 GiB or more.
    #[error("{0} bytes are more than fit into an archive")]
    Size(u64),
}

/// The header of a file that only its owner may read. `modified` is in seconds since 1970; what lies before is 1970.
///
/// # Errors
/// When the name or the size does not fit.
pub fn header(name: &str, size: u64, modified: i64) -> Result<[u8; BLOCK], BadMember> {
    let leads_down = name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if name.len() > LONGEST_NAME || !leads_down || name.contains('\0') {
        return Err(BadMember::Name(name.to_owned()));
    }
    if size > LARGEST {
        return Err(BadMember::Size(size));
    }
    let mut block = [0; BLOCK];
    put(&mut block, NAME, name.as_bytes());
    put_octal(&mut block, MODE, 0o600);
    put_octal(&mut block, OWNER, 0);
    put_octal(&mut block, GROUP, 0);
    put_octal(&mut block, SIZE, size);
    put_octal(&mut block, MODIFIED, u64::try_from(modified).unwrap_or(0).min(LARGEST));
    block[KIND] = b'0';
    put(&mut block, MAGIC, b"ustar\x0000");
    // The sum over all bytes, with spaces where it stands itself.
    put(&mut block, CHECKSUM, b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    put(&mut block, CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// How many zeros follow a file of this size, up to the next block.
#[must_use]
pub fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if over == 0 { 0 } else { BLOCK - over }
}

/// What stands at the end of an archive.
#[must_use]
pub fn end() -> [u8; 2 * BLOCK] {
    [0; 2 * BLOCK]
}

fn put(block: &mut [u8; BLOCK], (at, length): (usize, usize), text: &[u8]) {
    let length = length.min(text.len());
    block[at..at + length].copy_from_slice(&text[..length]);
}

/// Leading zeros and a zero byte at the end, as the fields for numbers want it.
fn put_octal(block: &mut [u8; BLOCK], field: (usize, usize), number: u64) {
    let digits = field.1 - 1;
    put(block, field, format!("{number:0digits$o}\0").as_bytes());
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use proptest::prelude::*;

    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, text) in members {
            let size = text.len() as u64;
            bytes.extend(header(name, size, 1_763_715_600).expect("a header"));
            bytes.extend_from_slice(text);
            bytes.extend(std::iter::repeat_n(0, padding(size)));
        }
        bytes.extend(end());
        bytes
    }

    #[test]
    fn the_tar_of_this_machine_lists_and_unpacks_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let long = format!("logs/{}.log", "x".repeat(64));
        let full = vec![7; BLOCK];
        let members: [(&str, &[u8]); 4] =
            [("SUMMARY.md", b"one\n"), (&long, b"\x00\xff\n"), ("empty", b""), ("a/b/full", &full)];
        let file = dir.path().join("a.tar");
        fs::write(&file, archive(&members)).expect("written");
        let listed = Command::new("tar").arg("-tvf").arg(&file).env("TZ", "UTC").output().expect("tar");
        let (text, said) = (String::from_utf8_lossy(&listed.stdout), String::from_utf8_lossy(&listed.stderr));
        assert!(listed.status.success() && said.is_empty(), "{said}");
        assert_eq!(text.lines().filter(|line| line.starts_with("-rw-------")).count(), 4, "{text}");
        assert!(text.contains("2025-11-21 09:00"), "{text}");
        let out = dir.path().join("out");
        fs::create_dir(&out).expect("made");
        assert!(Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&out).status().expect("tar").success());
        for (name, text) in members {
            assert_eq!(fs::read(out.join(name)).expect("unpacked"), text, "{name}");
        }
    }

    #[test]
    fn what_would_lead_elsewhere_or_does_not_fit_is_refused() {
        for name in ["", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a\0b", &"x".repeat(101)] {
            assert_eq!(header(name, 0, 0), Err(BadMember::Name(name.to_owned())));
        }
        assert_eq!(header("a", LARGEST + 1, 0), Err(BadMember::Size(LARGEST + 1)));
        assert!(header(&"x".repeat(100), LARGEST, i64::MIN).is_ok());
    }

    proptest! {
        #[test]
        fn every_file_ends_at_a_block(size in 0..=LARGEST) {
            prop_assert_eq!((size + padding(size) as u64) % BLOCK as u64, 0);
            prop_assert!(padding(size) < BLOCK);
        }

        #[test]
        fn no_name_makes_it_panic(name in "\\PC{0,120}", size in any::<u64>(), modified in any::<i64>()) {
            drop(header(&name, size, modified));
        }
    }
}

//! Which part of a file is asked for: one range of bytes (RFC 9110, 14). Pure.

/// What is to be sent of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// These bytes.
    Bytes {
        /// Where the first of them stands, from 0.
        from: u64,
        /// How many there are, at least 1, all of them within the file.
        count: u64,
    },
    /// Nothing: the file has none of the bytes that are asked for.
    None,
}

impl Part {
    /// What a `Range` header asks for of a file of `size` bytes. One that cannot be read, that counts in anything but bytes, or
    /// that has several ranges is as none, which 14.2 allows.
    #[must_use]
    pub fn of(range: &str, size: u64) -> Self {
        Self::asked(range, size).unwrap_or(Self::Whole)
    }

    /// `None`: it asks for nothing that is understood here.
    fn asked(range: &str, size: u64) -> Option<Self> {
        let (unit, range) = range.split_once('=')?;
        let (first, last) = range.trim().split_once('-')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (from, to) = match (first, last) {
            ("", last) => match number(last)? {
                0 => return Some(Self::None),
                // The last bytes of a file without any are all of it.
                _ if size == 0 => return None,
                count => (size.saturating_sub(count), size),
            },
            (first, "") => (number(first)?, size),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                (first, last.saturating_add(1).min(size))
            }
        };
        Some(if from < size { Self::Bytes { from, count: to - from } } else { Self::None })
    }
}

/// Digits alone; one that is larger than any file is the largest there is.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(from: u64, count: u64) -> Part {
        Part::Bytes { from, count }
    }

    #[test]
    fn one_range_is_a_part_and_what_is_not_understood_is_as_none() {
        for (range, part) in [
            ("bytes=0-0", bytes(0, 1)),
            ("bytes=2-5", bytes(2, 4)),
            ("Bytes = 2-5", bytes(2, 4)),
            ("bytes=2-", bytes(2, 8)),
            ("bytes=9-99", bytes(9, 1)),
            ("bytes=0-99999999999999999999999", bytes(0, 10)),
            ("bytes=-3", bytes(7, 3)),
            ("bytes=-30", bytes(0, 10)),
            ("bytes=10-", Part::None),
            ("bytes=99999999999999999999999-", Part::None),
            ("bytes=-0", Part::None),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=1--2", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("0-5", Part::Whole),
        ] {
            assert_eq!(Part::of(range, 10), part, "{range}");
        }
        assert_eq!((Part::of("bytes=0-", 0), Part::of("bytes=-5", 0)), (Part::None, Part::Whole));
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(range in "bytes=[0-9]{0,3}-[0-9]{0,3}", size in 0_u64..1_000) {
            if let Part::Bytes { from, count } = Part::of(&range, size) {
                prop_assert!(count > 0 && from + count <= size);
            }
        }

        #[test]
        fn no_header_makes_it_panic(range in ".{0,40}", size: u64) {
            if let Part::Bytes { from, count } = Part::of(&range, size) {
                prop_assert!(count > 0 && from.checked_add(count).is_some_and(|end| end <= size));
            }
        }
    }
}

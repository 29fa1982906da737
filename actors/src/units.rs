//! Durations and sizes as people write them (`"250ms"`, `"7.5GB"`), and back.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// An amount of memory or disk in bytes. Text form: a number and one of `B KB MB GB TB` (powers of 1000) or
/// `KiB MiB GiB TiB` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuantity {
    /// No number at the start.
    #[error("`{0}` does not begin with a number")]
    Number(String),
    /// A unit that is not known.
    #[error("unknown unit `{unit}`: use one of {known}")]
    Unit {
        /// What was written.
        unit: String,
        /// What could have been.
        known: &'static str,
    },
    /// More than the type holds.
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// A range without `..`, or one whose end lies before its start.
    #[error("`{0}` is not a range: write it like \"1s..60s\", the smaller one first")]
    Range(String),
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const DURATION_UNITS: &[(&str, f64)] =
    &[("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

/// Splits `"7.5GB"` into its number and its unit.
fn split(text: &str) -> Result<(f64, &str), BadQuantity> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse().map_err(|_| BadQuantity::Number(text.to_owned()))?;
    Ok((number, unit.trim()))
}

impl FromStr for ByteSize {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let (number, unit) = split(text)?;
        let known = || BadQuantity::Unit { unit: unit.to_owned(), known: "B KB MB GB TB KiB MiB GiB TiB" };
        let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(known)?;
        #[allow(clippy::cast_precision_loss)]
        let bytes = number * *factor as f64;
        // 2^63 and not 2^64: every amount must also fit SQLite's and TOML's signed integers.
        if bytes >= 9.2e18 {
            return Err(BadQuantity::TooLarge(text.to_owned()));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
            .into_iter()
            .find(|(_, factor)| self.0 >= *factor)
            .unwrap_or(("B", 1));
        if self.0.is_multiple_of(factor) {
            return f.pad(&format!("{}{name}", self.0 / factor));
        }
        #[allow(clippy::cast_precision_loss)]
        f.pad(&format!("{:.1}{name}", self.0 as f64 / factor as f64))
    }
}

/// Reads `"250ms"`, `"1.5s"`, `"10m"`, `"2h"`, `"90d"`. Errors name the text and the units that are known.
pub fn parse_duration(text: &str) -> Result<Duration, BadQuantity> {
    let (number, unit) = split(text)?;
    let known = || BadQuantity::Unit { unit: unit.to_owned(), known: "us ms s m h d" };
    let (_, factor) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(known)?;
    let seconds = number * factor;
    // A thousand years: longer ones overflow the arithmetic on points in time.
    if seconds > 3.2e10 {
        return Err(BadQuantity::TooLarge(text.to_owned()));
    }
    // To the microsecond: finer digits are noise of the multiplication.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// Writes a duration the way the config reads it, in the largest unit that keeps it whole: `90s`, `1.5s`, `10m`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 && !duration.is_zero() {
        return format!("{}us", duration.as_micros());
    }
    match millis {
        0 => "0s".to_owned(),
        n if n % 86_400_000 == 0 => format!("{}d", n / 86_400_000),
        n if n % 3_600_000 == 0 => format!("{}h", n / 3_600_000),
        n if n % 60_000 == 0 => format!("{}m", n / 60_000),
        n if n % 1_000 == 0 => format!("{}s", n / 1_000),
        n if n > 1_000 => format!("{}s", duration.as_secs_f64()),
        n => format!("{n}ms"),
    }
}

/// A span of durations, written `"1s..60s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationRange {
    /// The smaller end.
    pub min: Duration,
    /// The larger end, at least `min`.
    pub max: Duration,
}

impl FromStr for DurationRange {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let (min, max) = text.split_once("..").ok_or_else(|| BadQuantity::Range(text.to_owned()))?;
        let (min, max) = (parse_duration(min)?, parse_duration(max)?);
        if min > max {
            return Err(BadQuantity::Range(text.to_owned()));
        }
        Ok(Self { min, max })
    }
}

impl fmt::Display for DurationRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", format_duration(self.min), format_duration(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn binary_and_decimal_sizes_are_told_apart() {
        assert_eq!("8GiB".parse(), Ok(ByteSize(8 << 30)));
        assert_eq!("7.5GB".parse(), Ok(ByteSize(7_500_000_000)));
        assert_eq!("12 B".parse(), Ok(ByteSize(12)));
        assert!(matches!("8gb".parse::<ByteSize>(), Err(BadQuantity::Unit { .. })));
        assert!(matches!("GiB".parse::<ByteSize>(), Err(BadQuantity::Number(_))));
        assert!(matches!("99999999TiB".parse::<ByteSize>(), Err(BadQuantity::TooLarge(_))));
    }

    #[test]
    fn durations_and_ranges_read_as_written() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert!(parse_duration("5").is_err());
        assert!("60s..1s".parse::<DurationRange>().is_err());
        assert_eq!("1s..60s".parse::<DurationRange>().map(|r| r.to_string()), Ok("1s..1m".to_owned()));
    }

    proptest! {
        #[test]
        fn a_duration_in_milliseconds_survives_its_text(ms in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,40}") {
            let _size = text.parse::<ByteSize>();
            let _duration = parse_duration(&text);
            let _range = text.parse::<DurationRange>();
        }
    }
}

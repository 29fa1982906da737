//! What the kernel's short files say. Pure.

/// Share of the last ten seconds that was lost to waiting for memory, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    /// At least one process waited.
    pub some: f64,
    /// All of them did.
    pub full: f64,
}

/// What tells whether anything has begun or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    /// How many threads there are.
    pub(super) threads: u64,
    /// The last id that was given away.
    pub(super) last: u64,
}

/// From the text of `/proc/pressure/memory` (`Documentation/accounting/psi.rst`):
/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`.
pub(super) fn stall(text: &str) -> Option<Stall> {
    let average = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
        let figure = line.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg10="))?;
        figure.parse::<f64>().ok().filter(|percent| percent.is_finite())
    };
    Some(Stall { some: average("some")?, full: average("full")? })
}

/// From the text of `/proc/loadavg` (proc(5)): `0.20 0.18 0.12 1/80 11206`.
pub(super) fn life(text: &str) -> Option<Life> {
    let mut fields = text.split_ascii_whitespace().skip(3);
    let (_, threads) = fields.next()?.split_once('/')?;
    Some(Life { threads: threads.parse().ok()?, last: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pressure_is_read_from_both_lines() {
        let text = "some avg10=1.53 avg60=0.61 avg300=0.14 total=8273\nfull avg10=0.25 avg60=0.1 avg300=0 total=9\n";
        assert_eq!(stall(text), Some(Stall { some: 1.53, full: 0.25 }));
        assert_eq!(stall("some avg10=1.53\n"), None);
        assert_eq!(stall("some avg10=NaN\nfull avg10=1\n"), None);
    }

    #[test]
    fn threads_and_the_last_id_are_read() {
        assert_eq!(life("0.20 0.18 0.12 1/80 11206\n"), Some(Life { threads: 80, last: 11206 }));
        assert_eq!(life("0.20 0.18 0.12 80 11206\n"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_text_makes_the_parsers_panic(text in "(some|full)? ?[ -~\\n]{0,80}") {
            let _read = (stall(&text), life(&text));
        }
    }
}

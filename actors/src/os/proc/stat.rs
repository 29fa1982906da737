//! What the kernel says of one process in numbers.

use std::io;

use super::file::{gone, path, short};
use crate::ids::Pid;

/// What is used of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `D`, `Z`, ...
    pub state: char,
    /// The parent.
    pub parent: Pid,
    /// The session.
    pub session: Pid,
    /// Field 22: clock ticks since boot at its start.
    pub start_time: u64,
    /// Field 24: resident memory in pages.
    pub resident_pages: u64,
}

impl Stat {
    /// Whether it still runs: neither ended nor being ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads a line of `/proc/PID/stat`. The name in it may contain spaces and parentheses, so fields are counted from the
/// last closing one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // fields[0] is field 3, the state.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let pid = |field: usize| Some(Pid(u32::try_from(number(field)?).ok()?));
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: pid(4)?,
        session: pid(6)?,
        start_time: number(22)?,
        resident_pages: number(24)?,
    })
}

/// One process.
///
/// # Errors
/// `NotFound` when there is none with this id.
pub fn stat(pid: Pid) -> io::Result<Stat> {
    let bytes = short(&path(pid, "stat")).map_err(gone)?;
    // The name may hold any bytes.
    parse_stat(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as documented")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "12 (a) S (b) c) S 1 12 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 777 5 42 0 0";

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = parse_stat(LINE).expect("a stat");
        assert_eq!((stat.state, stat.parent, stat.session), ('S', Pid(1), Pid(9)));
        assert_eq!((stat.start_time, stat.resident_pages), (777, 42));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[ -~]{0,60}\\)?[ -~]{0,120}") {
            let _stat = parse_stat(&text);
        }

        #[test]
        fn any_name_is_skipped(name in "[ -~]{0,15}") {
            let text = format!("12 ({name}) S 1 12 9 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 777 5 42 0 0");
            prop_assert_eq!(parse_stat(&text), parse_stat(LINE));
        }
    }
}

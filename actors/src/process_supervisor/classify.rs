//! Names the cause of an end from its exit status and from what the output said. Pure.

use crate::{spec::FailureClass, state::ExitReport};

/// How a main process ended, as the kernel says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody knows (it was never started, or its status was lost).
    Unknown,
}

impl Exit {
    /// The exit status, if there is one.
    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) | Self::Unknown => None,
        }
    }

    /// The signal, if one ended it.
    #[must_use]
    pub fn signal(self) -> Option<i32> {
        match self {
            Self::Signal(signal) => Some(signal),
            Self::Code(_) | Self::Unknown => None,
        }
    }
}

/// SIGKILL's number, the same on every Linux.
const SIGKILL: i32 = 9;

/// The class of an end that nobody asked for. `matched` is the class of the line of output that a failure rule
/// recognised, if any: it names the cause better than a status ever does, but a clean status outweighs it, since engines
/// print such lines and recover.
#[must_use]
pub fn classify(exit: Exit, matched: Option<FailureClass>) -> Option<FailureClass> {
    if exit == Exit::Code(0) {
        return None;
    }
    Some(matched.unwrap_or(match exit {
        // What a shell says, and our own `__exec` with it: not found, and found but not executable.
        Exit::Code(126 | 127) => FailureClass::MissingCommand,
        // What a shell says when its child was killed.
        Exit::Code(137) | Exit::Signal(SIGKILL) => FailureClass::Killed,
        Exit::Code(_) => FailureClass::Exit,
        Exit::Signal(_) => FailureClass::Killed,
        Exit::Unknown => FailureClass::Unknown,
    }))
}

/// An end in a sentence: ``ended with exit code 1 (oom_gpu): `cudaMalloc failed: out of memory` ``.
/// `cause` is a line of the output that explains it, or what kept it from starting, or from being known.
#[must_use]
pub fn describe(exit: &ExitReport, was_started: bool, cause: Option<&str>) -> String {
    let mut text = match (exit.code, exit.signal) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}{}", signal_name(signal)),
        (None, None) => match cause {
            Some(cause) if was_started => return format!("ended: {cause}"),
            Some(cause) => return format!("could not be started: {cause}"),
            None => "ended, nobody knows how".to_owned(),
        },
    };
    if let Some(class) = exit.class
        && !matches!(class, FailureClass::Exit | FailureClass::Unknown)
    {
        text.push_str(&format!(" ({})", class.name()));
    }
    if exit.class.is_some()
        && let Some(line) = cause.or(exit.stderr.last().map(String::as_str))
    {
        text.push_str(&format!(": `{}`", line.trim()));
    }
    text
}

/// The names of the signals that end engines, in brackets.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        4 => " (SIGILL: the program was built for another CPU)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL: perhaps the kernel's out-of-memory killer)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn report(code: Option<i32>, signal: Option<i32>, class: Option<FailureClass>, stderr: &[&str]) -> ExitReport {
        let stderr = stderr.iter().map(|&l| l.to_owned()).collect();
        ExitReport { code, signal, class, stderr, at: Timestamp::from_micros(0) }
    }

    #[test]
    fn a_recognised_line_names_the_cause_and_the_status_does_otherwise() {
        assert_eq!(classify(Exit::Code(1), Some(FailureClass::OomGpu)), Some(FailureClass::OomGpu));
        assert_eq!(classify(Exit::Code(0), Some(FailureClass::OomGpu)), None);
        assert_eq!(classify(Exit::Code(127), None), Some(FailureClass::MissingCommand));
        assert_eq!(classify(Exit::Code(127), Some(FailureClass::MissingLibrary)), Some(FailureClass::MissingLibrary));
        assert_eq!(classify(Exit::Signal(9), None), Some(FailureClass::Killed));
        assert_eq!(classify(Exit::Code(3), None), Some(FailureClass::Exit));
        assert_eq!(classify(Exit::Unknown, None), Some(FailureClass::Unknown));
    }

    #[test]
    fn the_sentence_says_status_class_and_line() {
        let exit = report(Some(1), None, Some(FailureClass::OomGpu), &["other"]);
        assert_eq!(describe(&exit, true, Some("no memory ")), "ended with exit code 1 (oom_gpu): `no memory`");
        let exit = report(Some(3), None, Some(FailureClass::Exit), &["first", "last"]);
        assert_eq!(describe(&exit, true, None), "ended with exit code 3: `last`");
        assert_eq!(describe(&report(Some(0), None, None, &["chatter"]), true, None), "ended with exit code 0");
        assert_eq!(describe(&report(None, Some(11), None, &[]), true, None), "ended by signal 11 (SIGSEGV)");
        let never = report(None, None, Some(FailureClass::MissingCommand), &[]);
        assert_eq!(describe(&never, true, Some("its shim was killed")), "ended: its shim was killed");
        assert_eq!(describe(&never, false, Some("cannot run `x`")), "could not be started: cannot run `x`");
    }
}

//! An error with its causes, for those edges that show errors to people.

use std::{error::Error, iter::successors};

/// The error and all its causes in one line: `cannot start a process: out of memory`.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_follow_in_their_order() {
        assert_eq!(chain(&Outer(io::Error::other("no room"))), "cannot start: no room");
        assert_eq!(chain(&io::Error::other("alone")), "alone");
    }
}

//! Requests that were turned away before anybody looked for whom they were meant. Pure: atomics alone.
//!
//! They are counted and not written down: who has no key fills no disk.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a request was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// It brought no key, or a wrong one.
    Unauthorized,
    /// A page of another site asked.
    CrossSite,
    /// It meant a host that this is not.
    StrangeHost,
    /// It wanted a tunnel.
    MethodNotAllowed,
}

impl Turned {
    /// All there are, in the order of their counts.
    pub const ALL: [Self; 4] = [Self::Unauthorized, Self::CrossSite, Self::StrangeHost, Self::MethodNotAllowed];

    /// The code of the answer to such a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::CrossSite => "cross_site",
            Self::StrangeHost => "strange_host",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }
}

/// Counts of them by reason.
#[derive(Debug, Default)]
pub struct Refused([AtomicU64; Turned::ALL.len()]);

impl Refused {
    /// One was turned away. From any thread; it waits for nobody.
    pub fn count(&self, why: Turned) {
        if let Some(count) = self.0.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were, by reason: also of those for which nobody was.
    pub fn read(&self) -> impl Iterator<Item = (Turned, u64)> {
        Turned::ALL.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_count_of_its_own() {
        let refused = Refused::default();
        for (n, why) in Turned::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| refused.count(why));
        }
        let read: Vec<_> = refused.read().collect();
        assert_eq!(read, Turned::ALL.into_iter().zip(1..).collect::<Vec<_>>());
    }
}

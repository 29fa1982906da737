//! What a shim has told of the processes that it was asked to start. Pure.

use std::collections::BTreeSet;

use super::wire::FromShim;

/// Keeps count of the processes of one shim.
#[derive(Debug)]
pub(super) struct Book {
    next: u32,
    /// Asked for and not answered.
    pending: BTreeSet<u32>,
    /// Started and not ended.
    running: BTreeSet<u32>,
    /// Nobody is left, as far as is known of those that were started.
    empty: bool,
}

impl Default for Book {
    fn default() -> Self {
        Self { next: 0, pending: BTreeSet::new(), running: BTreeSet::new(), empty: true }
    }
}

impl Book {
    /// A number for a process that is about to be asked for. The first is the main one's, 0.
    pub(super) fn begin(&mut self) -> u32 {
        let id = self.next;
        self.next += 1;
        self.pending.insert(id);
        id
    }

    /// The main process runs already: an earlier runtime had it started.
    pub(super) fn adopt(&mut self) {
        self.next = 1;
        self.running.insert(0);
        self.empty = false;
    }

    /// Whether a process was started and has not ended.
    pub(super) fn is_running(&self, id: u32) -> bool {
        self.running.contains(&id)
    }

    /// The order did not reach the shim.
    pub(super) fn withdraw(&mut self, id: u32) {
        self.pending.remove(&id);
    }

    /// Takes note of what the shim says.
    pub(super) fn hear(&mut self, message: &FromShim) {
        match message {
            FromShim::Started { id, .. } => {
                self.pending.remove(id);
                self.running.insert(*id);
                self.empty = false;
            }
            FromShim::NotStarted { id, .. } => {
                self.pending.remove(id);
            }
            FromShim::Ended { id, .. } => {
                self.running.remove(id);
            }
            FromShim::Empty => self.empty = true,
            FromShim::Ready | FromShim::Unable { .. } | FromShim::Log { .. } => {}
        }
    }

    /// Whether there is nobody in the tree and nobody on the way into it.
    pub(super) fn is_empty(&self) -> bool {
        self.empty && self.pending.is_empty() && self.running.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_counts_only_when_nobody_is_on_the_way() {
        let mut book = Book::default();
        assert!(book.is_empty());
        let main = book.begin();
        assert_eq!((main, book.is_empty()), (0, false));
        book.hear(&FromShim::Started { id: main, pid: None });
        book.hear(&FromShim::Ended { id: main, status: 0 });
        assert!(!book.is_empty(), "what it left may live");
        // Asked for while the tree was becoming empty: the shim says so before it reads the order.
        let probe = book.begin();
        book.hear(&FromShim::Empty);
        assert!(!book.is_empty());
        book.hear(&FromShim::Started { id: probe, pid: None });
        book.hear(&FromShim::Ended { id: probe, status: 0 });
        assert!(!book.is_empty());
        book.hear(&FromShim::Empty);
        assert!(book.is_empty());
    }

    #[test]
    fn what_was_not_started_leaves_it_as_it_was() {
        let mut book = Book::default();
        let (refused, lost) = (book.begin(), book.begin());
        book.hear(&FromShim::NotStarted { id: refused, why: "no memory".to_owned() });
        book.withdraw(lost);
        assert!(book.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_never_empty_while_a_process_runs(ends in prop::collection::vec(any::<bool>(), 1..8)) {
            let mut book = Book::default();
            let ids: Vec<u32> = ends.iter().map(|_| book.begin()).collect();
            ids.iter().for_each(|id| book.hear(&FromShim::Started { id: *id, pid: None }));
            for (id, end) in ids.iter().zip(&ends) {
                if *end {
                    book.hear(&FromShim::Ended { id: *id, status: 0 });
                }
            }
            book.hear(&FromShim::Empty);
            prop_assert_eq!(book.is_empty(), ends.iter().all(|end| *end));
        }
    }
}

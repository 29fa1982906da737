//! What is measured of cards.

use std::time::{Duration, Instant};

use crate::{ids::Pid, memory::GpuId};

/// A call into a driver that takes longer than this hangs. The slowest that is known to return, the first call to a card
/// that has to be woken, takes about 2 s (NVIDIA without persistence mode).
pub const HANGS_AFTER: Duration = Duration::from_secs(5);

/// Who measures cards. Lives on one thread; every call may hang.
pub trait Gpus: Send + 'static {
    /// Its name: `nvml`, `amdgpu`, `declared`, `none`.
    fn name(&self) -> &'static str;

    /// Whether a later reading can differ from the first.
    fn changes(&self) -> bool {
        true
    }

    /// Whose use is of interest, for backends to which looking at every process would be too dear.
    fn watch(&mut self, _pids: &[Pid]) {}

    /// Every card at this moment. A card that was there at the start and answers no more is [`CardState::Lost`].
    ///
    /// # Errors
    /// When the driver as a whole does not answer.
    fn read(&mut self) -> Result<Vec<Card>, GpuError>;
}

/// One card at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Its UUID.
    pub id: GpuId,
    /// Its place in the driver's list.
    pub index: u32,
    /// Its name for people.
    pub name: String,
    /// All of its memory, in bytes.
    pub total: u64,
    /// What is used of it, by whomever, in bytes; `None` where nobody measures (declared cards).
    pub used: Option<u64>,
    /// What each process uses, in bytes; `None` for one of which the driver does not say how much (containers, WSL, MIG).
    /// Processes appear once.
    pub processes: Vec<(Pid, Option<u64>)>,
    /// Share of time that it works, in percent.
    pub utilization: Option<u32>,
    /// In degrees Celsius.
    pub temperature: Option<u32>,
    /// Whether it works.
    pub state: CardState,
}

/// Whether a card works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardState {
    /// It answers.
    Works,
    /// It was there and does not answer any more: fallen off the bus, reset, in an error.
    Lost(String),
}

/// Why no card was measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// The library or the driver is not there.
    #[error("{backend}: {problem}")]
    Absent {
        /// Which backend.
        backend: &'static str,
        /// What is missing, and what to do.
        problem: String,
    },
    /// The driver answers with an error.
    #[error("{backend}: {problem}")]
    Failed {
        /// Which backend.
        backend: &'static str,
        /// What it says.
        problem: String,
    },
    /// A call into the driver does not return.
    #[error("{backend}: a call into the graphics driver does not return; it keeps its thread until it does")]
    Stuck {
        /// Which backend.
        backend: &'static str,
    },
}

/// What was measured last.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Counts up with every reading; 0: none yet.
    pub sequence: u64,
    /// When the driver was asked for it: what happened after that need not be in it.
    pub at: Instant,
    /// The backend that is in force.
    pub backend: &'static str,
    /// Every card. After an error, those of the last reading that worked, each lost.
    pub cards: Vec<Card>,
    /// What is wrong with the driver as a whole: it answers with an error, or has not answered for some seconds.
    pub problem: Option<String>,
}

impl Reading {
    /// Before anything was measured.
    #[must_use]
    pub fn none_yet(backend: &'static str, at: Instant) -> Self {
        Self { sequence: 0, at, backend, cards: Vec::new(), problem: None }
    }

    /// The one after this, of what the backend has answered. After an error every card that is known is lost: what its
    /// figures were says nothing about what they are.
    #[must_use]
    pub fn next(&self, backend: &'static str, answer: Result<Vec<Card>, GpuError>, at: Instant) -> Self {
        let (cards, problem) = match answer {
            Ok(cards) => (cards, None),
            Err(error) => {
                let lost = |card: &Card| Card::lost(card, "the driver as a whole does not work");
                (self.cards.iter().map(lost).collect(), Some(error.to_string()))
            }
        };
        Self { sequence: self.sequence + 1, at, backend, cards, problem }
    }
}

impl Card {
    /// A card that does not answer any more: what it is stays known, what it holds does not.
    #[must_use]
    pub fn lost(card: &Self, problem: impl Into<String>) -> Self {
        Self {
            used: None,
            processes: Vec::new(),
            utilization: None,
            temperature: None,
            state: CardState::Lost(problem.into()),
            ..card.clone()
        }
    }
}

/// What is wrong with a driver that owes an answer for this long; `None` while that is nothing to speak of.
#[must_use]
pub fn problem_of(owed: Duration) -> Option<String> {
    (owed > HANGS_AFTER).then(|| format!("the driver has not answered for {} s", owed.as_secs()))
}

#[cfg(test)]
impl Card {
    /// One that works and that one process uses, for tests.
    pub(in crate::os) fn sample() -> Self {
        Self {
            id: GpuId("GPU-1".to_owned()),
            index: 0,
            name: "a card".to_owned(),
            total: 8 << 30,
            used: Some(1 << 30),
            processes: vec![(Pid(7), Some(1 << 30))],
            utilization: Some(3),
            temperature: Some(40),
            state: CardState::Works,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;

    #[test]
    fn after_an_error_cards_keep_their_names_and_lose_their_figures() {
        let first = Reading::none_yet("nvml", clock::now()).next("nvml", Ok(vec![Card::sample()]), clock::now());
        assert_eq!((first.sequence, &first.problem, first.cards.len()), (1, &None, 1));
        let error = GpuError::Failed { backend: "nvml", problem: "it fell over".to_owned() };
        let second = first.next("nvml", Err(error), clock::now());
        assert_eq!((second.sequence, second.problem.as_deref()), (2, Some("nvml: it fell over")));
        let lost = &second.cards[0];
        assert_eq!((&lost.id, lost.total, lost.used), (&Card::sample().id, 8 << 30, None));
        assert!(matches!(lost.state, CardState::Lost(_)) && lost.processes.is_empty());
        let third = second.next("nvml", Ok(vec![Card::sample()]), clock::now());
        assert_eq!((third.problem, third.cards), (None, vec![Card::sample()]));
    }

    #[test]
    fn an_answer_is_late_after_five_seconds() {
        assert_eq!(problem_of(Duration::from_millis(4999)), None);
        assert_eq!(problem_of(Duration::from_secs(7)).as_deref(), Some("the driver has not answered for 7 s"));
    }
}

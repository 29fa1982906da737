//! Cards that nobody measures: those of the configuration, or none.
//!
//! What is free of a declared card is what has not been given out: use by other programs is invisible.

use super::{Card, CardState, GpuError, Gpus};
use crate::{memory::GpuId, spec::DeclaredCard};

/// The cards of `[[resources.gpu]]`, with the ids `declared-0`, `declared-1`, ...
#[derive(Debug)]
pub struct DeclaredGpus {
    cards: Vec<Card>,
}

impl DeclaredGpus {
    /// In the order of the configuration.
    ///
    /// # Errors
    /// [`GpuError::Absent`] when there are none.
    pub fn new(declared: &[DeclaredCard]) -> Result<Self, GpuError> {
        if declared.is_empty() {
            let problem = "no card is declared: add [[resources.gpu]] with a name and its memory".to_owned();
            return Err(GpuError::Absent { backend: "declared", problem });
        }
        let card = |(index, card): (u32, &DeclaredCard)| Card {
            id: GpuId(format!("declared-{index}")),
            index,
            name: card.name.clone(),
            total: card.memory.0,
            used: None,
            processes: Vec::new(),
            utilization: None,
            temperature: None,
            state: CardState::Works,
        };
        Ok(Self { cards: (0..).zip(declared).map(card).collect() })
    }
}

impl Gpus for DeclaredGpus {
    fn name(&self) -> &'static str {
        "declared"
    }

    fn changes(&self) -> bool {
        false
    }

    fn read(&mut self) -> Result<Vec<Card>, GpuError> {
        Ok(self.cards.clone())
    }
}

/// No cards.
#[derive(Debug)]
pub struct NoGpus;

impl Gpus for NoGpus {
    fn name(&self) -> &'static str {
        "none"
    }

    fn changes(&self) -> bool {
        false
    }

    fn read(&mut self) -> Result<Vec<Card>, GpuError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteSize;

    #[test]
    fn declared_cards_have_a_size_and_no_measured_use() {
        let spec = |name: &str, gib: u64| DeclaredCard { name: name.to_owned(), memory: ByteSize(gib << 30) };
        let mut gpus = DeclaredGpus::new(&[spec("left", 8), spec("right", 24)]).expect("two cards");
        let cards = gpus.read().expect("nothing can fail");
        let shown: Vec<_> = cards.iter().map(|c| (c.id.0.as_str(), c.index, c.name.as_str(), c.total >> 30)).collect();
        assert_eq!(shown, [("declared-0", 0, "left", 8), ("declared-1", 1, "right", 24)]);
        assert!(cards.iter().all(|card| card.used.is_none() && card.state == CardState::Works));
    }

    #[test]
    fn to_ask_for_declared_cards_and_declare_none_is_said_so() {
        let error = DeclaredGpus::new(&[]).expect_err("none");
        assert!(error.to_string().contains("[[resources.gpu]]"), "{error}");
    }
}

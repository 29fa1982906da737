//! What the headers of a model's files say, as far as an estimate needs it.

use super::{
    shape::{Shape, layers},
    weights::Weights,
};
use crate::estimate::gguf::{GgufError, Header, Wrong};

/// A model, known from its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub(super) shape: Shape,
    pub(super) weights: Weights,
}

impl Model {
    /// From the headers of all its files, the first of which has the metadata.
    ///
    /// # Errors
    /// When something is missing that every language model says.
    pub fn of(headers: Vec<Header>) -> Result<Self, GgufError> {
        let at_end = |wrong| GgufError { at: 0, wrong };
        let none = || at_end(Wrong::Missing("general.architecture".to_owned()));
        let shape = Shape::read(&headers.first().ok_or_else(none)?.metadata).map_err(at_end)?;
        let tensors: Vec<_> = headers.into_iter().map(|header| header.tensors).collect();
        let weights = Weights::of(&tensors, shape.layers);
        Ok(Self { shape, weights })
    }

    /// `general.architecture`.
    #[must_use]
    pub fn architecture(&self) -> &str {
        &self.shape.architecture
    }

    /// Layers, the output not counted.
    #[must_use]
    pub fn layers(&self) -> u32 {
        self.shape.layers
    }

    /// What `-ngl` has to be for all of it to lie on the card: the output counts as one more layer.
    #[must_use]
    pub fn all_layers(&self) -> u32 {
        self.shape.layers.saturating_add(1)
    }

    /// What its weights come to in bytes.
    #[must_use]
    pub fn weights(&self) -> u64 {
        self.weights.bytes()
    }
}

/// How many files a model is spread over, where a header says so (`split.count`).
#[must_use]
pub fn files(header: &Header) -> Option<u64> {
    header.metadata.number("split.count").filter(|count| *count > 0)
}

/// Layers that a header says, also one of a file that is not all there.
#[must_use]
pub fn layers_of(metadata: &crate::estimate::gguf::Metadata) -> Option<u32> {
    layers(metadata)
}

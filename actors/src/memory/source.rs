//! Where the figure of a need comes from.

use serde::{Deserialize, Serialize};

/// Where the figure of a need comes from; the first that there is counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeedSource {
    /// The configuration says it.
    User,
    /// Measured in earlier runs of the same command and file, with a margin.
    Calibrated,
    /// Its engine works it out.
    Engine,
    /// Worked out part by part from what its model file says of itself.
    Estimate,
    /// The size of its files x 1.2.
    FileSize,
    /// Nobody knows: it gets a card to itself until it has been measured once.
    Unknown,
    /// It needs nothing that is counted.
    Nothing,
}

impl NeedSource {
    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Calibrated => "calibrated",
            Self::Engine => "engine",
            Self::Estimate => "estimate",
            Self::FileSize => "file_size",
            Self::Unknown => "unknown",
            Self::Nothing => "nothing",
        }
    }

    /// As it stands behind a figure, in parentheses.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::User => "configured",
            Self::Calibrated => "measured in earlier runs",
            Self::Engine => "worked out by its engine",
            Self::Estimate => "estimated from its model file",
            Self::FileSize => "size of its files x 1.2",
            Self::Unknown => "nobody knows yet",
            Self::Nothing => "none",
        }
    }
}

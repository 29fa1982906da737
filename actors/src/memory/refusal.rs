//! Why there is no memory for a service, and who holds it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Pool;
use crate::{ids::ServiceName, units::ByteSize};

/// Why somebody's memory is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stays {
    /// `pinned = true`.
    Pinned,
    /// An application holds it.
    Held,
    /// It works, and did not finish within `offload.drain`.
    Busy,
    /// It is on its way in.
    Loading,
    /// It is on its way out, and its memory was not measured back in time.
    NotBack,
    /// Who asks may push out nobody: an eager start or a reload.
    NotForThis,
    /// Who asks depends on it.
    Needed,
    /// Another service depends on it, and is up or on its way.
    NeededBy,
    /// It does not belong to Greenroom.
    Stranger,
}

impl Stays {
    /// As it stands in a sentence, in parentheses.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Held => "held by the application",
            Self::Busy => "busy",
            Self::Loading => "loading",
            Self::NotBack => "ended, and its memory is not back",
            Self::NotForThis => "not pushed out for this",
            Self::Needed => "which it depends on",
            Self::NeededBy => "needed by others",
            Self::Stranger => "not Greenroom's",
        }
    }
}

/// Somebody who holds what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The service; `None` for other programs.
    pub service: Option<ServiceName>,
    /// Of which pool.
    pub pool: Pool,
    /// How much.
    pub amount: u64,
    /// Why it stays.
    pub why: Stays,
    /// With [`Stays::NeededBy`]: one who needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed_by: Option<ServiceName>,
}

impl Holder {
    /// One of whom nobody is known who needs it.
    #[must_use]
    pub fn new(service: Option<ServiceName>, pool: Pool, amount: u64, why: Stays) -> Self {
        Self { service, pool, amount, why, needed_by: None }
    }
}

/// A pool that has too little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// Which pool.
    pub pool: Pool,
    /// What is needed of it.
    pub needed: u64,
    /// What may be given out now.
    pub free: u64,
    /// What could be given out at the very most.
    pub capacity: u64,
}

/// What kind of refusal it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// It never fits here, whoever leaves.
    TooLarge,
    /// Those who hold the memory stay.
    InTheWay,
    /// Room was being made and was not there in time.
    NotInTime,
    /// No card that it may use works.
    NoCard {
        /// What is wrong with them.
        problem: String,
    },
}

/// Why there is no memory for a service. A value, not a failure: nothing was ended for it that stays ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Refusal {
    /// Who asked.
    pub service: ServiceName,
    /// What kind it is.
    pub kind: RefusalKind,
    /// What is missing, on the card where the least is.
    pub missing: Vec<Shortage>,
    /// Who holds it.
    pub holders: Vec<Holder>,
}

impl fmt::Display for Refusal {
    /// `there is no memory for it: it needs 7GiB of VRAM of X, and 1GiB is free; chat holds 6GiB (pinned)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            RefusalKind::TooLarge => f.write_str("it never fits here")?,
            RefusalKind::InTheWay => f.write_str("there is no memory for it")?,
            RefusalKind::NotInTime => f.write_str("memory was not free in time")?,
            RefusalKind::NoCard { problem } => write!(f, "there is no card for it ({problem})")?,
        }
        for (n, Shortage { pool, needed, free, capacity }) in self.missing.iter().enumerate() {
            f.write_str(if n == 0 { ": it needs " } else { ", and " })?;
            f.write_str(&pool.tell(*needed))?;
            match self.kind {
                RefusalKind::TooLarge => write!(f, ", of which at most {} can be given", amount(pool, *capacity))?,
                _ => write!(f, ", of which {} is free", amount(pool, *free))?,
            }
        }
        for (n, holder) in self.holders.iter().enumerate() {
            f.write_str(if n == 0 { "; " } else { ", " })?;
            match &holder.service {
                Some(service) => write!(f, "{service} holds {}", amount(&holder.pool, holder.amount))?,
                None => write!(f, "other programs hold {}", amount(&holder.pool, holder.amount))?,
            }
            match (holder.why, &holder.needed_by) {
                (Stays::Stranger, _) => {}
                (Stays::NeededBy, Some(dependant)) => write!(f, " (needed by {dependant})")?,
                (why, _) => write!(f, " ({})", why.told())?,
            }
        }
        Ok(())
    }
}

fn amount(pool: &Pool, amount: u64) -> String {
    match pool {
        Pool::Vram(_) | Pool::Ram => ByteSize(amount).to_string(),
        Pool::Custom(_) => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::GpuId;

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let pool = Pool::Vram(GpuId("GPU-1".to_owned()));
        let name = |text: &str| text.parse::<ServiceName>().expect("a name");
        let shortage = Shortage { pool: pool.clone(), needed: 7 << 30, free: 1 << 30, capacity: 8 << 30 };
        let chat = Holder::new(Some(name("chat")), pool.clone(), 6 << 30, Stays::Pinned);
        let db = Holder {
            needed_by: Some(name("app")),
            ..Holder::new(Some(name("db")), pool.clone(), 1 << 28, Stays::NeededBy)
        };
        let game = Holder::new(None, pool, 1 << 29, Stays::Stranger);
        let refusal = Refusal {
            service: name("image"),
            kind: RefusalKind::InTheWay,
            missing: vec![shortage],
            holders: vec![chat, db, game],
        };
        assert_eq!(
            refusal.to_string(),
            "there is no memory for it: it needs 7GiB of VRAM of GPU-1, of which 1GiB is free; chat holds 6GiB (pinned), \
             db holds 256MiB (needed by app), other programs hold 512MiB"
        );
    }
}

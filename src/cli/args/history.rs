//! Options of `history`.

use clap::{Args, Subcommand};

/// Subcommands of `history`.
#[derive(Debug, Clone, Subcommand)]
pub enum HistoryCommand {
    /// Starts and ends of services.
    Runs(HistoryArgs),
    /// State changes, alerts and phases of the runtime.
    Events(HistoryArgs),
    /// Who came into memory for whom, and where the time went.
    Swaps(SwapArgs),
    /// Requests for models: when, to whom, with what outcome, how long they waited and took.
    Requests(HistoryArgs),
    /// Jobs, also those that are still to be done; `--service` is the kind of job.
    Jobs(HistoryArgs),
}

/// Filters of past swaps.
#[derive(Debug, Clone, Args)]
pub struct SwapArgs {
    /// Only those in which this service came or left.
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<String>,
    /// Only since then: an age such as `2h`, or a time such as `2026-11-21T09:00:00Z`.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// At most this many, the newest; up to 10000.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// Filters of the history.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// Only this service.
    #[arg(short, long, value_name = "NAME")]
    pub service: Option<String>,
    /// Only since then: an age such as `2h`, or a time such as `2026-11-21T09:00:00Z`.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Only what failed.
    #[arg(long)]
    pub failed: bool,
    /// At most this many, the newest; up to 10000.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

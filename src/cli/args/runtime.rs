//! Options of the commands about the runtime as a whole.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use greenroom_actors::units::parse_duration;

/// Options of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Go on in the background; say so once the runtime answers.
    #[arg(short, long)]
    pub detach: bool,
    /// Where no cgroup can be had, start again in a systemd scope that has one (Delegate=yes).
    #[arg(long)]
    pub delegate: bool,
    /// Be the process that `--detach` starts: leave the caller's session. Overrules `--detach`.
    #[arg(long, hide = true)]
    pub in_background: bool,
}

/// Options of `shutdown`.
#[derive(Debug, Clone, Args)]
pub struct ShutdownArgs {
    /// Skip every grace and end now.
    #[arg(long)]
    pub force: bool,
    /// Give up waiting after this long; the stop goes on.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,
}

/// Options of `reload`.
#[derive(Debug, Clone, Args)]
pub struct ReloadArgs {
    /// Do not wait until the services that it restarts or adds are ready.
    #[arg(long)]
    pub no_wait: bool,
}

/// Options of `bundle`.
#[derive(Debug, Clone, Args)]
pub struct BundleArgs {
    /// Where to write it: a file, or `-` for standard output. Without it, into the current folder under its own name.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// Options of `sweep`.
#[derive(Debug, Clone, Args)]
pub struct SweepArgs {
    /// Only say what would be ended.
    #[arg(long)]
    pub dry_run: bool,
    /// Also end services that were meant to outlive their runtime (`stop.on_runtime_exit = "keep"`).
    #[arg(long)]
    pub kept: bool,
}

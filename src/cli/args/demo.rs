//! Options of `demo`.

use clap::{Args, ValueEnum};

/// Options of `demo`.
#[derive(Debug, Clone, Default, Args)]
pub struct DemoArgs {
    /// Replay one incident alone.
    #[arg(long, value_name = "ID", ignore_case = true)]
    pub incident: Option<Incident>,
}

/// Incidents that can be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Incident {
    /// A crash leaves processes; the next start sweeps.
    #[value(name = "I1")]
    CrashLeavesProcesses,
    /// One not-a-number poisons an engine: it is restarted once, and the job tried once more.
    #[value(name = "I2")]
    OneNanPoisons,
    /// Memory grows, at rest and at work; who grows is replaced.
    #[value(name = "I3")]
    MemoryGrows,
    /// Many starts and stops leave nothing.
    #[value(name = "I4")]
    StopsLeaveNothing,
    /// A wrapper respawns its workers, and a service starts processes without end; the whole tree dies.
    #[value(name = "I5")]
    WrapperRespawns,
    /// Each image leaves its engine polluted; the clean-up after each job ends that.
    #[value(name = "I6")]
    EveryOtherImageFails,
    /// A language model leaves for an image, the image engine crashes, the language model comes back.
    #[value(name = "I7")]
    ImageEngineCrashes,
}

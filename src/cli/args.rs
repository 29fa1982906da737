//! What can be written on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use greenroom_actors::units::parse_duration;

use super::job::JobCommand;

/// Keeps generative-AI processes on one GPU box in order.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "greenroom",
    version,
    about,
    after_help = "Without a command it shows the demo.\n\nExit codes: 0 done; 1 failed; 2 usage or config; 3 no runtime \
                  is running; 4 another runtime holds the state dir; 5 the end was forced; 124 timed out; 130 interrupted."
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options that may stand before or after the command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options for every command")]
pub struct Global {
    /// A configuration file; repeat it to lay one over the other.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Sets one key, above every file, for example `--set runtime.name=studio`.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The runtime to speak to, by its gateway: `http://HOST:PORT`, or `unix:` and a path. Its key is read from the
    /// variable GREENROOM_API_KEY.
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// The file with the key for `--url`, before the variable.
    #[arg(long, global = true, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// The state dir, in place of the configuration's.
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How much `run` logs: error, warn, info, debug or trace, in place of the configuration's.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Print for programs.
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours; so does the variable NO_COLOR.
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Start the runtime in the foreground.
    Run(RunArgs),
    /// Stop the running runtime in order and print its report.
    Shutdown(ShutdownArgs),
    /// Check the configuration and print every problem.
    Check,
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write a commented configuration to start from.
    Init(InitArgs),
    /// Turn another program's configuration into one of Greenroom.
    #[command(subcommand)]
    Import(ImportCommand),
    /// What runs, and how it fares.
    #[command(visible_alias = "ps")]
    Status,
    /// Why a service is in its state, and what to do.
    Why(OneService),
    /// The cards and who holds their memory; RAM and further pools.
    Gpus,
    /// What a load of a service would do now; changes nothing.
    Plan(OneService),
    /// How much memory a model will take, part by part, before it has ever run.
    Estimate(EstimateArgs),
    /// Start services, and what they depend on.
    Start(Services),
    /// Stop services and keep them down.
    Stop(Services),
    /// Stop services and start them again.
    Restart(Services),
    /// Bring services into memory and leave what is wanted of them as it is.
    Load(Services),
    /// Take services out of memory and leave what is wanted of them as it is.
    Offload(Services),
    /// Forget the failures of services.
    Reset(Services),
    /// Read the configuration of the running runtime anew and apply what has changed.
    Reload(ReloadArgs),
    /// A service's output, also of runs that have ended.
    Logs(LogsArgs),
    /// What happened since the runtime started.
    Events(EventsArgs),
    /// Jobs: work that is queued and done to its end.
    #[command(subcommand)]
    Job(JobCommand),
    /// What the database remembers; works without a runtime.
    #[command(subcommand)]
    History(HistoryCommand),
    /// Write a diagnostic bundle: one archive, without secrets, with what somebody needs who was not there.
    Bundle(BundleArgs),
    /// Find and end what an earlier runtime left.
    Sweep(SweepArgs),
    /// What this machine offers, what is missing, and what that costs.
    Doctor,
    /// Watch it work, in a state dir of its own.
    Demo(DemoArgs),
    /// A completion script for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

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

/// Subcommands of `config`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// The values that were set and where each comes from.
    Show {
        /// The defaults as well.
        #[arg(long)]
        effective: bool,
    },
}

/// Options of `init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Model files to make services for.
    #[arg(value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// Where to write it.
    #[arg(short, long, value_name = "FILE", default_value = "greenroom.toml")]
    pub output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// Subcommands of `import`.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportCommand {
    /// llama-swap's YAML; what has no counterpart is told line by line.
    LlamaSwap(ImportArgs),
}

/// Options of `import`.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The file that llama-swap is started with.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where to write the new one; without it, to standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// One service.
#[derive(Debug, Clone, Args)]
pub struct OneService {
    /// The service.
    pub name: String,
}

/// Options of `estimate`.
#[derive(Debug, Clone, Args)]
pub struct EstimateArgs {
    /// Pixels of the pictures that an image model makes, as WIDTHxHEIGHT.
    #[arg(long, value_name = "SIZE", default_value = "1024x1024")]
    pub picture: String,
    /// How many of them at a time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: u64,
    /// A model file or folder, or a service; then options of llama-server as its command has them (`-ngl 30 -c 8192 -np 2
    /// -ctk q8_0`, `--device none` for no card), after those of a service's own command. Options of this command go before.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "MODEL [OPTION]")]
    pub words: Vec<String>,
}

/// Options of `start`, `stop`, `restart`, `load`, `offload` and `reset`.
#[derive(Debug, Clone, Args)]
pub struct Services {
    /// The services, side by side; stopped ones after those that depend on them.
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Do not wait for the outcome.
    #[arg(long)]
    pub no_wait: bool,
}

/// Options of `reload`.
#[derive(Debug, Clone, Args)]
pub struct ReloadArgs {
    /// Do not wait until the services that it restarts or adds are ready.
    #[arg(long)]
    pub no_wait: bool,
}

/// Options of `logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The services; with several, each line begins with its name.
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Go on with what is added.
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last lines.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub lines: u64,
}

/// Options of `events`.
#[derive(Debug, Clone, Args)]
pub struct EventsArgs {
    /// Go on with what happens.
    #[arg(short, long)]
    pub follow: bool,
    /// Only what came after this event, for example `1763715600000-17`.
    #[arg(long, value_name = "ID")]
    pub since_id: Option<String>,
}

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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("greenroom").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in ["-c a.toml --json --state-dir /s status", "status -c a.toml --json --state-dir /s"] {
            let cli = parse(line).expect(line);
            assert_eq!(cli.global.config, [PathBuf::from("a.toml")]);
            assert!(cli.global.json && cli.global.state_dir.is_some());
            assert!(matches!(cli.command, Some(Command::Status)));
        }
        let twice = parse("run -c a.toml -c b.toml --set a.b=1 --set c=2").expect("parsed");
        assert_eq!((twice.global.config.len(), twice.global.set.len()), (2, 2));
    }

    #[test]
    fn names_are_required_where_they_are_meant() {
        for line in ["start", "why", "plan", "logs", "stop --no-wait"] {
            assert_eq!(parse(line).map_err(|e| e.kind()).err(), Some(ErrorKind::MissingRequiredArgument), "{line}");
        }
        assert!(matches!(parse("ps").expect("parsed").command, Some(Command::Status)));
        assert!(parse("").expect("parsed").command.is_none());
    }

    #[test]
    fn values_are_checked() {
        let kind = |line| parse(line).map_err(|e| e.kind()).err();
        assert_eq!(kind("history runs -n 0"), Some(ErrorKind::ValueValidation));
        assert_eq!(kind("history swaps --failed"), Some(ErrorKind::UnknownArgument));
        assert_eq!(kind("shutdown --timeout soon"), Some(ErrorKind::ValueValidation));
        assert_eq!(kind("demo --incident I9"), Some(ErrorKind::InvalidValue));
        let demo = parse("demo --incident i4").expect("parsed").command;
        assert!(matches!(demo, Some(Command::Demo(DemoArgs { incident: Some(Incident::StopsLeaveNothing) }))));
    }
}

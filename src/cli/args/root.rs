//! The commands, and the options that hold for each.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::{
    BundleArgs, ConfigCommand, DemoArgs, EstimateArgs, EventsArgs, HistoryCommand, ImportCommand, InitArgs, LogsArgs,
    OneService, ReloadArgs, RunArgs, Services, ShutdownArgs, SweepArgs,
};
use crate::cli::job::JobCommand;

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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;
    use crate::cli::args::Incident;

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

//! From the command line to a command, and from its outcome to an exit code.

use std::ffi::OsString;

use clap::{Parser, error::ErrorKind};

use super::{
    args::{Cli, Command, ConfigCommand, DemoArgs, Global, ImportCommand},
    check, completions, config_show, control, demo, doctor, events,
    failure::Failure,
    gpus, history, import, init, logs, plan, reload, run, shutdown, status, sweep,
    terminal::Terminal,
    why,
};
use crate::runtime::ServiceCommand;

/// Runs the command line `args` (the program's name first) and gives back the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> i32 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that has gone is no reason to fail differently.
            drop(error.print());
            return if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) { 0 } else { 2 };
        }
    };
    let terminal = Terminal::detect(&cli.global);
    let command = cli.command.unwrap_or(Command::Demo(DemoArgs::default()));
    match carry_out(&command, &cli.global, &terminal) {
        Ok(code) => code,
        Err(failure) => {
            terminal.fail(&failure);
            failure.exit_code()
        }
    }
}

/// Carries one command out.
fn carry_out(command: &Command, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    refuse_unused(command, global)?;
    match command {
        Command::Run(args) => run::run(args, global, terminal),
        Command::Shutdown(args) => shutdown::run(args, global, terminal),
        Command::Check => check::run(global, terminal),
        Command::Config(ConfigCommand::Show { effective }) => config_show::run(*effective, global, terminal),
        Command::Init(args) => init::run(args, terminal),
        Command::Import(ImportCommand::LlamaSwap(args)) => import::llama_swap(args, terminal),
        Command::Status => status::run(global, terminal),
        Command::Why(args) => why::run(args, global, terminal),
        Command::Gpus => gpus::run(global, terminal),
        Command::Plan(args) => plan::run(args, global, terminal),
        Command::Start(args) => control::run(ServiceCommand::Start, args, global, terminal),
        Command::Stop(args) => control::run(ServiceCommand::Stop, args, global, terminal),
        Command::Restart(args) => control::run(ServiceCommand::Restart, args, global, terminal),
        Command::Load(args) => control::run(ServiceCommand::Load, args, global, terminal),
        Command::Offload(args) => control::run(ServiceCommand::Offload, args, global, terminal),
        Command::Reset(args) => control::run(ServiceCommand::Reset, args, global, terminal),
        Command::Reload(args) => reload::run(args, global, terminal),
        Command::Logs(args) => logs::run(args, global, terminal),
        Command::Events(args) => events::run(args, global, terminal),
        Command::History(args) => history::run(args, global, terminal),
        Command::Sweep(args) => sweep::run(args, global, terminal),
        Command::Doctor => doctor::run(global, terminal),
        Command::Demo(args) => demo::run(args, terminal),
        Command::Completions { shell } => completions::run(*shell, terminal),
    }
}

/// Commands that read no configuration do not take options that change it: nobody should believe that they did.
fn refuse_unused(command: &Command, global: &Global) -> Result<(), Failure> {
    let command = match command {
        Command::Init(_) => "init",
        Command::Import(_) => "import",
        Command::Demo(_) => "demo",
        Command::Completions { .. } => "completions",
        _ => return Ok(()),
    };
    let given = [
        ("-c/--config", !global.config.is_empty()),
        ("--set", !global.set.is_empty()),
        ("--state-dir", global.state_dir.is_some()),
        ("--log-level", global.log_level.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => Err(Failure::Unused { command, option }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_without_meaning_is_refused() {
        for line in [
            "init -c a.toml",
            "import llama-swap a.yaml -c b.toml",
            "demo --state-dir /x",
            "--set a=1",
            "completions bash --log-level info",
        ] {
            let args = std::iter::once("greenroom").chain(line.split(' '));
            let cli = Cli::try_parse_from(args).expect("it parses");
            let command = cli.command.unwrap_or(Command::Demo(DemoArgs::default()));
            assert!(matches!(refuse_unused(&command, &cli.global), Err(Failure::Unused { .. })), "{line}");
            assert!(refuse_unused(&Command::Check, &cli.global).is_ok(), "{line}");
        }
    }
}

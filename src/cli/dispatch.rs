//! From the command line to a command, and from its outcome to an exit code.

use std::ffi::OsString;

use clap::{Parser, error::ErrorKind};

use super::{
    args::{Cli, Command, ConfigCommand, DemoArgs, Global, ImportCommand},
    bundle, check,
    client::ClientError,
    completions, config_show, control, demo, doctor, estimate, events,
    failure::Failure,
    gpus, history, import, init, job, logs, plan, reload, run, shutdown, status, sweep,
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
    match carry_out(&command, &cli.global, &terminal).map_err(|failure| seen_over_url(failure, &cli.global)) {
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
        Command::Estimate(args) => estimate::run(args, global, terminal),
        Command::Start(args) => control::run(ServiceCommand::Start, args, global, terminal),
        Command::Stop(args) => control::run(ServiceCommand::Stop, args, global, terminal),
        Command::Restart(args) => control::run(ServiceCommand::Restart, args, global, terminal),
        Command::Load(args) => control::run(ServiceCommand::Load, args, global, terminal),
        Command::Offload(args) => control::run(ServiceCommand::Offload, args, global, terminal),
        Command::Reset(args) => control::run(ServiceCommand::Reset, args, global, terminal),
        Command::Reload(args) => reload::run(args, global, terminal),
        Command::Logs(args) => logs::run(args, global, terminal),
        Command::Events(args) => events::run(args, global, terminal),
        Command::Job(command) => job::run(command, global, terminal),
        Command::History(args) => history::run(args, global, terminal),
        Command::Bundle(args) => bundle::run(args, global, terminal),
        Command::Sweep(args) => sweep::run(args, global, terminal),
        Command::Doctor => doctor::run(global, terminal),
        Command::Demo(args) => demo::run(args, terminal),
        Command::Completions { shell } => completions::run(*shell, terminal),
    }
}

/// Over `--url` an answer that cannot be read is one of another program.
fn seen_over_url(failure: Failure, global: &Global) -> Failure {
    match (failure, &global.url) {
        (Failure::Client(ClientError::Answer(path, _)), Some(url)) => {
            Failure::NotGreenroom { url: url.clone(), why: format!("its answer to {path} is not one of a runtime") }
        }
        (failure, _) => failure,
    }
}

/// Commands that read no configuration do not take options that change it: nobody should believe that they did.
fn refuse_unused(command: &Command, global: &Global) -> Result<(), Failure> {
    let of_files = [
        ("-c/--config", !global.config.is_empty()),
        ("--set", !global.set.is_empty()),
        ("--state-dir", global.state_dir.is_some()),
        ("--log-level", global.log_level.is_some()),
    ];
    let of_url = [("--url", global.url.is_some()), ("--api-key-file", global.api_key_file.is_some())];
    let given =
        |options: &[(&'static str, bool)]| options.iter().find(|(_, is_given)| *is_given).map(|(name, _)| *name);
    let (command, option) = match (command, &global.url) {
        (Command::Init(_), _) => ("init", given(&of_files).or(given(&of_url))),
        (Command::Import(_), _) => ("import", given(&of_files).or(given(&of_url))),
        (Command::Demo(_), _) => ("demo", given(&of_files).or(given(&of_url))),
        (Command::Completions { .. }, _) => ("completions", given(&of_files).or(given(&of_url))),
        (Command::Run(_), _) => ("run", given(&of_url)),
        (Command::Check, _) => ("check", given(&of_url)),
        (Command::Config(_), _) => ("config", given(&of_url)),
        (Command::Sweep(_), _) => ("sweep", given(&of_url)),
        (Command::Doctor, _) => ("doctor", given(&of_url)),
        (Command::Estimate(_), _) => ("estimate", given(&of_url)),
        // It says where the runtime is, and with which configuration is the runtime's own affair.
        (_, Some(_)) => ("--url", given(&of_files)),
        (_, None) => ("a command without --url", given(&of_url)),
    };
    option.map_or(Ok(()), |option| Err(Failure::Unused { command, option }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_without_meaning_is_refused() {
        for line in [
            "init -c a.toml",
            "import llama-swap a.yaml -c b.toml",
            "import llama-swap a.yaml --url http://a",
            "demo --state-dir /x",
            "--set a=1",
            "completions bash --log-level info",
            "run --url http://a",
            "sweep --url http://a",
            "estimate --url http://a m.gguf",
            "status --url http://a -c a.toml",
            "status --api-key-file key",
        ] {
            let args = std::iter::once("greenroom").chain(line.split(' '));
            let cli = Cli::try_parse_from(args).expect("it parses");
            let command = cli.command.unwrap_or(Command::Demo(DemoArgs::default()));
            assert!(matches!(refuse_unused(&command, &cli.global), Err(Failure::Unused { .. })), "{line}");
        }
        for line in ["check -c a.toml", "status --url http://a --api-key-file key", "status -c a.toml --set a=1"] {
            let cli = Cli::try_parse_from(std::iter::once("greenroom").chain(line.split(' '))).expect("it parses");
            assert!(refuse_unused(&cli.command.expect("a command"), &cli.global).is_ok(), "{line}");
        }
    }
}

//! `completions`: a script that lets a shell complete the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{args::Cli, failure::Failure, terminal::Terminal};

/// Prints the script for `shell`.
pub fn run(shell: Shell, terminal: &Terminal) -> Result<i32, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "greenroom", &mut script);
    terminal.bytes(&script)?;
    Ok(0)
}

//! Options of the commands that look at a configuration or write one.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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

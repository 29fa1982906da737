//! What can be written on the command line: [`Cli`] with its commands, and a file for the options of each kind of them.

mod configuration;
mod demo;
mod history;
mod root;
mod runtime;
mod services;

pub use configuration::{ConfigCommand, ImportArgs, ImportCommand, InitArgs};
pub use demo::{DemoArgs, Incident};
pub use history::HistoryCommand;
pub use root::{Cli, Command, Global};
pub use runtime::{BundleArgs, ReloadArgs, RunArgs, ShutdownArgs, SweepArgs};
pub use services::{EstimateArgs, EventsArgs, LogsArgs, OneService, Services};

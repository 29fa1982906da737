//! Options of the commands about services and what they do.

use clap::Args;

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

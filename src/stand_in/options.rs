//! What the stand-in can be told to do.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use greenroom_actors::units::ByteSize;
use nix::sys::signal::Signal;

use super::{faults::FaultOptions, images::ImageOptions, job::JobOptions, vram::Vram};

/// The options of `greenroom stand-in`.
#[derive(Debug, Clone, Parser)]
#[command(name = "stand-in", no_binary_name = true, about = "An engine that does as it is told, for tests and demos")]
pub struct Options {
    /// Where to serve HTTP.
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// The port to serve HTTP on.
    #[arg(long, required_unless_present_any = ["no_http", "job"])]
    pub port: Option<u16>,
    /// A plain process: no HTTP.
    #[arg(long, conflicts_with = "port")]
    pub no_http: bool,
    /// Its name in answers and in the stop log.
    #[arg(long, default_value = "stand-in")]
    pub name: String,
    /// The key that it asks of whoever speaks to it.
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// A word that the whole family carries in its command lines, so that a test finds every member.
    #[arg(long)]
    pub tag: Option<String>,

    /// Milliseconds until the model is loaded.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub load_ms: u64,
    /// Memory to hold once loaded, for example `512MiB`. Every page is written to.
    #[arg(long, value_name = "SIZE", default_value = "0B")]
    pub memory: ByteSize,
    /// GPU memory to hold once loaded, by card: `0:3520MB`; several times for several cards.
    #[arg(long, value_name = "CARD:SIZE", requires = "vram_dir")]
    pub vram: Vec<Vram>,
    /// Where the library that stands in for a driver's looks for who holds what.
    #[arg(long, value_name = "DIR")]
    pub vram_dir: Option<PathBuf>,
    /// Hold GPU memory from the start on, and not only once loaded.
    #[arg(long, requires = "vram")]
    pub vram_at_start: bool,
    /// Tokens in an answer, unless the request says how many.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub tokens: u32,
    /// Milliseconds each token takes.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub token_ms: u64,
    /// Milliseconds of work that each `POST /prompt` leaves behind; `GET /queue` tells of it.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub busy_ms: u64,

    /// Do nothing on TERM, INT, HUP and QUIT.
    #[arg(long)]
    pub ignore_signals: bool,
    /// Milliseconds between a request to stop and the end.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub stop_ms: u64,
    /// Crash at the N-th chat request, without an answer.
    #[arg(long, value_name = "N")]
    pub crash_after: Option<u64>,
    /// Crash this many milliseconds after the start.
    #[arg(long, value_name = "MS")]
    pub crash_after_ms: Option<u64>,
    /// Exit status of a crash.
    #[arg(long, value_name = "STATUS", default_value_t = 1)]
    pub exit_code: i32,
    /// Crash by this signal instead, for example `SIGSEGV`.
    #[arg(long)]
    pub signal: Option<Signal>,

    /// Once loaded, say what a WebUI says when a computation yields not-a-number.
    #[arg(long)]
    pub print_nan: bool,
    /// Once loaded, say what PyTorch says when GPU memory runs out.
    #[arg(long)]
    pub print_oom: bool,
    /// Say this on stderr at the start.
    #[arg(long, value_name = "TEXT")]
    pub stderr: Option<String>,
    /// Write this many bytes to stdout once loaded, as fast as they are taken, for example `200MB`.
    #[arg(long, value_name = "SIZE")]
    pub flood: Option<ByteSize>,
    /// Length of the flood's lines in bytes, the line end included; 0 for a single line without an end.
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub flood_line_len: usize,
    /// End with status 0 after the flood.
    #[arg(long, requires = "flood")]
    pub end_after_flood: bool,

    /// Widths of the family, level by level: `3x20` is three children with twenty each.
    #[arg(long, value_name = "WxW...", value_delimiter = 'x', conflicts_with_all = ["children", "depth"])]
    pub tree: Vec<u32>,
    /// Children of each member of the family.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub children: u32,
    /// Levels of the family below this process.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub depth: u32,
    /// How the family behaves; several, separated by commas.
    #[arg(long, value_name = "MODE", value_delimiter = ',', value_enum)]
    pub child_mode: Vec<ChildMode>,

    /// Append `NAME start|stop|end MICROSECONDS` to this file: at the start, at the request to stop, at the very end.
    #[arg(long, value_name = "FILE")]
    pub stop_log: Option<PathBuf>,
    /// Write the descriptors that were open at the start to this file, one number a line.
    #[arg(long, value_name = "FILE")]
    pub only_own_fds: Option<PathBuf>,

    /// Start the rest of the command line as a daemon and end: the first half of a double fork.
    #[arg(long, hide = true)]
    pub daemonize: bool,
    /// Become the leader of a new session first.
    #[arg(long, hide = true)]
    pub new_session: bool,

    /// What it does wrong while it lives on.
    #[command(flatten)]
    pub faults: FaultOptions,
    /// How it makes images.
    #[command(flatten)]
    pub images: ImageOptions,
    /// How it does a job.
    #[command(flatten)]
    pub job: JobOptions,
}

/// How the members of a family behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChildMode {
    /// Like any child.
    Plain,
    /// In a session of its own.
    Setsid,
    /// A daemon: its own session, its parent gone, environment cleared, standard streams closed.
    DoubleFork,
    /// Without environment.
    ClearEnv,
    /// Whoever's child is killed starts it again. A daemon's parent does not learn of its end.
    Respawn,
}

impl Options {
    /// Children at each level below this process, nearest first; empty when it has none.
    #[must_use]
    pub fn widths(&self) -> Vec<u32> {
        let levels = if self.tree.is_empty() { vec![self.children; self.depth as usize] } else { self.tree.clone() };
        levels.into_iter().take_while(|&width| width > 0).collect()
    }

    /// Whether the family behaves like that.
    #[must_use]
    pub fn has(&self, mode: ChildMode) -> bool {
        self.child_mode.contains(&mode)
    }

    /// Time until the model is loaded.
    #[must_use]
    pub fn load_time(&self) -> Duration {
        Duration::from_millis(self.load_ms)
    }

    /// Time from the request to stop until the end.
    #[must_use]
    pub fn stop_time(&self) -> Duration {
        Duration::from_millis(self.stop_ms)
    }

    /// Time until the crash, if one is due by time.
    #[must_use]
    pub fn crash_time(&self) -> Option<Duration> {
        self.crash_after_ms.map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn a_family_is_given_by_its_widths_or_by_children_and_depth() {
        let widths = |line| parse(line).map(|o| o.widths()).map_err(|e| e.kind());
        assert_eq!(widths("--no-http --tree 3x20"), Ok(vec![3, 20]));
        assert_eq!(widths("--no-http --children 2 --depth 3"), Ok(vec![2, 2, 2]));
        assert_eq!(widths("--no-http"), Ok(vec![]));
        assert_eq!(widths("--no-http --tree 3 --children 2"), Err(clap::error::ErrorKind::ArgumentConflict));
    }

    #[test]
    fn modes_combine_and_units_are_read() {
        let options = parse("--port 1 --child-mode setsid,respawn --memory 2MiB --signal SIGSEGV").expect("options");
        assert!(options.has(ChildMode::Setsid) && options.has(ChildMode::Respawn) && !options.has(ChildMode::Plain));
        assert_eq!((options.memory, options.signal), (ByteSize(2 << 20), Some(Signal::SIGSEGV)));
    }

    #[test]
    fn gpu_memory_is_given_by_card_and_needs_a_folder() {
        let options = parse("--no-http --vram-dir d --vram 0:3520MB --vram 1:1GiB").expect("options");
        assert_eq!(
            options.vram,
            [Vram { card: 0, size: ByteSize(3_520_000_000) }, Vram { card: 1, size: ByteSize(1 << 30) }]
        );
        assert!(parse("--no-http --vram 0:1GB").is_err());
        assert!(parse("--no-http --vram-dir d --vram 1GB").is_err());
    }

    #[test]
    fn a_server_needs_a_port() {
        assert!(parse("--name x").is_err());
        assert!(parse("--no-http --port 80").is_err());
    }
}

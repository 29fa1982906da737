//! What a job of the stand-in can be told: options of `sd-cli` by the names that it has, and how it shall go wrong.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The options of a job.
#[derive(Debug, Clone, Args)]
pub struct JobOptions {
    /// A process that does one job and ends, as `sd-cli` of stable-diffusion.cpp: it loads, takes steps, writes a picture.
    #[arg(long, conflicts_with_all = ["port", "no_http"])]
    pub job: bool,
    /// Where the picture goes; without an extension it becomes `.png`, and several are numbered `_0`, `_1`.
    #[arg(short = 'o', long, value_name = "FILE", default_value = "output.png")]
    pub output: PathBuf,
    /// The model; it is not read. A file that is not there fails the job.
    #[arg(short = 'm', long, alias = "diffusion-model", value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// What to paint.
    #[arg(short = 'p', long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    pub prompt: String,
    /// What not to paint.
    #[arg(short = 'n', long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    pub negative_prompt: String,
    /// A picture to begin with. A file that is not there fails the job.
    #[arg(short = 'i', long, value_name = "FILE")]
    pub init_img: Option<PathBuf>,
    /// Steps of a picture; where requests ask for pictures, unless they say how many.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub steps: u32,
    /// Pictures.
    #[arg(short = 'b', long, value_name = "N", default_value_t = 1)]
    pub batch_count: u32,
    /// Width in pixels; the picture has one, whatever is wanted.
    #[arg(short = 'W', long, value_name = "PIXELS", default_value_t = 512)]
    pub width: u32,
    /// Height in pixels.
    #[arg(short = 'H', long, value_name = "PIXELS", default_value_t = 512)]
    pub height: u32,
    /// Where chance begins.
    #[arg(short = 's', long, value_name = "N", default_value_t = 42, allow_negative_numbers = true)]
    pub seed: i64,
    /// How much the prompt counts.
    #[arg(long, value_name = "N", default_value_t = 7.0)]
    pub cfg_scale: f64,
    /// Tensors of the text encoder on the CPU.
    #[arg(long)]
    pub clip_on_cpu: bool,
    /// The decoder on the CPU.
    #[arg(long)]
    pub vae_on_cpu: bool,
    /// Decode tile by tile.
    #[arg(long)]
    pub vae_tiling: bool,
    /// Weights in RAM until they are needed.
    #[arg(long)]
    pub offload_to_cpu: bool,
    /// Attention that takes less memory.
    #[arg(long)]
    pub diffusion_fa: bool,

    /// Milliseconds each step takes.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub step_ms: u64,
    /// How the job fails; unless it is told, it does not.
    #[arg(long, value_enum, requires = "job")]
    pub fail: Option<Trouble>,
    /// Only the first N jobs fail; how many there were stands in the file of `--count`.
    #[arg(long, value_name = "N", requires_all = ["fail", "count"])]
    pub fail_first: Option<u64>,
    /// Append a byte to this file at the start: its length is the number of jobs that were begun.
    #[arg(long, value_name = "FILE", requires = "job")]
    pub count: Option<PathBuf>,
    /// Hold a lock on this file. Whoever finds it held is the second of its kind at a time: it says so, as `NAME double`
    /// in the file of `--stop-log`, and ends.
    #[arg(long, value_name = "FILE", requires = "job")]
    pub alone: Option<PathBuf>,
}

/// How a job fails, with the words of stable-diffusion.cpp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Trouble {
    /// The card is full while the weights are loaded.
    Oom,
    /// The card is full when the first step is computed.
    OomCompute,
    /// The host's memory is full while the weights are loaded.
    OomHost,
    /// The model is none.
    BadModel,
    /// It ends as `--exit-code` or `--signal` say after half of its steps, without a word.
    Crash,
    /// It ends with status 0 and has written nothing.
    NoPicture,
}

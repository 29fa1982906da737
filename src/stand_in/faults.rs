//! What an engine does wrong while it lives on: it loses memory, starts processes without end, stops answering while its
//! `/health` goes on, says that a computation failed, writes what no terminal should see.

use std::{str::FromStr, time::Duration};

use actix_web::{
    HttpResponse,
    web::{self, Data, Query, ServiceConfig},
};
use clap::Args;
use greenroom_actors::units::ByteSize;
use serde::Deserialize;
use serde_json::json;

use super::{http::Engine, life::Wake, output};

/// Pause between two losses of memory: short beside any interval at which memory is measured, long beside a loss.
pub const LEAK_STEP: Duration = Duration::from_millis(100);
/// Most processes that one request can have started; enough for any runaway, too few for a machine to suffer.
const MOST_FORKS: u32 = 200;

/// The options of an engine that goes wrong.
#[derive(Debug, Clone, Args)]
pub struct FaultOptions {
    /// Memory to lose every second once loaded, at work or not, for example `8MiB/s`.
    #[arg(long, value_name = "SIZE/s")]
    pub leak: Option<Rate>,
    /// Memory to lose at each chat request.
    #[arg(long, value_name = "SIZE")]
    pub leak_per_request: Option<ByteSize>,
    /// Processes to start once `--fork-after-ms` have passed; `POST /fork?n=N` starts some at any time.
    #[arg(long, value_name = "N", requires = "fork_after_ms")]
    pub forks: Option<u32>,
    /// Milliseconds from the start until `--forks` are started.
    #[arg(long, value_name = "MS", requires = "forks")]
    pub fork_after_ms: Option<u64>,
    /// Answer this many chat requests and none of those after them, nor anything else that is to generate, while
    /// `/health` says that all is well.
    #[arg(long, value_name = "N")]
    pub wedge_after: Option<u64>,
    /// Say at each chat request what a WebUI says when a computation yields not-a-number.
    #[arg(long)]
    pub nan_per_request: bool,
    /// Once loaded, write what no terminal should see: escapes, NUL, bytes that are not UTF-8; `POST /hostile` has it written
    /// at any time.
    #[arg(long)]
    pub hostile: bool,
}

impl FaultOptions {
    /// Memory to lose in each [`LEAK_STEP`], if any is to be lost by time.
    #[must_use]
    pub fn leak_step(&self) -> Option<ByteSize> {
        self.leak.map(|rate| rate.over(LEAK_STEP)).filter(|size| size.0 > 0)
    }

    /// How many processes are to be started, and how long after the start.
    #[must_use]
    pub fn forks(&self) -> Option<(u32, Duration)> {
        self.forks.zip(self.fork_after_ms.map(Duration::from_millis))
    }
}

/// Memory in a time: `8MiB/s`, `200MiB/10m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    size: ByteSize,
    time: Duration,
}

impl Rate {
    /// What comes together in `time`, rounded down.
    fn over(self, time: Duration) -> ByteSize {
        let bytes = u128::from(self.size.0) * time.as_nanos() / self.time.as_nanos();
        ByteSize(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (size, time) = text.split_once('/').ok_or("a size and a time, as 8MiB/s")?;
        let size = size.parse::<ByteSize>().map_err(|error| error.to_string())?;
        // `8MiB/s` is `8MiB/1s`.
        let time = if time.starts_with(|c: char| c.is_ascii_digit()) { time.to_owned() } else { format!("1{time}") };
        let time = greenroom_actors::units::parse_duration(&time).map_err(|error| error.to_string())?;
        if time.is_zero() {
            return Err("a time above 0, as 8MiB/s".to_owned());
        }
        Ok(Self { size, time })
    }
}

/// What chat requests set off.
#[derive(Debug, Clone, Copy)]
pub struct AtChat {
    wedge_after: Option<u64>,
    leak: Option<ByteSize>,
    nan: bool,
}

impl AtChat {
    /// As `options` say.
    #[must_use]
    pub fn of(options: &FaultOptions) -> Self {
        Self { wedge_after: options.wedge_after, leak: options.leak_per_request, nan: options.nan_per_request }
    }

    /// The `nth` one has come, counted from 1. Whether it will never be answered.
    pub fn come(&self, nth: u64, engine: &Engine) -> bool {
        if let Some(size) = self.leak {
            engine.wake(Wake::Leak(size));
        }
        if self.nan {
            output::complain(output::NAN);
        }
        self.is_wedged(nth - 1)
    }

    /// Whether nothing is generated any more after so many chats.
    pub fn is_wedged(&self, chats: u64) -> bool {
        self.wedge_after.is_some_and(|answered| chats >= answered)
    }
}

/// Adds the routes; the [`Engine`] must be there as app data.
pub fn routes(app: &mut ServiceConfig) {
    app.route("/fork", web::post().to(fork)).route("/hostile", web::post().to(hostile));
}

#[derive(Debug, Deserialize)]
struct Fork {
    n: u32,
}

async fn fork(engine: Data<Engine>, asked: Query<Fork>) -> HttpResponse {
    let count = asked.n.min(MOST_FORKS);
    engine.wake(Wake::Fork(count));
    HttpResponse::Ok().json(json!({ "forking": count }))
}

async fn hostile() -> HttpResponse {
    output::draw_bytes(output::HOSTILE);
    HttpResponse::Ok().json(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_size_in_a_time() {
        let over = |text: &str, time| text.parse::<Rate>().map(|rate| rate.over(time));
        assert_eq!(over("8MiB/s", Duration::from_secs(1)), Ok(ByteSize(8 << 20)));
        assert_eq!(over("10MB/s", LEAK_STEP), Ok(ByteSize(1_000_000)));
        assert_eq!(over("600MiB/10m", Duration::from_secs(1)), Ok(ByteSize(1 << 20)));
        for wrong in ["8MiB", "8MiB/", "/s", "8MiB/x", "8MiB/0s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}

//! `wrk` (github.com/wg/wrk) as the client.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{CHAT, process::Spends};

/// How long one round takes.
pub const TIME: Duration = Duration::from_secs(3);

const SCRIPT: &str = r#"wrk.method = "POST"
wrk.body = '{"model":"upstream","max_tokens":1,"messages":[{"role":"user","content":"how much does a heron weigh?"}]}'
wrk.headers["Content-Type"] = "application/json"
"#;

/// What one round has shown. Times in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub p50: f64,
    pub p99: f64,
    pub per_second: f64,
    /// Time of the processor that one request takes the server.
    pub cpu: f64,
    /// Answers other than 200, connections that broke, answers that did not come.
    pub errors: u64,
}

pub fn is_there() -> bool {
    Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// One round.
pub fn run(port: u16, connections: u32, server: Option<&dyn Spends>) -> Load {
    let script = tempfile::Builder::new().suffix(".lua").tempfile().expect("a temporary file");
    fs::write(script.path(), SCRIPT).expect("it is writable");
    let spent = || server.map_or(0.0, Spends::spent);
    let before = spent();
    let said = Command::new("wrk")
        .args(["-t1", "--latency", &format!("-c{connections}"), &format!("-d{}s", TIME.as_secs()), "-s"])
        .arg(script.path())
        .arg(format!("http://127.0.0.1:{port}{CHAT}"))
        .output()
        .expect("wrk runs");
    let cpu = spent() - before;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    read(&said, cpu).unwrap_or_else(|| panic!("wrk said something else:\n{said}"))
}

fn read(said: &str, cpu: f64) -> Option<Load> {
    let behind = |word: &str| said.lines().find_map(|line| line.trim().strip_prefix(word));
    let requests: f64 = said.lines().find_map(|line| line.split_once(" requests in "))?.0.trim().parse().ok()?;
    let broken = behind("Socket errors:").unwrap_or_default();
    let broken = broken.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok());
    let refused = behind("Non-2xx or 3xx responses:").and_then(|number| number.trim().parse::<u64>().ok());
    Some(Load {
        p50: time(behind("50%")?)?,
        p99: time(behind("99%")?)?,
        per_second: behind("Requests/sec:")?.trim().parse().ok()?,
        cpu: cpu / requests,
        errors: broken.sum::<u64>() + refused.unwrap_or(0),
    })
}

/// `59.00us`, `1.20ms`, `2.00s`.
fn time(text: &str) -> Option<f64> {
    let text = text.trim();
    let begin = text.find(|c: char| c.is_ascii_alphabetic())?;
    let unit = match &text[begin..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Some(text[..begin].parse::<f64>().ok()? * unit)
}

//! `shutdown`: the ordered stop of a running runtime, also of a detached one, with its report.

use std::{fs, path::Path, time::Duration};

use greenroom_actors::os::proc::ProcessIdentity;
use serde_json::{Value, json};

use super::{
    args::{Global, ShutdownArgs},
    ask::{Asked, block_on, get, read},
    failure::Failure,
    place::Place,
    progress,
    seen::Status,
    terminal::Terminal,
};
use crate::runtime::{ShutdownReport, shutdown_json};

/// Pause between two looks at whether the runtime's process has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Asks for the stop and waits for the end of the process; the exit code is the one the report stands for. Of one that
/// is reached over its gateway the end cannot be seen: that its door has closed is waited for, and nothing more is said.
pub fn run(args: &ShutdownArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global)?;
    match asked.place() {
        Some(place) => here(args, &asked, place, terminal),
        None => there(args, &asked, terminal),
    }
}

fn here(args: &ShutdownArgs, asked: &Asked, place: &Place, terminal: &Terminal) -> Result<i32, Failure> {
    let report = block_on(async {
        let status: Status = read("/api/status", get(asked, "/api/status").await?)?;
        let process = ProcessIdentity::of(status.runtime.pid);
        let mut events = progress::events(&asked.client, terminal).await;
        begin(args, asked).await?;
        let end = async {
            while process.as_ref().is_ok_and(ProcessIdentity::is_alive) {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        let wait = progress::during(&mut events, terminal, |event| event["type"] != "gap", end);
        let late = |_| Failure::TimedOut { what: "the shutdown".to_owned(), bound: args.timeout };
        tokio::time::timeout(args.timeout, wait).await.map_err(late)??;
        self::report(place, status.runtime.epoch)
    })?;
    if terminal.json {
        terminal.value(&report)?;
    } else {
        terminal.say(report.to_string())?;
    }
    Ok(report.exit_code())
}

fn there(args: &ShutdownArgs, asked: &Asked, terminal: &Terminal) -> Result<i32, Failure> {
    let report = block_on(async {
        let status: Status = read("/api/status", get(asked, "/api/status").await?)?;
        let mut events = progress::events(&asked.client, terminal).await;
        begin(args, asked).await?;
        let closed = async {
            while is_open(asked, status.runtime.epoch).await {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        let wait = progress::during(&mut events, terminal, |event| event["type"] != "gap", closed);
        let late = |_| Failure::TimedOut { what: "the end of the gateway".to_owned(), bound: args.timeout };
        tokio::time::timeout(args.timeout, wait).await.map_err(late)??;
        Ok(shutdown_json(Path::new(&status.runtime.state_dir)))
    })?;
    if terminal.json {
        terminal.value(&json!({ "stopping": true, "report": report }))?;
    } else {
        let report = report.display();
        terminal.say(format!("it stops, and its gateway is closed; its report will be in {report}, on its machine"))?;
    }
    Ok(0)
}

async fn begin(args: &ShutdownArgs, asked: &Asked) -> Result<(), Failure> {
    let path = if args.force { "/api/shutdown?force=1" } else { "/api/shutdown" };
    asked.client.post::<Value>(path).await.map(drop).map_err(|e| asked.failure(e))
}

/// Whether the runtime of this epoch still answers.
async fn is_open(asked: &Asked, epoch: u64) -> bool {
    match asked.client.get::<Status>("/api/status").await {
        Ok(status) => status.runtime.epoch == epoch,
        Err(_) => false,
    }
}

/// The report that the runtime left at its end.
fn report(place: &Place, epoch: u64) -> Result<ShutdownReport, Failure> {
    let path = shutdown_json(&place.state_dir);
    let refuse = |source| Failure::Io { operation: "read the report in", path: path.clone(), source };
    let text = fs::read(&path).map_err(refuse)?;
    let report: ShutdownReport = serde_json::from_slice(&text).map_err(|e| refuse(e.into()))?;
    if report.epoch == epoch {
        return Ok(report);
    }
    // It is an earlier runtime's: this one was killed before it could write its own.
    Err(refuse(std::io::Error::other("the runtime ended without one; the last one there is of an earlier runtime")))
}

//! `run`: the runtime in the foreground, from its configuration to its report.

use greenroom_actors::{
    os::{memory::give_back_freed, state_dir::SOCKET},
    spec::{RuntimeSpec, StartMode},
};
use serde_json::json;

use super::{
    args::{Global, RunArgs},
    detach,
    failure::Failure,
    place,
    table::{Cell, count, table},
    terminal::Terminal,
};
use crate::{
    config::{Loaded, LogFormat},
    runtime::{Runtime, view::RuntimeView},
    signals::Signals,
    telemetry::{self, Format},
};

/// Runs until somebody asks for the end.
pub fn run(args: &RunArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let Some(spec) = prepare(args, global, terminal)? else { return Ok(0) };
    give_back_freed();
    let signals =
        Signals::install().map_err(|source| Failure::Io { operation: "listen for", path: "signals".into(), source })?;
    let shown = spec.clone();
    let running = Runtime::new(spec).start_blocking()?;
    let handle = running.handle();
    // Whether anybody reads this must not decide whether the runtime lives.
    drop(announce(&shown, &handle.runtime(), terminal));
    drop(shown);
    signals.attach(&handle);
    drop(handle);
    let report = running.wait_blocking();
    let said = if terminal.json { terminal.value(&report) } else { terminal.say(report.to_string()) };
    drop(said);
    Ok(report.exit_code())
}

/// Everything before the runtime itself; nothing to run where it goes on in the background. Only the spec outlives this:
/// the configuration with its places is many times as large.
fn prepare(args: &RunArgs, global: &Global, terminal: &Terminal) -> Result<Option<RuntimeSpec>, Failure> {
    let loaded = place::load(global)?;
    // The command that started this one in the background has said them.
    for warning in loaded.warnings.iter().filter(|_| !args.in_background) {
        terminal.note(format!("{warning}\n"));
    }
    if args.in_background {
        detach::leave_session()?;
    } else if args.detach {
        return detach::run(&loaded.spec.state_dir, terminal).map(|_| None);
    }
    telemetry::install(&loaded.log_level, format(&loaded), !global.no_color)?;
    Ok(Some(loaded.spec))
}

fn format(loaded: &Loaded) -> Format {
    match loaded.log_format {
        LogFormat::Auto => Format::for_stderr(),
        LogFormat::Pretty => Format::Pretty,
        LogFormat::Json => Format::Json,
    }
}

fn announce(spec: &RuntimeSpec, runtime: &RuntimeView, terminal: &Terminal) -> Result<(), Failure> {
    if terminal.json {
        return terminal.value(&json!({ "runtime": runtime }));
    }
    terminal.say(banner(spec, runtime, terminal.width))
}

/// What a person wants to know at the start.
fn banner(spec: &RuntimeSpec, runtime: &RuntimeView, width: Option<usize>) -> String {
    let guardian = runtime.guardian.map_or_else(
        || "none: what a killed runtime leaves is swept at the next start".to_owned(),
        |pid| format!("process {pid}"),
    );
    let mut lines = vec![
        format!("greenroom {}, `{}`, process {}", runtime.version, runtime.name, runtime.pid),
        format!("  containment  {} ({})", runtime.containment, runtime.containment_root),
        format!("  guardian     {guardian}"),
        format!("  socket       {}", spec.state_dir.join(SOCKET).display()),
        format!("  logs         {}/SERVICE/current.log", spec.state_dir.join("logs").display()),
        format!("  history      {}", spec.history.path.display()),
        count(spec.services.len(), "service", "services"),
    ];
    let rows: Vec<Vec<Cell>> = spec
        .services
        .iter()
        .map(|s| {
            let needs: Vec<String> = s.depends_on.iter().map(|d| d.service.to_string()).collect();
            let after = if needs.is_empty() { String::new() } else { format!("after {}", needs.join(", ")) };
            vec![
                Cell::text(format!("  {}", s.name)),
                Cell::text(s.engine.name()),
                Cell::text(start(s.start)),
                Cell::text(after),
            ]
        })
        .collect();
    lines.extend(table(&["", "", "", ""], &rows, width, false).into_iter().skip(1));
    lines.join("\n")
}

fn start(mode: StartMode) -> &'static str {
    match mode {
        StartMode::Eager => "starts now",
        StartMode::OnDemand => "on demand",
        StartMode::Manual => "started by hand",
    }
}

//! `run`: the runtime in the foreground, from its configuration to its report.

use std::time::Duration;

use greenroom_actors::{
    os::{clock::wait_until, limits::raise_nofile, memory::give_back_freed, state_dir::SOCKET},
    resource_orchestrator::view::MemorySnapshot,
    spec::{JobDefinition, JobWork, RuntimeSpec, StartMode},
};
use serde_json::json;

use super::{
    args::{Global, RunArgs},
    delegate, detach,
    failure::Failure,
    outlook, place,
    table::{Cell, count, table},
    terminal::Terminal,
    wrap::wrap,
};
use crate::{
    config::{Loaded, LogFormat},
    runtime::{Reloader, Runtime, told, view::RuntimeView},
    telemetry::{self, Format},
};

/// How long the first lines wait for what is known of memory.
const FIRST_LOOK: Duration = Duration::from_millis(300);

/// Runs until somebody asks for the end.
pub fn run(args: &RunArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let Some((spec, reloader)) = prepare(args, global, terminal)? else { return Ok(0) };
    give_back_freed();
    // This process is the runtime's alone; an application's limits are its own. Without it fewer services fit.
    if let Err(error) = raise_nofile() {
        tracing::warn!("the limit on open descriptors stays as it is: {error}");
    }
    let shown = spec.clone();
    let runtime = Runtime::builder().spec(spec).reloader(reloader).whole_process(true).handle_signals(true).build()?;
    let handle = runtime.start_blocking()?;
    let runtime = handle.runtime();
    // The cards are looked at for the first time while this is begun; nobody waits long for a line of text.
    wait_until(FIRST_LOOK, || shown.services.iter().all(|s| runtime.memory().needs.contains_key(&s.name)));
    // Whether anybody reads this must not decide whether the runtime lives.
    drop(announce(&shown, &runtime.runtime(), &runtime.memory(), terminal));
    drop(shown);
    let report = handle.wait_blocking()?;
    let said = if terminal.json { terminal.value(&report) } else { terminal.say(report.to_string()) };
    drop(said);
    Ok(report.exit_code())
}

/// Everything before the runtime itself; nothing to run where it goes on in the background. Only the spec and what was
/// set outlive this: the configuration with its places and defaults is many times as large.
fn prepare(args: &RunArgs, global: &Global, terminal: &Terminal) -> Result<Option<(RuntimeSpec, Reloader)>, Failure> {
    let (loaded, sources) = place::load_from(global)?;
    if args.delegate {
        delegate::run(terminal)?;
    }
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
    let reloader = Reloader::of_sources(&loaded, sources);
    Ok(Some((loaded.spec, reloader)))
}

fn format(loaded: &Loaded) -> Format {
    match loaded.log_format {
        LogFormat::Auto => Format::for_stderr(),
        LogFormat::Pretty => Format::Pretty,
        LogFormat::Json => Format::Json,
    }
}

fn announce(
    spec: &RuntimeSpec,
    runtime: &RuntimeView,
    memory: &MemorySnapshot,
    terminal: &Terminal,
) -> Result<(), Failure> {
    if terminal.json {
        return terminal.value(&json!({ "runtime": runtime, "needs": memory.needs }));
    }
    terminal.say(banner(spec, runtime, memory, terminal.width))
}

/// Where the right column of the banner begins.
const INDENT: usize = 15;

/// What a person wants to know at the start.
fn banner(spec: &RuntimeSpec, runtime: &RuntimeView, memory: &MemorySnapshot, width: Option<usize>) -> String {
    let guardian = runtime.guardian.map_or_else(
        || "none: what a killed runtime leaves is swept at the next start".to_owned(),
        |pid| format!("process {pid}"),
    );
    let mut lines = vec![
        format!("greenroom {}, `{}`, process {}", runtime.version, runtime.name, runtime.pid),
        format!("  containment  {} ({})", runtime.containment, runtime.containment_root),
    ];
    lines.extend(runtime.containment_limits.iter().flat_map(|limit| wrap(limit, width, INDENT, INDENT)));
    lines.extend([
        format!("  guardian     {guardian}"),
        format!("  socket       {}", spec.state_dir.join(SOCKET).display()),
        format!("  logs         {}/SERVICE/current.log", spec.state_dir.join("logs").display()),
        format!("  history      {}", spec.history.path.display()),
    ]);
    lines.extend(
        outlook::pools(memory).iter().flat_map(|(pool, text)| wrap(&format!("{pool:<13}{text}"), width, 2, INDENT)),
    );
    lines.push(count(spec.services.len(), "service", "services"));
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
                Cell::text(memory.needs.get(&s.name).and_then(told::need).unwrap_or_default()),
                Cell::text(after),
            ]
        })
        .collect();
    lines.extend(table(&["", "", "", "", ""], &rows, width, false).into_iter().skip(1));
    if !spec.jobs.is_empty() {
        lines.push(count(spec.jobs.len(), "job", "jobs"));
        let rows: Vec<Vec<Cell>> = spec.jobs.iter().map(|job| job_row(job, memory)).collect();
        lines.extend(table(&["", "", "", ""], &rows, width, false).into_iter().skip(1));
    }
    let names = spec.services.iter().map(|s| &s.name);
    lines.extend(outlook::together(names, memory).into_iter().flat_map(|text| wrap(&text, width, 2, 4)));
    lines.join("\n")
}

/// A kind of job: how it is done, and what that needs.
fn job_row(job: &JobDefinition, memory: &MemorySnapshot) -> Vec<Cell> {
    let (how, need) = match &job.work {
        JobWork::Process(process) => {
            (process.service.engine.name().to_owned(), memory.needs.get(&job.name).and_then(told::need))
        }
        JobWork::Request(request) => (format!("asks {}", request.service), None),
    };
    let serves = if job.serves.is_empty() { String::new() } else { format!("serves {}", job.serves.join(", ")) };
    vec![
        Cell::text(format!("  {}", job.name)),
        Cell::text(how),
        Cell::text(need.unwrap_or_default()),
        Cell::text(serves),
    ]
}

fn start(mode: StartMode) -> &'static str {
    match mode {
        StartMode::Eager => "starts now",
        StartMode::OnDemand => "on demand",
        StartMode::Manual => "started by hand",
    }
}

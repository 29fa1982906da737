//! A synchronous application without any executor that embeds Greenroom.
//!
//! `plain WAY STATE_DIR COMMAND...` loads a service that runs COMMAND, uses it, and ends in the given way: `run` (in
//! order), `panic`, `drop` (of the handle; the application lives on until its standard input ends) or `exit`, once a line
//! comes in on its standard input.
#![allow(clippy::disallowed_methods, reason = "an application's rules are its own")]

mod untouched;

use std::{
    error::Error,
    io::{Read, stdin},
    time::{Duration, Instant},
};

use greenroom::{Config, Guardian, Runtime, ServiceConfig, block_on, config::Start};
use untouched::{Untouched, compare_threads, threads};

fn main() -> Result<(), Box<dyn Error>> {
    // First of all: this process may have been started as the guardian.
    greenroom::guardian::init();

    let mut args = std::env::args().skip(1);
    let (Some(way), Some(state_dir)) = (args.next(), args.next()) else {
        return Err("plain WAY STATE_DIR COMMAND...".into());
    };
    let (before, own_threads) = (Untouched::look(), threads());

    let worker = ServiceConfig::new("worker").command(args).start(Start::OnDemand).ready_path("/health");
    let runtime = Runtime::builder()
        .app_id("com.example.plain")
        .state_dir(state_dir)
        .config(Config::new().service(worker))
        .guardian(Guardian::SelfExec)
        .build()?;
    let handle = runtime.start_blocking()?;
    println!("root {}", handle.snapshot().runtime.containment_root);

    let worker = handle.service("worker")?;
    let endpoint = block_on(worker.load())?;
    println!("loaded {}", endpoint.url().unwrap_or_default());
    // While a permit lives, the service is not taken away.
    let permit = block_on(worker.enter())?;
    println!("{} in flight, {}", handle.snapshot().services.len(), worker.status().state.name());
    drop(permit);
    before.compare();
    println!("ready");
    // Whoever started this says when it is to end.
    stdin().read_line(&mut String::new())?;

    match way.as_str() {
        "panic" => panic!("the application panics"),
        "exit" => std::process::exit(7),
        "drop" => {
            let began = Instant::now();
            drop(handle);
            println!("dropped in {} us", began.elapsed().as_micros());
            compare_threads(&own_threads);
            // The application goes on without it.
            drop(stdin().read_to_end(&mut Vec::new()));
        }
        _ => {
            let report = handle.shutdown_blocking(Duration::from_secs(30))?;
            println!("{report}");
            println!("{}", if report.is_clean() { "clean" } else { "NOT CLEAN" });
        }
    }
    compare_threads(&own_threads);
    before.compare();
    Ok(())
}

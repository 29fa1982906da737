//! An application with its own multi-threaded Tokio runtime and its own log that embeds Greenroom.
//!
//! `with_tokio WAY STATE_DIR COMMAND...`: as the `plain` one.
#![allow(clippy::disallowed_methods, reason = "an application's rules are its own")]

mod untouched;

use std::{
    error::Error,
    io::{Read, stdin},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use greenroom::{Config, Filter, Runtime, ServiceConfig, config::Start};
use untouched::{Untouched, compare_threads, threads};

fn main() -> Result<(), Box<dyn Error>> {
    // First of all, before any thread of Tokio's exists.
    greenroom::guardian::init();
    let own_threads = threads();
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    executor.block_on(run(own_threads))
}

async fn run(own_threads: Vec<String>) -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(way), Some(state_dir)) = (args.next(), args.next()) else {
        return Err("with_tokio WAY STATE_DIR COMMAND...".into());
    };
    let before = Untouched::look();

    let worker = ServiceConfig::new("worker").command(args).start(Start::OnDemand).ready_path("/health");
    let config = Config::new().service(worker);
    let runtime = Runtime::builder().app_id("com.example.with-tokio").state_dir(state_dir).config(config).build()?;
    let handle = runtime.start().await?;
    println!("root {}", handle.snapshot().runtime.containment_root);
    // There can be one subscriber in a process, and it is the application's.
    tracing_subscriber::fmt().with_writer(std::io::stderr).try_init().map_err(|e| format!("not the first log: {e}"))?;

    let mut events = handle.events(Filter::all().service("worker").kind("service.state"));
    let told = tokio::spawn(async move {
        let mut states = Vec::new();
        while let Some(event) = events.next().await {
            let state = serde_json::to_value(event?)?["to"].as_str().unwrap_or_default().to_owned();
            states.push(state);
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(states)
    });

    let worker = handle.service("worker")?;
    let loading = worker.load();
    let mut progress = loading.progress();
    let shown = tokio::spawn(async move {
        while let Some(step) = progress.next().await {
            println!("loading: {step}");
        }
    });
    let endpoint = loading.await?;
    shown.await?;
    println!("loaded {}", endpoint.url().unwrap_or_default());
    // Many requests at once, each with its permit.
    let requests = (0..8).map(|_| {
        let worker = worker.clone();
        tokio::spawn(async move { worker.enter().await.map(drop) })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await??;
    }
    before.compare();
    println!("ready");
    // Whoever started this says when it is to end.
    tokio::task::spawn_blocking(|| stdin().read_line(&mut String::new())).await??;

    match way.as_str() {
        "panic" => panic!("the application panics"),
        "exit" => std::process::exit(7),
        "drop" => {
            let began = Instant::now();
            drop(handle);
            println!("dropped in {} us", began.elapsed().as_micros());
            println!("told {}", told.await?.map_err(|e| e.to_string())?.join(" "));
            compare_threads(&own_threads);
            until_input_ends().await?;
        }
        _ => {
            let report = handle.shutdown(Duration::from_secs(30)).await?;
            println!("{report}");
            println!("{}", if report.is_clean() { "clean" } else { "NOT CLEAN" });
            println!("told {}", told.await?.map_err(|e| e.to_string())?.join(" "));
            compare_threads(&own_threads);
        }
    }
    before.compare();
    Ok(())
}

async fn until_input_ends() -> Result<(), Box<dyn Error>> {
    tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

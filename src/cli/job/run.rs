//! Carries the subcommands of `job` out.

use std::path::{Path, PathBuf};

use greenroom_actors::{
    job::{JobId, JobOutcome, JobState, JobView},
    job_queue::attempt::JobFolder,
    os::clock,
};
use serde_json::{Value, json};

use super::{
    args::{JobCommand, JobLogsArgs, Jobs, ListArgs, OneJob, OutputArgs, RetryArgs, SubmitArgs, Then},
    fetch::fetch,
    find::{find, job_path, look},
    show,
    submit::{content, send},
    wait::wait,
};
use crate::cli::{
    args::Global,
    ask::{Asked, block_on, executor, get, named_path, read},
    failure::Failure,
    interrupt::Interrupt,
    logs::Lines,
    terminal::Terminal,
};

/// Carries one out.
pub fn run(command: &JobCommand, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global)?;
    match command {
        JobCommand::Submit(args) => submit(args, &asked, terminal),
        JobCommand::Retry(args) => retry(args, &asked, terminal),
        JobCommand::List(args) => block_on(list(args, &asked, terminal)),
        JobCommand::Show(args) => block_on(show_one(args, &asked, terminal)),
        JobCommand::Logs(args) => block_on(logs(args, &asked, terminal)),
        JobCommand::Output(args) => block_on(output(args, &asked, terminal)),
        JobCommand::Cancel(args) => block_on(cancel(args, &asked, terminal)),
    }
}

fn submit(args: &SubmitArgs, asked: &Asked, terminal: &Terminal) -> Result<i32, Failure> {
    let content = content(args)?;
    let sent = async { send(&asked.client, content).await.map_err(|error| asked.failure(error)) };
    follow_up(sent, &args.then, asked, terminal)
}

fn retry(args: &RetryArgs, asked: &Asked, terminal: &Terminal) -> Result<i32, Failure> {
    let sent = async {
        let path = job_path(find(asked, &args.job.id).await?, "/retry");
        asked.client.post::<Value>(&path).await.map_err(|error| asked.failure(error))
    };
    follow_up(sent, &args.then, asked, terminal)
}

/// Has a job accepted, and then does what is wanted besides. A signal ends the waiting, and the job goes on.
fn follow_up(
    sent: impl Future<Output = Result<Value, Failure>>,
    then: &Then,
    asked: &Asked,
    terminal: &Terminal,
) -> Result<i32, Failure> {
    executor()?.block_on(async {
        let mut interrupt = Interrupt::listen()?;
        let accepted = async {
            // From before the job is there, so that nothing of it is missed.
            let events = if then.waits() { Some(asked.client.events(None, true).await) } else { None };
            let events = events.transpose().map_err(|error| asked.failure(error))?;
            let value = sent.await?;
            Ok((read::<JobView>("/api/jobs", value.clone())?.id, value, events))
        };
        let (id, value, events) = interrupt.or(accepted).await?;
        let Some(events) = events else {
            if terminal.json {
                terminal.value(&value)?;
            } else {
                terminal.say(id.to_string())?;
            }
            return Ok(0);
        };
        let waited = async {
            let (job, value) = wait(asked, events, id, terminal).await?;
            finish(&job, &value, then.output.as_deref(), asked, terminal).await
        };
        match interrupt.or(waited).await {
            Err(Failure::Interrupted) => Err(Failure::LeftToItself(id)),
            done => done,
        }
    })
}

/// Prints what a job has come to, and fetches what it has made where that is wanted.
async fn finish(
    job: &JobView,
    value: &Value,
    into: Option<&Path>,
    asked: &Asked,
    terminal: &Terminal,
) -> Result<i32, Failure> {
    let is_done = job.outcome == Some(JobOutcome::Succeeded);
    let fetched = match into {
        Some(folder) if is_done => Some(fetch(asked, job, folder).await?),
        _ => None,
    };
    if terminal.json {
        terminal.value(value)?;
        return Ok(i32::from(!is_done));
    }
    if !is_done {
        let outcome = job.outcome.map_or(job.state, JobOutcome::state).name();
        terminal.note(format!("job {} ({}): {outcome}", job.id, job.job));
        show::failure(job).into_iter().for_each(|line| terminal.note(format!("  {line}")));
        return Ok(1);
    }
    let folder = folder(asked, job.id);
    let names = job.result.iter().flat_map(|result| &result.files);
    let places = fetched.map_or_else(
        || names.map(|name| show::place(name, folder.as_deref())).collect(),
        |paths: Vec<PathBuf>| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
    );
    places.iter().try_for_each(|place| terminal.say(place))?;
    if let Some(json) = job.result.as_ref().and_then(|result| result.json.as_ref()) {
        terminal.value(json)?;
    }
    Ok(0)
}

/// Where the files of a job lie, if that is here.
fn folder(asked: &Asked, id: JobId) -> Option<PathBuf> {
    asked.place().map(|place| JobFolder::of(&place.state_dir, id).output())
}

async fn list(args: &ListArgs, asked: &Asked, terminal: &Terminal) -> Result<i32, Failure> {
    let states: Vec<&str> = args.state.iter().copied().map(JobState::name).collect();
    let job = args.job.as_ref().map(|job| named_path("&job=", job, "")).unwrap_or_default();
    // One more, so that it is known whether there are more; programs get what they ask for.
    let limit = args.limit + u32::from(!terminal.json);
    let path = format!("/api/jobs?limit={limit}&state={}{job}", states.join(","));
    let value = get(asked, &path).await?;
    if terminal.json {
        terminal.value(&value)?;
        return Ok(0);
    }
    let mut jobs: Vec<JobView> = read(&path, value)?;
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let has_more = jobs.len() > most;
    jobs.truncate(most);
    terminal.say(show::list(&jobs, clock::wall(), terminal.width, terminal.color))?;
    if has_more {
        terminal.note(format!("there are more than these {most}; --limit shows them"));
    }
    Ok(0)
}

async fn show_one(args: &OneJob, asked: &Asked, terminal: &Terminal) -> Result<i32, Failure> {
    let (job, value) = look(asked, find(asked, &args.id).await?).await?;
    if terminal.json {
        terminal.value(&value)?;
    } else {
        // Files that are kept no more are named as they were called.
        let folder = folder(asked, job.id).filter(|folder| folder.is_dir());
        terminal.say(show::one(&job, folder.as_deref(), terminal.width, terminal.color))?;
    }
    Ok(0)
}

async fn logs(args: &JobLogsArgs, asked: &Asked, terminal: &Terminal) -> Result<i32, Failure> {
    let id = find(asked, &args.job.id).await?;
    let path = job_path(id, &format!("/logs?follow={}&tail={}", u8::from(args.follow), args.lines));
    let mut stream = asked.client.stream(&path).await.map_err(|error| asked.failure(error))?;
    let mut lines = Lines::default();
    let print = |lines: Vec<bytes::Bytes>| {
        lines.iter().try_for_each(|line| {
            if !terminal.json {
                return terminal.bytes(line);
            }
            let text = String::from_utf8_lossy(line);
            terminal.line(&json!({ "job": id, "line": text.strip_suffix('\n').unwrap_or(&text) }))
        })
    };
    while let Some(bytes) = stream.next().await {
        print(lines.take(&bytes))?;
    }
    print(lines.rest())?;
    Ok(0)
}

async fn output(args: &OutputArgs, asked: &Asked, terminal: &Terminal) -> Result<i32, Failure> {
    let id = find(asked, &args.job.id).await?;
    let (job, _) = look(asked, id).await?;
    if job.outcome.is_none() {
        return Err(Failure::JobOpen { id, state: job.state });
    }
    let paths = fetch(asked, &job, &args.output).await?;
    if terminal.json {
        terminal.value(&paths)?;
    } else {
        paths.iter().try_for_each(|path| terminal.say(path.display().to_string()))?;
    }
    Ok(0)
}

async fn cancel(args: &Jobs, asked: &Asked, terminal: &Terminal) -> Result<i32, Failure> {
    let mut answers = Vec::new();
    for text in &args.ids {
        let path = job_path(find(asked, text).await?, "");
        let answer: Value = asked.client.delete(&path).await.map_err(|error| asked.failure(error))?;
        let job: JobView = read(&path, answer.clone())?;
        answers.push(answer);
        if !terminal.json {
            let now = match job.state {
                JobState::Cancelled => "cancelled".to_owned(),
                state => format!("told; now {}, cancelled once it has stopped", state.name()),
            };
            terminal.say(format!("{} ({}): {now}", job.id, job.job))?;
        }
    }
    if terminal.json {
        terminal.value(&answers)?;
    }
    Ok(0)
}

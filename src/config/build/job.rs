//! `[job.NAME]`: which of its keys are for which of the two ways to do it, and what they have in common. Pure.

use std::{collections::BTreeSet, path::Path};

use greenroom_actors::{
    job::JobName,
    spec::{CleanupAction, CleanupSpec, JobDefinition, JobWork, ParamSpec, ProcessJob, RequestBody, SetValue},
    template::Template,
};

use super::{
    cleanup,
    memory::span,
    owner::Owner,
    params::{params, place, used},
    read::Reader,
    request::{self, Askable},
    scope::Scope,
    shell, worker,
};
use crate::config::{schema::keys, source::Span};

/// Workers of one job at a time: each is a process, with a supervisor of its own.
const MOST_WORKERS: u32 = 64;

/// The kind of job at `at`; `None` if what it cannot do without was reported.
pub(super) fn build(
    reader: &mut Reader<'_>,
    name: JobName,
    at: Span,
    askable: Askable<'_>,
    state_dir: &Path,
) -> Option<JobDefinition> {
    let own = name.to_string();
    let j = own.as_str();
    let params = params(reader, j);
    let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
    let (work, cleanup) = match way(reader, j, at)? {
        Way::Process => {
            let scope = Scope::worker(j, &names);
            let process = worker::build(reader, &name, at, &scope);
            let cleanup = cleanup::of_process(reader, j, scope, state_dir);
            check_flags(reader, j, &params, &process);
            check_shells(reader, j, &params, &process, &cleanup);
            (JobWork::Process(Box::new(process)), cleanup)
        }
        Way::Request => {
            no_command_line(reader, j, &params, askable);
            let request = request::build(reader, j, &params, askable)?;
            let on = askable.find(request.service.as_str())?;
            let cleanup = cleanup::of_request(reader, j, on, state_dir);
            (JobWork::Request(request), cleanup)
        }
    };
    check_use(reader, j, &params, &work, &cleanup);
    let serves = reader.texts(&["job", j, "serves"]);
    if !serves.is_empty() && !names.contains(&"prompt") {
        let message = format!("job `{j}` serves clients, and has no param `prompt` to give it what they ask for");
        reader.warn(span(reader, &["job", j, "serves"]), message, "add params.prompt = {}");
    }
    Some(JobDefinition {
        name,
        serves,
        max_parallel: max_parallel(reader, j, &work),
        params,
        work,
        timeout: reader.duration(&["job", j, "timeout"]),
        retries: reader.number(&["job", j, "retries"]),
        keep_output: reader.duration(&["job", j, "keep_output"]),
        cleanup,
    })
}

enum Way {
    Process,
    Request,
}

/// Which of the two it is.
fn way(reader: &mut Reader<'_>, j: &str, at: Span) -> Option<Way> {
    let has = |reader: &Reader<'_>, key| {
        reader.node(&["job", j, key]).is_some() || reader.effective.is_faulty(&["job", j, key])
    };
    match (has(reader, "command"), has(reader, "service")) {
        (true, false) => {
            for (key, at) in out_of_place(reader, j, "command") {
                let message =
                    format!("job `{j}`: `{key}` is for a job that asks a `service`, and this one has a `command`");
                reader.error(at, message, "remove it");
            }
            Some(Way::Process)
        }
        (false, true) => {
            if !has(reader, "request") {
                let help = "add request = { method = \"POST\", path = \"/...\" }";
                reader.error(at, format!("job `{j}` has a `service` and no `request`"), help);
            }
            Some(Way::Request)
        }
        (true, true) => {
            let help = "a job is a process or a request: keep one";
            reader.error(at, format!("job `{j}` has both `command` and `service`"), help);
            None
        }
        (false, false) => {
            let help = "add `command`, or `service` and `request`";
            reader.error(at, format!("job `{j}` has neither `command` nor `service`"), help);
            None
        }
    }
}

/// The keys of a job that have no meaning beside one that it has, with their places.
fn out_of_place(reader: &Reader<'_>, j: &str, beside: &str) -> Vec<(&'static str, Span)> {
    let found = keys().filter(|key| key.not_beside == Some(beside)).filter_map(|key| {
        let key = key.path.strip_prefix("job.*.")?;
        let table = key.strip_suffix(".*").unwrap_or(key);
        let path = Owner::job(j).key(&table.split('.').collect::<Vec<_>>());
        Some((table, reader.effective.mention(&path)?))
    });
    found.collect()
}

/// A request has no process whose keys could count.
fn no_command_line(reader: &mut Reader<'_>, j: &str, params: &[ParamSpec], askable: Askable<'_>) {
    let asked = reader.node(&["job", j, "service"]).and_then(|node| node.text()).and_then(|name| askable.find(name));
    for (key, at) in out_of_place(reader, j, "service") {
        let message = format!("job `{j}`: `{key}` is for a job with a `command`, and this one asks a `service`");
        let path = Owner::service("*").key(&key.split('.').collect::<Vec<_>>()).join(".");
        let is_service_key = keys().any(|other| other.path.trim_end_matches(".*") == path);
        let help = match asked {
            Some(on) if on.section == "service" && is_service_key => {
                format!("remove it: what counts is the `{key}` of {on}")
            }
            Some(Owner { section: "remote", .. }) => "remove it: a remote is not started here".to_owned(),
            _ => "remove it".to_owned(),
        };
        reader.error(at, message, help);
    }
    for param in params.iter().filter(|param| param.flag.is_some()) {
        let message =
            format!("job `{j}`: `params.{}.flag`: a request has no command that it could stand in", param.name);
        reader.error(place(reader, j, &param.name), message, "remove the flag; with a default it may be left out");
    }
}

/// A param with a flag is appended to the command, and so does not stand in it.
fn check_flags(reader: &mut Reader<'_>, j: &str, params: &[ParamSpec], process: &ProcessJob) {
    let in_command = used(&process.service.command);
    for param in params.iter().filter(|param| param.flag.is_some() && in_command.contains(&param.name)) {
        let name = &param.name;
        let message =
            format!("job `{j}`: the param `{name}` stands in `command`, and its `flag` would append it once more");
        reader.error(place(reader, j, name), message, format!("remove the flag, or `${{param.{name}}}`"));
    }
}

/// What a client sends is no program.
fn check_shells(reader: &mut Reader<'_>, j: &str, params: &[ParamSpec], process: &ProcessJob, cleanup: &CleanupSpec) {
    let who = Owner::job(j);
    let place = span(reader, &who.key(&["command"]));
    shell::check(reader, &process.service.command, params, &who.to_string(), place);
    let place = span(reader, &who.key(&["cleanup", "actions"]));
    for action in &cleanup.actions {
        if let CleanupAction::Exec(words) = action {
            shell::check(reader, words, params, &format!("{who}: `cleanup.actions`: `exec`"), place);
        }
    }
}

/// Says which params nothing comes of.
fn check_use(reader: &mut Reader<'_>, j: &str, params: &[ParamSpec], work: &JobWork, cleanup: &CleanupSpec) {
    let mut found: BTreeSet<String> = used(in_cleanup(cleanup));
    let help = match work {
        JobWork::Process(process) => {
            found.extend(used(process.service.command.iter().chain(process.service.env.values())));
            "write `${param.NAME}` into `command` or `env`, or give it a `flag`"
        }
        JobWork::Request(request) => match &request.body {
            RequestBody::Params => return,
            RequestBody::File { set, .. } => {
                let filled = |(_, value): &'_ (String, SetValue)| match value {
                    SetValue::Filled(template) => Some(template.clone()),
                    SetValue::Fixed(_) => None,
                };
                found.extend(used(&set.iter().filter_map(filled).collect::<Vec<_>>()));
                "put `${param.NAME}` somewhere by `set`"
            }
        },
    };
    for param in params.iter().filter(|param| param.flag.is_none() && !found.contains(&param.name)) {
        let message = format!("job `{j}`: the param `{}` is used nowhere", param.name);
        reader.warn(place(reader, j, &param.name), message, help.replace("NAME", &param.name));
    }
}

fn in_cleanup(cleanup: &CleanupSpec) -> impl Iterator<Item = &Template> {
    cleanup.actions.iter().flat_map(|action| match action {
        CleanupAction::Http { .. } => &[][..],
        CleanupAction::Purge(folder) => std::slice::from_ref(folder),
        CleanupAction::Exec(words) => words,
    })
}

fn max_parallel(reader: &mut Reader<'_>, j: &str, work: &JobWork) -> u32 {
    let key = ["job", j, "max_parallel"];
    let most = reader.number(&key);
    if matches!(work, JobWork::Process(_)) && most > MOST_WORKERS {
        let message = format!("job `{j}`: `max_parallel` is {most}, and at most {MOST_WORKERS} processes do its jobs");
        reader.error(span(reader, &key), message, format!("write {MOST_WORKERS} or less"));
    }
    most
}

//! Names: those of services, jobs and remotes, those that clients use, and those of the processes that do jobs. Pure.

use std::collections::HashMap;

use greenroom_actors::{
    ids::MAX_NAME,
    spec::{JobWork, RuntimeSpec},
};

use super::Check;
use crate::config::{problem::Problem, source::Span, suggest::nearest, tree::Node};

/// The sections whose names the user chooses, in the order in which one of them has a name first.
const SECTIONS: [&str; 3] = ["service", "job", "remote"];

/// No two of services, jobs and remotes have one name.
pub(super) fn own(check: &Check<'_>) -> Vec<Problem> {
    let mut first: HashMap<&str, (&str, Span)> = HashMap::new();
    let mut problems = Vec::new();
    for section in SECTIONS {
        for (name, at) in check.effective.names(section) {
            let Some((other, there)) = first.get(name) else {
                first.insert(name, (section, at));
                continue;
            };
            let there = check.effective.sources().place(*there);
            let help = format!("the {other} stands at {there}: give one of them another");
            problems.push(check.error(at, format!("a {other} and a {section} have one name, `{name}`"), help));
        }
    }
    problems
}

/// Each process that does a job has a name of its own: the second of `image` is `image.2`.
pub(super) fn of_workers(check: &Check<'_>, spec: &RuntimeSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for job in spec.jobs.iter().filter(|job| matches!(job.work, JobWork::Process(_))) {
        let j = job.name.as_str();
        let at = check.span(&["job", j, "max_parallel"]);
        // More than that many are refused elsewhere.
        for name in (2..=job.max_parallel.min(64)).map(|n| format!("{j}.{n}")) {
            if name.len() > MAX_NAME {
                let message = format!("job `{j}`: a process of it would be named `{name}`, which is too long a name");
                let help =
                    format!("a name has at most {MAX_NAME} characters: shorten the job's, or lower max_parallel");
                problems.push(check.error(at, message, help));
                break;
            }
            let taken = SECTIONS.iter().find_map(|section| {
                let place = check.effective.mention(&[section, &name])?;
                Some(format!("the {section} at {}", check.effective.sources().place(place)))
            });
            if let Some(taken) = taken {
                let message = format!("job `{j}`: a process of it would be named `{name}`, as {taken} is");
                problems.push(check.error(at, message, "give one of them another name, or lower max_parallel"));
            }
        }
    }
    problems
}

/// No two of services, jobs and remotes answer to one name. Services and remotes answer to their own as well.
pub(super) fn of_clients(check: &Check<'_>) -> Vec<Problem> {
    let (mut own, mut served) = (HashMap::new(), HashMap::new());
    let mut problems = Vec::new();
    for section in ["service", "remote"] {
        for (name, _) in check.effective.names(section) {
            // That a remote has the name of a service has been said.
            own.entry(name).or_insert((section, name));
        }
    }
    for section in SECTIONS {
        for (name, _) in check.effective.names(section) {
            for (client_name, span) in serves(check, section, name) {
                let of_itself = |owner: &&(&str, &str)| **owner == (section, name);
                let other = own.get(client_name).filter(|owner| !of_itself(owner));
                let Some((other, of)) = served.get(client_name).or(other) else {
                    served.insert(client_name, (section, name));
                    continue;
                };
                let message = format!("{other} `{of}` and {section} `{name}` have one client name, `{client_name}`");
                problems.push(check.error(span, message, "give one of them another name in `serves`"));
            }
        }
    }
    problems
}

/// What requests mean that name no model is served by somebody.
pub(super) fn default_model(check: &Check<'_>) -> Vec<Problem> {
    let model = check.text(&["gateway", "default_model"]);
    let mut names: Vec<&str> = Vec::new();
    for section in SECTIONS {
        for (name, _) in check.effective.names(section) {
            let served: Vec<&str> = serves(check, section, name).map(|(name, _)| name).collect();
            names.extend((served.is_empty() && section != "job").then_some(name));
            names.extend(served);
        }
    }
    if model.is_empty() || names.contains(&model) {
        return Vec::new();
    }
    let help = match nearest(model, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("models are: {}", names.join(", ")),
    };
    let span = check.span(&["gateway", "default_model"]);
    vec![check.error(span, format!("`gateway.default_model`: nobody serves `{model}`"), help)]
}

/// The names of `serves`, each with its place.
fn serves<'a>(check: &Check<'a>, section: &str, name: &str) -> impl Iterator<Item = (&'a str, Span)> + use<'a> {
    let list = check.effective.get(&[section, name, "serves"]).map(Node::items).unwrap_or_default();
    list.iter().filter_map(|node| Some((node.text()?, node.span)))
}

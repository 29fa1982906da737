//! What a text says of jobs, and what is said against it.

use greenroom::actors::spec::{JobDefinition, JobWork, ProcessJob, RequestJob};

use crate::folder::Folder;

pub fn jobs(text: &str) -> Vec<JobDefinition> {
    Folder::toml(text).loaded().spec.jobs
}

pub fn process(job: &JobDefinition) -> &ProcessJob {
    match &job.work {
        JobWork::Process(process) => process,
        JobWork::Request(request) => panic!("a process: {request:?}"),
    }
}

pub fn request(job: &JobDefinition) -> &RequestJob {
    match &job.work {
        JobWork::Request(request) => request,
        JobWork::Process(process) => panic!("a request: {process:?}"),
    }
}

/// What is refused, with what to do about it.
pub fn helps(text: &str) -> Vec<(String, String)> {
    let folder = Folder::toml(text);
    let base = format!("{}/", folder.dir.path().display());
    let plain = |text: &str| text.replace(&base, "");
    let errors = folder.load().map(|_| ()).expect_err("it should not be taken").0;
    errors.iter().map(|p| (plain(&p.message), plain(p.help.as_deref().unwrap_or_default()))).collect()
}

pub fn warnings(text: &str) -> Vec<String> {
    Folder::toml(text).loaded().warnings.iter().map(|warning| warning.message.clone()).collect()
}

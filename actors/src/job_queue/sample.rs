//! Kinds of job and jobs for tests.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;

use crate::spec::{
    CleanupSpec, JobDefinition, JobWork, ParamKind, ParamSpec, ProcessJob, RequestBody, RequestJob, sample::service,
};

pub use crate::job::sample::queued;

/// A kind of job that is a request, without parameters, retries or a limit of time, one at a time.
pub fn definition(name: &str) -> JobDefinition {
    let request = RequestJob {
        service: "web".parse().expect("a name"),
        method: "POST".to_owned(),
        path: "/work".to_owned(),
        body: RequestBody::File { path: PathBuf::from("/body.json"), set: Vec::new() },
    };
    JobDefinition {
        name: name.parse().expect("a name"),
        serves: Vec::new(),
        params: Vec::new(),
        work: JobWork::Request(request),
        timeout: Duration::ZERO,
        retries: 0,
        max_parallel: 1,
        keep_output: Duration::from_secs(3600),
        cleanup: CleanupSpec::default(),
    }
}

/// Done by a process.
pub fn process() -> JobWork {
    JobWork::Process(Box::new(ProcessJob {
        service: service("image"),
        clip_on_cpu: None,
        vae_on_cpu: None,
        batch_size: None,
    }))
}

/// A parameter.
pub fn param(name: &str, kind: ParamKind, default: Option<Value>, flag: Option<&str>) -> ParamSpec {
    ParamSpec { name: name.to_owned(), kind, default, flag: flag.map(str::to_owned) }
}

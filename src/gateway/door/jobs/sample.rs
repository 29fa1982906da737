//! A kind of job for tests.

use std::time::Duration;

use greenroom_actors::spec::{CleanupSpec, JobDefinition, JobWork, ParamKind, ParamSpec, RequestBody, RequestJob};

/// A parameter without a default.
pub fn param(name: &str, kind: ParamKind) -> ParamSpec {
    ParamSpec { name: name.to_owned(), kind, default: None, flag: None }
}

/// `image`, which serves `sdxl` by a request to a service, with these parameters.
pub fn definition(params: Vec<ParamSpec>) -> JobDefinition {
    JobDefinition {
        name: "image".parse().expect("a name"),
        serves: vec!["sdxl".to_owned()],
        params,
        work: JobWork::Request(RequestJob {
            service: "webui".parse().expect("a name"),
            method: "POST".to_owned(),
            path: "/".to_owned(),
            body: RequestBody::Params,
        }),
        timeout: Duration::ZERO,
        retries: 0,
        max_parallel: 1,
        keep_output: Duration::ZERO,
        cleanup: CleanupSpec::default(),
    }
}

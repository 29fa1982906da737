//! From the merged configuration to what the actors act on.
//!
//! Every `auto` is resolved here, every path made absolute, every command split. Pure but for the door to the outside
//! (programs, model files, secrets). What is wrong is collected, never thrown: one run names every problem.

mod alive;
mod cleanup;
mod command;
mod doors;
mod fits;
mod gateway;
mod job;
mod limits;
mod memory;
mod owner;
mod params;
mod place;
mod probe;
mod program;
mod purge;
mod read;
mod remote;
mod request;
mod resources;
mod runtime;
mod scope;
mod service;
mod shell;
mod template;
mod url;
mod watchdog;
mod worker;

use greenroom_actors::{engines::Engines, spec::RuntimeSpec};

use super::{effective::Effective, outside::Outside, problem::Problem};

use read::Reader;
use request::Askable;

/// Whether this is the URL of a server as a remote takes it.
#[must_use]
pub fn is_server(url: &str) -> bool {
    url::Url::read(url).is_some()
}

/// Builds what is no service, job or remote, and looks at nothing that those name. It is complete only if no problem is an
/// error.
#[must_use]
pub fn build_runtime(effective: &Effective, outside: &dyn Outside, engines: &Engines) -> (RuntimeSpec, Vec<Problem>) {
    let mut reader = Reader::new(effective, outside, engines);
    let spec = runtime::build(&mut reader);
    (spec, reader.into_problems())
}

/// Builds the whole spec. It is complete only if no problem is an error.
#[must_use]
pub fn build(effective: &Effective, outside: &dyn Outside, engines: &Engines) -> (RuntimeSpec, Vec<Problem>) {
    let mut reader = Reader::new(effective, outside, engines);
    let mut spec = runtime::build(&mut reader);
    for (name, span) in effective.names("service") {
        // A name that cannot be one has been reported with its place.
        if let Ok(name) = name.parse() {
            let service = service::build(&mut reader, name, span, &spec.state_dir);
            spec.services.push(service);
        }
    }
    for (name, _) in effective.names("remote") {
        if let Ok(name) = name.parse() {
            spec.remotes.push(remote::build(&mut reader, name, &spec.state_dir));
        }
    }
    for (name, span) in effective.names("job") {
        let askable = Askable { services: &spec.services, remotes: &spec.remotes };
        if let Ok(name) = name.parse() {
            let job = job::build(&mut reader, name, span, askable, &spec.state_dir);
            spec.jobs.extend(job);
        }
    }
    doors::check(&mut reader, &spec);
    fits::check(&mut reader, &spec);
    template::check_unused(&mut reader);
    (spec, reader.into_problems())
}

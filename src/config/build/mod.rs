//! From the merged configuration to what the actors act on.
//!
//! Every `auto` is resolved here, every path made absolute, every command split. Pure but for the door to the outside
//! (programs, model files, secrets). What is wrong is collected, never thrown: one run names every problem.

mod command;
mod doors;
mod fits;
mod gateway;
mod memory;
mod probe;
mod read;
mod remote;
mod resources;
mod runtime;
mod service;
mod template;
mod url;

use greenroom_actors::{engines::Engines, spec::RuntimeSpec};

use super::{effective::Effective, outside::Outside, problem::Problem};

use read::Reader;

/// Whether this is the URL of a server as a remote takes it.
#[must_use]
pub fn is_server(url: &str) -> bool {
    url::Url::read(url).is_some()
}

/// Builds the spec. It is complete only if no problem is an error.
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
            spec.remotes.push(remote::build(&mut reader, name));
        }
    }
    doors::check(&mut reader, &spec);
    fits::check(&mut reader, &spec);
    template::check_unused(&mut reader);
    (spec, reader.into_problems())
}

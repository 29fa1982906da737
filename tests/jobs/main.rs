//! Jobs end to end: the real runtime, its command line and its API, with stand-ins that do the work.

#[path = "../common/mod.rs"]
mod common;

mod cli;
mod clients;
mod comfyui;
mod crash;
mod files;
mod full_disk;
mod memory;
mod order;
mod process;
mod reload;
mod remotes;
mod request;
mod retries;
mod shutdown;

use common::{Greenroom, Http};

/// `[job.image]`, done by a process of the stand-in with these options on top of those that a job fills in.
fn painter(greenroom: &Greenroom, options: &str, more: &str) -> String {
    let filled = "-p ${param.prompt} -o ${output} --steps ${param.steps}";
    let command = greenroom.stand_in("image", &format!("--job {filled} {options}"));
    format!(
        r#"
[job.image]
engine = "sd-cpp"
command = {command}
params.prompt = {{}}
params.steps = {{ default = 3 }}
gpu = "none"
ram = "16MiB"
{more}
"#
    )
}

/// `[service.webui]` with these options, and `[job.image]` that asks it.
fn webui(greenroom: &Greenroom, options: &str, service: &str, job: &str) -> String {
    let command = greenroom.stand_in("webui", &format!("--engine webui --port ${{port}} {options}"));
    format!(
        r#"
[service.webui]
engine = "a1111"
command = {command}
gpu = "none"
{service}

[job.image]
service = "webui"
request = {{ method = "POST", path = "/sdapi/v1/txt2img" }}
params.prompt = {{}}
params.steps = {{ default = 3 }}
{job}
"#
    )
}

/// What a service says on its own port.
#[track_caller]
fn engine(greenroom: &Greenroom, name: &str) -> Http {
    let service = greenroom.service(name);
    let port = service["endpoint"].as_str().and_then(|url| url.rsplit(':').next()).and_then(|port| port.parse().ok());
    Http::Tcp(port.unwrap_or_else(|| panic!("no port: {service:#}")))
}

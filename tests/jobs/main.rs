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

use common::Greenroom;

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

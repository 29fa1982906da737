//! A job by a process of its own.

use std::{path::PathBuf, time::Duration};

use greenroom::actors::{
    spec::{
        CleanupAction, Figure, GpuChoice, InheritEnv, LimitsSpec, ParamKind, Probe, ProcessLimits, RestartPolicy,
        RunningJobs, StartMode, StopSignal,
    },
    template::{Part, Template},
    units::ByteSize,
};
use serde_json::json;

use super::given::*;
use crate::folder::{Folder, texts};

#[test]
fn every_key_of_a_process_arrives() {
    let folder = Folder::toml(
        r#"
[runtime.shutdown]
running_jobs = "cancel"
[resources]
custom = { npu = 2 }
[macros]
out = "${output}.png"
[job.image]
command = ["sleep", "-m", "${model_file}", "-p", "${param.prompt}", "-o", "${out}"]
model_file = "model.gguf"
serves = ["sdxl"]
params.prompt = {}
params.steps = { default = 20, flag = "--steps" }
params.scale = { type = "float", default = 7, flag = "--scale" }
params.tiled = { type = "bool", flag = "--tiled" }
params.init = { type = "file", flag = "--init-img" }
env = { SEED = "${param.seed}", HF_TOKEN = "x" }
params.seed = { default = -1 }
inherit_env = ["PATH"]
working_dir = "."
gpu = 0
vram = "4GiB"
ram = { peak = "2GiB" }
needs = { npu = 1 }
priority = 3
failure = [{ pattern = "NaN", class = "nan" }]
stop.signal = "SIGINT"
stop.grace = "9s"
limits = { processes = { warning = 9 }, progress = "3m" }
progress = '(?P<step>\d+) of (?P<steps>\d+)'
timeout = "3m"
retries = 2
max_parallel = 3
keep_output = "1h"
cleanup.actions = [{ purge = "${data_dir}/tmp" }, { exec = ["sleep", "${param.prompt}"] }]
cleanup.when = "ram > 0.5"
"#,
    );
    folder.write("model.gguf", "GGUF");
    let spec = folder.loaded().spec;
    assert_eq!(spec.shutdown.running_jobs, RunningJobs::Cancel);
    let [job] = &spec.jobs[..] else { panic!("{:?}", spec.jobs) };
    assert_eq!((job.name.as_str(), &job.serves[..]), ("image", &["sdxl".to_owned()][..]));
    assert_eq!((job.timeout, job.retries, job.max_parallel), (Duration::from_secs(180), 2, 3));
    assert_eq!(job.keep_output, Duration::from_secs(3600));
    let params: Vec<_> = job.params.iter().map(|p| (p.name.as_str(), p.kind, p.default.clone())).collect();
    assert_eq!(
        params,
        [
            ("prompt", ParamKind::Text, None),
            ("steps", ParamKind::Int, Some(json!(20))),
            ("scale", ParamKind::Float, Some(json!(7.0))),
            ("tiled", ParamKind::Bool, None),
            ("init", ParamKind::File, None),
            ("seed", ParamKind::Int, Some(json!(-1))),
        ]
    );
    assert_eq!(job.params[4].flag.as_deref(), Some("--init-img"));

    let service = &process(job).service;
    assert_eq!(service.name.as_str(), "image");
    assert_eq!(
        texts(&service.command)[2..],
        ["<ModelFile>", "-p", "<Param(\"prompt\")>", "-o", "<Output>.png"],
        "what has a flag is not in the command"
    );
    assert_eq!(service.env["SEED"], Template(vec![Part::Param("seed".to_owned())]));
    assert_eq!(service.inherit_env, InheritEnv::Only(vec!["PATH".to_owned()]));
    assert_eq!(service.memory.vram, Figure::Known { idle: None, peak: ByteSize(4 << 30) });
    assert_eq!((service.memory.priority, service.memory.needs["npu"]), (3, 1));
    assert!(matches!(service.memory.gpu, GpuChoice::These(_)));
    assert_eq!((service.stop.signal, service.stop.grace), (StopSignal::SigInt, Duration::from_secs(9)));
    assert_eq!(service.limits.processes, ProcessLimits::Set { warning: Some(9), critical: Some(18) });
    assert_eq!(service.limits.progress, Duration::from_secs(180));
    assert_eq!(service.failure.len(), 1);
    let worker = service.worker.as_ref().expect("a worker");
    assert_eq!((worker.job.as_str(), worker.task.is_none()), ("image", true));
    assert_eq!(worker.progress.as_deref(), Some(r"(?P<step>\d+) of (?P<steps>\d+)"));
    let [CleanupAction::Purge(folder), CleanupAction::Exec(program)] = &job.cleanup.actions[..] else {
        panic!("{:?}", job.cleanup)
    };
    assert_eq!(folder, &Template(vec![Part::DataDir, Part::Text("/tmp".to_owned())]));
    assert_eq!(program[1], Template(vec![Part::Param("prompt".to_owned())]));
}

#[test]
fn a_process_that_says_little_is_started_for_a_job_and_for_nothing_else() {
    let spec = Folder::toml(
        "[runtime]\nshutdown.grace = \"2s\"\n[defaults.service]\npriority = 7\n[job.a]\ncommand = \"sleep 1\"\n",
    )
    .loaded()
    .spec;
    assert_eq!((spec.shutdown.running_jobs, spec.services.len()), (RunningJobs::Drain, 0));
    let job = &spec.jobs[0];
    assert_eq!((job.timeout, job.retries, job.max_parallel), (Duration::from_secs(600), 1, 1));
    assert_eq!(job.keep_output, Duration::from_secs(7 * 24 * 3600));
    let process = process(job);
    assert_eq!((process.clip_on_cpu, process.vae_on_cpu, process.batch_size), (None, None, None));
    let service = &process.service;
    assert_eq!((service.start, service.restart.policy), (StartMode::OnDemand, RestartPolicy::Never));
    assert_eq!((&service.ready.probe, &service.alive.probe), (&Probe::None, &Probe::None));
    let processes = ProcessLimits::Set { warning: Some(64), critical: Some(128) };
    assert_eq!(service.limits, LimitsSpec { processes, ..LimitsSpec::default() });
    assert_eq!((service.port, service.serves.len(), service.memory.priority), (None, 0, 0));
    assert_eq!(service.stop.grace, Duration::from_secs(2));
    assert_eq!(service.worker.as_ref().and_then(|worker| worker.progress.clone()), None);
}

#[test]
fn what_holds_of_a_job_is_shown_and_nothing_else() {
    let text = "[remote.pod]\nurls = [\"http://h\"]\n[job.p]\ncommand = \"sleep 1\"\n[job.r]\nservice = \"pod\"\nrequest = { method = \"POST\", path = \"/x\" }\n";
    let rows = Folder::toml(text).loaded().effective.rows();
    let has = |key: &str| rows.iter().any(|row| row.key == key);
    for key in ["job.p.vram", "job.p.stop.grace", "job.p.timeout", "job.r.timeout", "job.r.cleanup.when"] {
        assert!(has(key), "{key}");
    }
    for key in ["job.r.vram", "job.r.stop.grace", "job.r.progress", "job.p.request"] {
        assert!(!has(key), "{key}");
    }
}

#[test]
fn limits_of_a_process_are_numbers_and_those_of_a_request_are_its_services() {
    let told = helps("[job.a]\ncommand = \"sleep 1\"\nlimits.processes = { warning = 9, critical = 9 }\n");
    assert_eq!(told[0].0, "job `a`: `limits.processes.warning`, 9, is not below `critical`, which is 9");
    let told = helps("[job.a]\ncommand = \"sleep 1\"\nlimits.processes = \"auto\"\nlimits.ram = \"1GiB\"\n");
    assert_eq!(told.len(), 2, "{told:?}");
    let asked = "[service.s]\ncommand = [\"sleep\", \"${port}\"]\n[job.a]\nservice = \"s\"\nrequest = { method = \"POST\", path = \"/x\" }\n";
    let told = helps(&format!("{asked}limits.progress = \"1m\"\n"));
    let message = "job `a`: `limits.progress` is for a job with a `command`, and this one asks a `service`";
    let help = "remove it: what counts is the `limits.progress` of service `s`";
    assert_eq!(told, [(message.to_owned(), help.to_owned())]);
}

#[test]
fn options_of_one_program_are_refused_for_another() {
    let known =
        jobs("[job.a]\ncommand = \"sd-cli -o ${output}\"\nclip_on_cpu = true\nvae_on_cpu = false\nbatch_size = 2\n");
    let known = process(&known[0]);
    assert_eq!((known.clip_on_cpu, known.vae_on_cpu, known.batch_size), (Some(true), Some(false), Some(2)));
    assert_eq!(known.service.engine.name(), "sd-cpp");
    let told = helps("[job.a]\ncommand = \"sleep 1\"\nclip_on_cpu = true\nvae_on_cpu = \"auto\"\nbatch_size = 2\n");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0].0, "job `a`: `clip_on_cpu` is an option that only `sd-cpp` knows, and its engine is `generic`");
    assert!(told[1].0.starts_with("job `a`: `batch_size` is an option"), "{told:?}");
}

#[test]
fn an_engine_that_an_application_brings_can_do_jobs() {
    let told = helps("[job.a]\ncommand = \"sleep 1\"\nengine = \"lama-server\"\n");
    assert_eq!(told[0].1, "did you mean \"llama-server\"?");
    let named = jobs("[job.a]\ncommand = \"sleep 1\"\nengine = \"vllm\"\n");
    assert_eq!(process(&named[0]).service.engine.name(), "vllm");
    assert_eq!(process(&named[0]).service.ready.probe, Probe::None, "a job is ready as soon as it runs");
    assert_eq!(process(&named[0]).service.model_file, None::<PathBuf>);
}

#[test]
fn a_pattern_that_is_none_says_what_is_wrong_in_it() {
    let folder = Folder::toml("[job.a]\ncommand = \"sleep 1\"\nprogress = '(?P<step>[0-9]+ of'\n");
    assert_eq!(
        folder.problems(),
        ["g.toml:3:12 `job.a.progress`: the regular expression does not compile: unclosed group"]
    );
}

//! `[job.NAME]`: how a job is done, what it is given, and what is refused.

use std::{path::PathBuf, time::Duration};

use greenroom::{
    Config, JobConfig, ServiceConfig,
    actors::{
        spec::{
            CleanupAction, Figure, GpuChoice, InheritEnv, JobDefinition, JobWork, ParamKind, PortSpec, Probe,
            ProcessJob, RequestBody, RequestJob, RestartPolicy, RunningJobs, SetValue, StartMode, StopSignal,
        },
        template::{Part, Template},
        units::ByteSize,
    },
    config::{ParamConfig, Value},
};
use serde_json::json;

use crate::folder::{Folder, texts};

fn jobs(text: &str) -> Vec<JobDefinition> {
    Folder::with("g.toml", text).loaded().spec.jobs
}

fn process(job: &JobDefinition) -> &ProcessJob {
    match &job.work {
        JobWork::Process(process) => process,
        JobWork::Request(request) => panic!("a process: {request:?}"),
    }
}

fn request(job: &JobDefinition) -> &RequestJob {
    match &job.work {
        JobWork::Request(request) => request,
        JobWork::Process(process) => panic!("a request: {process:?}"),
    }
}

/// What is refused, with what to do about it.
fn helps(text: &str) -> Vec<(String, String)> {
    let folder = Folder::with("g.toml", text);
    let base = format!("{}/", folder.dir.path().display());
    let plain = |text: &str| text.replace(&base, "");
    let errors = folder.load().map(|_| ()).expect_err("it should not be taken").0;
    errors.iter().map(|p| (plain(&p.message), plain(p.help.as_deref().unwrap_or_default()))).collect()
}

fn warnings(text: &str) -> Vec<String> {
    Folder::with("g.toml", text).loaded().warnings.iter().map(|warning| warning.message.clone()).collect()
}

#[test]
fn what_a_client_sends_to_a_shell_as_its_program_is_warned_of() {
    let text = r#"
[job.drawn]
command = ["sh", "-c", "draw ${param.prompt} ${param.steps} ${param.init}", "sh", "${param.style}"]
params.prompt = {}
params.style = {}
params.steps = { default = 20 }
params.init = { type = "file" }
cleanup.actions = [{ exec = "/bin/bash -ec 'rm ${param.style}'" }, { exec = ["sh", "-c", "rm $1", "sh", "${param.style}"] }]
"#;
    let folder = Folder::with("g.toml", text);
    let warnings = folder.loaded().warnings;
    let told: Vec<(String, String)> =
        warnings.iter().map(|warning| (warning.place.to_string(), warning.message.clone())).collect();
    let of = |what: &str, name: &str| {
        format!("{what}: what a client sends as `{name}` is run by the shell: `${{param.{name}}}` stands after `-c`")
    };
    let base = format!("{}/", folder.dir.path().display());
    let told: Vec<String> =
        told.into_iter().map(|(place, message)| format!("{place} {message}").replace(&base, "")).collect();
    let expected = [
        format!("g.toml:3:11 {}", of("job `drawn`", "prompt")),
        format!("g.toml:3:11 {}", of("job `drawn`", "init")),
        format!("g.toml:8:19 {}", of("job `drawn`: `cleanup.actions`: `exec`", "style")),
    ];
    assert_eq!(told, expected);
    let help = r##"hand it over as an argument: ["sh", "-c", "... \"$1\"", "sh", "${param.prompt}"]"##;
    assert_eq!(warnings[0].help.as_deref(), Some(help));
}

#[test]
fn every_key_of_a_process_arrives() {
    let folder = Folder::with(
        "g.toml",
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
    let spec = Folder::with(
        "g.toml",
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
    assert_eq!((service.port, service.serves.len(), service.memory.priority), (None, 0, 0));
    assert_eq!(service.stop.grace, Duration::from_secs(2));
    assert_eq!(service.worker.as_ref().and_then(|worker| worker.progress.clone()), None);
}

#[test]
fn a_request_sends_its_params_or_a_file_with_places_set() {
    let folder = Folder::with(
        "g.toml",
        r#"
[service.webui]
command = ["sleep", "${port}"]
engine = "a1111"
[remote.pod]
urls = ["http://h"]
[job.plain]
service = "webui"
request = { method = "POST", path = "/sdapi/v1/txt2img" }
params.prompt = {}
params.steps = { default = 20 }
serves = ["sd"]
[job.flow]
service = "pod"
request.method = "POST"
request.path = "/prompt?x=1"
request.body_file = "wf.json"
request.set = { "6.inputs.text" = "${param.prompt}", "6.inputs.n" = 2, "name" = "x ${param.prompt}.", "6.inputs.on" = true, "6.inputs.plain" = "$${x}" }
params.prompt = {}
"#,
    );
    let document = json!({ "6": { "inputs": { "text": "", "n": 1, "on": false, "plain": "" } }, "name": "" });
    folder.write("wf.json", document.to_string());
    let loaded = folder.loaded();
    assert_eq!(loaded.warnings, []);
    let [plain, flow] = &loaded.spec.jobs[..] else { panic!("{:?}", loaded.spec.jobs) };
    assert_eq!(request(plain).service.as_str(), "webui");
    assert_eq!((request(plain).method.as_str(), request(plain).path.as_str()), ("POST", "/sdapi/v1/txt2img"));
    assert_eq!(request(plain).body, RequestBody::Params);
    assert_eq!(request(flow).service.as_str(), "pod");
    let RequestBody::File { path, set } = &request(flow).body else { panic!("{flow:?}") };
    assert_eq!(path, &folder.dir.path().join("wf.json"));
    let param = || Part::Param("prompt".to_owned());
    let filled = |parts: Vec<Part>| SetValue::Filled(Template(parts));
    let text = |text: &str| Part::Text(text.to_owned());
    assert_eq!(
        set,
        &[
            ("6.inputs.text".to_owned(), filled(vec![param()])),
            ("6.inputs.n".to_owned(), SetValue::Fixed(json!(2))),
            ("name".to_owned(), filled(vec![text("x "), param(), text(".")])),
            ("6.inputs.on".to_owned(), SetValue::Fixed(json!(true))),
            ("6.inputs.plain".to_owned(), SetValue::Fixed(json!("${x}"))),
        ]
    );
}

#[test]
fn a_job_is_one_of_the_two() {
    let folder = Folder::with(
        "g.toml",
        r#"[service.webui]
command = ["sleep", "${port}"]
[service.deaf]
command = ["sleep", "1"]
[job.a]
command = "sleep 1"
service = "webui"
[job.b]
[job.c]
service = "webui"
[job.d]
service = "webiu"
request = { method = "POST", path = "/x" }
[job.e]
service = "d"
request = { method = "POST", path = "/x" }
[job.f]
service = "deaf"
request = { method = "POST", path = "/x" }
[job.g]
command = "sleep 1"
request = { method = "POST", path = "/x" }
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:5:6 job `a` has both `command` and `service`",
            "g.toml:8:6 job `b` has neither `command` nor `service`",
            "g.toml:9:6 job `c` has a `service` and no `request`",
            "g.toml:12:11 job `d` asks `webiu`, which is no service and no remote",
            "g.toml:15:11 job `e` asks `d`, which is no service and no remote",
            "g.toml:18:11 job `f` asks service `deaf`, which has no port to be asked at",
            "g.toml:22:1 job `g`: `request` is for a job that asks a `service`, and this one has a `command`",
        ]
    );
    let told: Vec<String> =
        helps(&std::fs::read_to_string(&folder.sources.files[0]).unwrap()).into_iter().map(|(_, help)| help).collect();
    assert_eq!(told[3], "did you mean `webui`?");
    assert_eq!(told[4], "`d` is a job; a job asks a service or a remote");
}

#[test]
fn a_key_of_one_kind_in_the_other_says_whose_it_is() {
    let told = helps(
        r#"[service.webui]
command = ["sleep", "${port}"]
[remote.pod]
urls = ["http://h"]
[job.a]
service = "webui"
request = { method = "POST", path = "/x" }
vram = "1GiB"
stop.grace = "1s"
progress = "auto"
params.x = { flag = "-x" }
[job.b]
service = "pod"
request = { method = "POST", path = "/x" }
env.A = "1"
"#,
    );
    let wrong = |key: &str, job: &str| {
        format!("job `{job}`: `{key}` is for a job with a `command`, and this one asks a `service`")
    };
    assert_eq!(
        told,
        [
            (wrong("vram", "a"), "remove it: what counts is the `vram` of service `webui`".to_owned()),
            (wrong("stop.grace", "a"), "remove it: what counts is the `stop.grace` of service `webui`".to_owned()),
            (wrong("progress", "a"), "remove it".to_owned()),
            (
                "job `a`: `params.x.flag`: a request has no command that it could stand in".to_owned(),
                "remove the flag; with a default it may be left out".to_owned()
            ),
            (wrong("env", "b"), "remove it: a remote is not started here".to_owned()),
        ]
    );
}

#[test]
fn what_holds_of_a_job_is_shown_and_nothing_else() {
    let text = "[remote.pod]\nurls = [\"http://h\"]\n[job.p]\ncommand = \"sleep 1\"\n[job.r]\nservice = \"pod\"\nrequest = { method = \"POST\", path = \"/x\" }\n";
    let rows = Folder::with("g.toml", text).loaded().effective.rows();
    let has = |key: &str| rows.iter().any(|row| row.key == key);
    for key in ["job.p.vram", "job.p.stop.grace", "job.p.timeout", "job.r.timeout", "job.r.cleanup.when"] {
        assert!(has(key), "{key}");
    }
    for key in ["job.r.vram", "job.r.stop.grace", "job.r.progress", "job.p.request"] {
        assert!(!has(key), "{key}");
    }
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
fn params_are_declared_typed_and_used() {
    let folder = Folder::with(
        "g.toml",
        r#"[job.a]
command = ["sleep", "${param.promt}", "${param.zzz}", "${port}", "${param.twice}", "${param.prompt}", "${param.bad}"]
params.prompt = {}
params.n = { type = "int", default = "20" }
params.f = { type = "file", default = "x" }
params.twice = { flag = "-t" }
params."a b" = {}
params.bad = { type = "picture" }
[service.s]
command = ["sleep", "${output}"]
[job.b]
command = "sleep 1"
progress = '(?P<step>\d+)/(\d+)'
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:2:21 `${param.promt}` stands for nothing here",
            "g.toml:2:39 `${param.zzz}` stands for nothing here",
            "g.toml:2:55 `${port}` stands for nothing here",
            "g.toml:4:38 job `a`: `params.n`: the default \"20\" is not a whole number",
            "g.toml:5:39 job `a`: `params.f`: a file has no default",
            "g.toml:6:8 job `a`: the param `twice` stands in `command`, and its `flag` would append it once more",
            "g.toml:7:8 job `a`: `a b` cannot name a param",
            "g.toml:8:23 `job.a.params.bad`: `type`: `picture` is not one of \"text\", \"int\", \"float\", \"bool\", \"file\"",
            "g.toml:10:21 `${output}` stands for nothing here",
            "g.toml:13:12 job `b`: `progress` has no group `steps`",
        ]
    );
    let told: Vec<String> =
        helps(&std::fs::read_to_string(&folder.sources.files[0]).unwrap()).into_iter().map(|(_, help)| help).collect();
    assert_eq!(told[0], "did you mean `${param.prompt}`?");
    assert_eq!(told[1], "a param is declared first: add params.zzz = {} to [job.a]");
    assert!(told[2].starts_with("the process of a job has no port"), "{told:?}");
    assert!(told[8].starts_with("it has a meaning in jobs only"), "{told:?}");
}

#[test]
fn a_pattern_that_is_none_says_what_is_wrong_in_it() {
    let folder = Folder::with("g.toml", "[job.a]\ncommand = \"sleep 1\"\nprogress = '(?P<step>[0-9]+ of'\n");
    assert_eq!(
        folder.problems(),
        ["g.toml:3:12 `job.a.progress`: the regular expression does not compile: unclosed group"]
    );
}

#[test]
fn what_nothing_comes_of_is_a_warning() {
    let text = r#"
[job.a]
command = ["sleep", "${param.b}"]
serves = ["m"]
params.a = {}
params.b = {}
params.c = { flag = "-c" }
[job.b]
command = ["sleep", "1"]
vram = "8GiB"
[resources]
gpu_backend = "declared"
gpu = [{ memory = "6GiB" }]
"#;
    assert_eq!(
        warnings(text),
        [
            "job `a`: the param `a` is used nowhere",
            "job `a` serves clients, and has no param `prompt` to give it what they ask for",
            "job `b` needs 8GiB of VRAM, of which at most 5.5GiB can be given",
        ]
    );
    let cards = helps("[job.a]\ncommand = \"sleep 1\"\ngpu = 3\n[resources]\ngpu_backend = \"none\"\n");
    assert_eq!(cards[0].0, "job `a`: `gpu`: there is no card 3");
}

#[test]
fn a_body_file_is_json_and_its_places_are_there() {
    let text = |set: &str| {
        format!(
            "[remote.r]\nurls = [\"http://h\"]\n[job.a]\nservice = \"r\"\nrequest = {{ method = \"POST\", path = \"/x\", body_file = \"wf.json\", set = {{ {set} }} }}\nparams.p = {{}}\n"
        )
    };
    let folder = Folder::with("g.toml", text("\"a.b\" = \"${param.p}\""));
    assert_eq!(
        folder.problems(),
        ["g.toml:5:55 job `a`: the body file `wf.json` cannot be read: No such file or directory"]
    );
    folder.write("wf.json", "{ \"a\": ");
    assert_eq!(
        folder.problems(),
        ["g.toml:5:55 job `a`: the body file `wf.json` is no JSON: EOF while parsing a value at line 1 column 7"]
    );
    folder.write("wf.json", r#"{ "a": { "b": "", "list": [1] } }"#);
    assert_eq!(folder.loaded().warnings, []);
    folder.write("g.toml", text("\"a.bb\" = \"${param.p}\""));
    let warned = folder.loaded().warnings;
    assert_eq!(warned[0].message, "job `a`: `request.set`: `a.bb` is not in the file: it will be added");
    assert_eq!(warned[0].help.as_deref(), Some("did you mean `a.b`?"));
    folder.write(
        "g.toml",
        text("\"c.b\" = 1, \"a.list.1\" = 1, \"a.b.c\" = 1, \"a.b\" = \"${param.q} ${param.p}\", a = \"${output}\""),
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:5:74 job `a`: `request.set`: `c.b`: the file has no `c`",
            "g.toml:5:85 job `a`: `request.set`: `a.list.1`: `a.list` is a list of 1 and has no `1`",
            "g.toml:5:101 job `a`: `request.set`: `a.b.c`: `a.b` is neither an object nor a list",
            "g.toml:5:122 `${param.q}` stands for nothing here",
            "g.toml:5:151 `${output}` stands for nothing here",
        ]
    );
}

#[test]
fn a_request_without_a_body_takes_none() {
    let base = "[remote.r]\nurls = [\"http://h\"]\n[job.a]\nservice = \"r\"\n";
    let text = |request: &str, more: &str| format!("{base}request = {{ {request} }}\n{more}");
    let get = "method = \"GET\", path = \"/x\"";
    assert!(matches!(request(&jobs(&text(get, ""))[0]).body, RequestBody::Params));
    assert_eq!(
        helps(&text(get, "params.p = {}\n"))[0].0,
        "job `a`: a GET has no body, so its params would be sent nowhere"
    );
    let folder = Folder::with("g.toml", text("method = \"DELETE\", path = \"/x\", body_file = \"b\"", ""));
    folder.write("b", "{}");
    assert_eq!(folder.problems(), ["g.toml:5:57 job `a`: `request.body_file`: a DELETE has no body"]);
    assert_eq!(
        helps(&text("method = \"POST\", path = \"/x\", set = { a = 1 }", ""))[0].0,
        "job `a`: `request.set` changes a file, and there is no `body_file`"
    );
    assert_eq!(
        helps(&text("method = \"POST\", path = \"/${param.p}\"", "params.p = {}\n")),
        [(
            "`job.a.request`: `path`: `${param.p}` stands for nothing here".to_owned(),
            "in a job it may stand in `command`, `env` and `cleanup` of a process, and in `request.set`".to_owned()
        )]
    );
}

#[test]
fn names_are_of_one_service_job_or_remote_and_of_one_process() {
    let folder = Folder::with(
        "g.toml",
        r#"[service.a]
command = "sleep 1"
[job.a]
command = "sleep 1"
[job.b]
command = "sleep 1"
max_parallel = 3
[remote."b.3"]
urls = ["http://h"]
[job."b.2"]
command = "sleep 1"
[remote.b]
urls = ["http://h"]
[job.c]
command = "sleep 1"
max_parallel = 65
"#,
    );
    let errors = folder.load().map(|_| ()).unwrap_err().0;
    assert!(errors[0].help.as_deref().is_some_and(|help| help.contains("g.toml:1:10")), "{:?}", errors[0]);
    assert_eq!(
        folder.problems(),
        [
            "g.toml:3:6 a service and a job have one name, `a`",
            "g.toml:7:16 job `b`: a process of it would be named `b.2`, as the job at g.toml:10:6 is",
            "g.toml:7:16 job `b`: a process of it would be named `b.3`, as the remote at g.toml:8:9 is",
            "g.toml:12:9 a job and a remote have one name, `b`",
            "g.toml:16:16 job `c`: `max_parallel` is 65, and at most 64 processes do its jobs",
        ]
    );
    let long = "j".repeat(63);
    let long = format!("[job.{long}]\ncommand = \"sleep 1\"\nmax_parallel = 2\n");
    assert!(helps(&long)[0].0.ends_with("which is too long a name"));
}

#[test]
fn params_may_stand_in_macros_of_jobs_alone() {
    let jobs = jobs(
        "[macros]\nrun = \"sleep ${args}\"\nargs = \"${param.p} ${output}\"\n[job.a]\ncommand = \"${run}\"\nparams.p = {}\n",
    );
    let command = texts(&process(&jobs[0]).service.command);
    assert_eq!(command[1..], ["<Param(\"p\")> <Output>"]);
    let folder = Folder::with("g.toml", "[macros]\nargs = \"${param.p}\"\n[service.a]\ncommand = \"sleep ${args}\"\n");
    assert_eq!(folder.problems(), ["g.toml:4:11 `${param.p}` stands for nothing here"]);
}

#[test]
fn jobs_can_be_put_together_in_code() {
    let config = Config::new()
        .service(ServiceConfig::new("webui").command(["sleep", "${port}"]))
        .job(
            JobConfig::new("image")
                .command(["sleep", "${param.prompt}"])
                .param("prompt", ParamConfig::text())
                .param("steps", ParamConfig::or(20).flag("--steps"))
                .param("init", ParamConfig::file().flag("--init"))
                .vram(1 << 30)
                .timeout(Duration::from_secs(5))
                .retries(0)
                .set("stop.grace", Duration::from_secs(1)),
        )
        .job(
            JobConfig::new("asked")
                .request("webui", "POST", "/x")
                .param("n", ParamConfig::int())
                .max_parallel(2)
                .set("cleanup.actions", Value::list([Value::table().entry("http", "POST /free")])),
        );
    let loaded = config.read().unwrap_or_else(|errors| panic!("{errors}"));
    let [image, asked] = &loaded.spec.jobs[..] else { panic!("{:?}", loaded.spec.jobs) };
    assert_eq!((image.params.len(), image.timeout, image.retries), (3, Duration::from_secs(5), 0));
    assert_eq!(process(image).service.stop.grace, Duration::from_secs(1));
    assert_eq!((asked.params[0].kind, asked.max_parallel), (ParamKind::Int, 2));
    assert_eq!(loaded.spec.services[0].port, Some(PortSpec::Assigned));
    let wrong = Config::new().job(JobConfig::new("x").command(["sleep", "${param.y}"])).read().expect_err("no param");
    assert_eq!(wrong.0[0].message, "`${param.y}` stands for nothing here");
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

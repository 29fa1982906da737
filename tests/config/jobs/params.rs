//! What a job is given, and where it may stand.

use super::given::*;
use crate::folder::{Folder, texts};

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
    let folder = Folder::toml(text);
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
fn params_are_declared_typed_and_used() {
    let folder = Folder::toml(
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
fn params_may_stand_in_macros_of_jobs_alone() {
    let jobs = jobs(
        "[macros]\nrun = \"sleep ${args}\"\nargs = \"${param.p} ${output}\"\n[job.a]\ncommand = \"${run}\"\nparams.p = {}\n",
    );
    let command = texts(&process(&jobs[0]).service.command);
    assert_eq!(command[1..], ["<Param(\"p\")> <Output>"]);
    let folder = Folder::toml("[macros]\nargs = \"${param.p}\"\n[service.a]\ncommand = \"sleep ${args}\"\n");
    assert_eq!(folder.problems(), ["g.toml:4:11 `${param.p}` stands for nothing here"]);
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

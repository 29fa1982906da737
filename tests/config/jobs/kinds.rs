//! Which of the two a job is, what it is called, and jobs put together in code.

use std::time::Duration;

use greenroom::{
    Config, JobConfig, ServiceConfig,
    actors::spec::{ParamKind, PortSpec},
    config::{ParamConfig, Value},
};

use super::given::*;
use crate::folder::Folder;

#[test]
fn a_job_is_one_of_the_two() {
    let folder = Folder::toml(
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
fn names_are_of_one_service_job_or_remote_and_of_one_process() {
    let folder = Folder::toml(
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

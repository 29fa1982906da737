//! `cleanup`, of services, remotes and both kinds of job.

use std::time::Duration;

use greenroom::actors::{
    spec::{CleanupAction, CleanupSpec, CleanupWhen, OnCleanupFailure, PortSpec},
    template::{Part, Template},
};

use crate::folder::{Folder, service};

fn http(method: &str, path: &str) -> CleanupAction {
    CleanupAction::Http { method: method.to_owned(), path: path.to_owned() }
}

#[test]
fn every_key_arrives_everywhere() {
    let folder = Folder::toml(
        r#"
[service.s]
command = ["sleep", "${port}"]
working_dir = "webui"
cleanup.actions = [{ http = "POST /free" }, { purge = "webui/tmp" }, { purge = "${data_dir}" }, { exec = "sleep ${port}" }]
cleanup.delay = "0s"
cleanup.when = "vram > 0.8"
cleanup.on_failure = "restart"
restart_after_job = true
[remote.r]
urls = ["http://h"]
cleanup.actions = [{ http = "POST /free" }]
[job.j]
service = "s"
request = { method = "POST", path = "/x" }
params.p = {}
cleanup.actions = [{ http = "DELETE /job" }, { purge = "${data_dir}/x" }, { exec = "sleep ${port}" }]
cleanup.on_failure = "restart"
[service.plain]
command = ["sleep", "1"]
"#,
    );
    let spec = folder.loaded().spec;
    let s = service(&spec, "s");
    let below = folder.dir.path().join("webui/tmp").display().to_string();
    assert!(s.restart_after_job);
    assert_eq!(
        s.cleanup.actions[..3],
        [
            http("POST", "/free"),
            CleanupAction::Purge(Template::text(below)),
            CleanupAction::Purge(Template(vec![Part::DataDir]))
        ]
    );
    assert_eq!((s.cleanup.delay, s.cleanup.when), (Duration::ZERO, CleanupWhen::Vram(0.8)));
    assert_eq!(s.cleanup.on_failure, OnCleanupFailure::Restart);
    assert_eq!(spec.remotes[0].cleanup.actions[0], http("POST", "/free"));
    let job = &spec.jobs[0].cleanup;
    assert_eq!((job.actions.len(), job.on_failure), (3, OnCleanupFailure::Restart));
    let plain = service(&spec, "plain");
    assert_eq!(
        (&plain.cleanup, plain.restart_after_job),
        (&CleanupSpec { delay: Duration::from_millis(500), last_resort_after: 3, ..CleanupSpec::default() }, false)
    );
}

#[test]
fn only_folders_of_its_own_are_emptied() {
    let folder = Folder::toml(
        r#"runtime.state_dir = "state/here"
[service.unset]
command = ["sleep", "1"]
cleanup.actions = [{ purge = "tmp" }]
[service.set]
command = ["sleep", "1"]
working_dir = "/srv/webui"
cleanup.actions = [{ purge = "/" }, { purge = "~" }, { purge = "" }, { purge = "/srv/webui" }, { purge = "/srv/webui/../x" }, { purge = "${data_dir}/../x" }, { purge = "${data_dir}x" }, { purge = "/srv/webui/x" }]
[service.root]
command = ["sleep", "1"]
working_dir = "/"
cleanup.actions = [{ purge = "/no/such/folder" }]
[service.home]
command = ["sleep", "1"]
working_dir = "~"
cleanup.actions = [{ purge = "~/tmp" }]
[service.state]
command = ["sleep", "1"]
working_dir = "state"
cleanup.actions = [{ purge = "state/tmp" }]
[service.below]
command = ["sleep", "1"]
working_dir = "~/webui"
cleanup.actions = [{ purge = "~/webui/tmp" }]
[job.j]
command = ["sleep", "${param.p}"]
params.p = {}
cleanup.actions = [{ purge = "${param.p}" }, { purge = "${output}" }]
[job.k]
service = "set"
request = { method = "POST", path = "/x" }
params.p = {}
cleanup.actions = [{ purge = "/srv/webui/y" }, { purge = "/srv/other" }, { exec = "sleep ${param.p}" }]
"#,
    );
    let not_own = |place: &str, who: &str, path: &str, on: &str| {
        format!("g.toml:{place} {who}: `purge` would empty `{path}`, which is no folder of {on}'s own")
    };
    let problems: Vec<String> = folder.problems().into_iter().filter(|problem| !problem.contains("no port")).collect();
    assert_eq!(
        problems,
        [
            not_own("4:30", "service `unset`", "tmp", "service `unset`"),
            not_own("8:30", "service `set`", "/", "service `set`"),
            not_own("8:47", "service `set`", "~", "service `set`"),
            "g.toml:8:64 service `set`: `purge` names no folder".to_owned(),
            not_own("8:80", "service `set`", "/srv/webui", "service `set`"),
            "g.toml:8:106 service `set`: `purge`: `..` leads out of the folder in `/srv/webui/../x`".to_owned(),
            "g.toml:8:137 service `set`: `purge`: `..` leads out of the folder in `${data_dir}/../x`".to_owned(),
            not_own("8:169", "service `set`", "${data_dir}x", "service `set`"),
            not_own("12:30", "service `root`", "/no/such/folder", "service `root`")
                + ": its `working_dir` `/` is a folder of the whole machine",
            not_own("16:30", "service `home`", "~/tmp", "service `home`")
                + &format!(": its `working_dir` `{}` is a home folder, or holds one", folder.dir.path().display()),
            not_own("20:30", "service `state`", "state/tmp", "service `state`")
                + ": its `working_dir` `state` is the state dir, holds it or lies in it",
            not_own("28:30", "job `j`", "${param.p}", "job `j`"),
            not_own("28:56", "job `j`", "${output}", "job `j`"),
            not_own("33:58", "job `k`", "/srv/other", "service `set`"),
            "g.toml:33:83 `${param.p}` stands for nothing here".to_owned(),
        ]
    );
    let errors = folder.load().map(|_| ()).unwrap_err().0;
    assert_eq!(
        errors[0].help.as_deref(),
        Some("write `${data_dir}` or a folder below it; where `working_dir` is set, a folder below that will do")
    );
    assert_eq!(errors[1].help.as_deref(), Some("write `${data_dir}`, a folder below it, or one below `/srv/webui`"));
    let of_root = errors.iter().find(|error| error.message.contains("whole machine")).and_then(|e| e.help.as_deref());
    let expected = "write `${data_dir}` or a folder below it, or set a `working_dir` that is its own";
    assert_eq!(of_root, Some(expected));
}

#[test]
fn what_cannot_be_done_there_is_refused() {
    let folder = Folder::toml(
        r#"[remote.r]
urls = ["http://h"]
cleanup.actions = [{ purge = "${data_dir}" }, { exec = "sleep 1" }]
cleanup.when = "vram > 0.8"
cleanup.on_failure = "restart"
[job.j]
command = "sleep 1"
cleanup.actions = [{ http = "POST /free" }, { exec = [] }, { exec = "sleep ${port}" }]
cleanup.on_failure = "restart"
[job.k]
service = "r"
request = { method = "POST", path = "/x" }
cleanup.actions = [{ http = "POST /free" }, { purge = "${data_dir}" }]
cleanup.when = "ram > 0.8"
cleanup.on_failure = "restart"
[service.s]
command = "sleep 1"
cleanup.actions = [{ http = "POST https://h/free" }]
cleanup.when = "disk > 0.8"
[service.t]
command = "sleep 1"
cleanup.actions = [{ http = "POST /free" }]
"#,
    );
    assert_eq!(
        folder.problems(),
        [
            "g.toml:3:30 remote `r`: `cleanup.actions`: `purge` is done on this machine, and remote `r` runs elsewhere",
            "g.toml:3:56 remote `r`: `cleanup.actions`: `exec` is done on this machine, and remote `r` runs elsewhere",
            "g.toml:4:16 remote `r`: `cleanup.when`: the memory of another machine is not measured",
            "g.toml:5:22 `remote.r.cleanup.on_failure`: remote `r` is not started here, so nothing can restart it",
            "g.toml:8:29 job `j`: `cleanup.actions`: `http` asks a process that has ended by then",
            "g.toml:8:54 job `j`: `cleanup.actions`: `exec` names no program",
            "g.toml:8:69 `${port}` stands for nothing here",
            "g.toml:9:22 `job.j.cleanup.on_failure`: its process has ended by then, and there is nothing to restart",
            "g.toml:13:55 job `k`: `cleanup.actions`: `purge` is done on this machine, and remote `r` runs elsewhere",
            "g.toml:14:16 job `k`: `cleanup.when`: the memory of another machine is not measured",
            "g.toml:15:22 `job.k.cleanup.on_failure`: remote `r` is not started here, so nothing can restart it",
            "g.toml:18:29 `service.s.cleanup.actions`: `http`: `POST https://h/free` is not method and path such as \"POST /shutdown\"",
            "g.toml:19:16 `service.s.cleanup.when`: expected \"always\", or a condition such as \"vram > 0.8\", found \"disk > 0.8\"",
            "g.toml:20:10 service `t`: `cleanup.actions` asks its port, and nothing tells the program which one that is",
        ]
    );
}

#[test]
fn a_program_that_cleans_up_may_be_told_the_port() {
    let text = "[service.s]\ncommand = \"sleep 1\"\ncleanup.actions = [{ exec = \"sleep ${port}\" }]\n";
    let spec = Folder::toml(text).loaded().spec;
    assert_eq!(service(&spec, "s").port, Some(PortSpec::Assigned));
}

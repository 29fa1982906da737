//! A job by a request to a service or a remote.

use greenroom::actors::{
    spec::{RequestBody, SetValue},
    template::{Part, Template},
};
use serde_json::json;

use super::given::*;
use crate::folder::Folder;

#[test]
fn a_request_sends_its_params_or_a_file_with_places_set() {
    let folder = Folder::toml(
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
fn a_body_file_is_json_and_its_places_are_there() {
    let text = |set: &str| {
        format!(
            "[remote.r]\nurls = [\"http://h\"]\n[job.a]\nservice = \"r\"\nrequest = {{ method = \"POST\", path = \"/x\", body_file = \"wf.json\", set = {{ {set} }} }}\nparams.p = {{}}\n"
        )
    };
    let folder = Folder::toml(text("\"a.b\" = \"${param.p}\""));
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
    let folder = Folder::toml(text("method = \"DELETE\", path = \"/x\", body_file = \"b\"", ""));
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

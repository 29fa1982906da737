//! What a worker is run as for one job: its command with what the job adds, and what is filled into it. Pure.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    ids::ServiceName,
    job::{JobId, Task},
    job_queue::attempt::JobFolder,
    spec::{ParamKind, ParamSpec, ServiceSpec, WorkerSpec},
    template::{Part, Template},
};

/// What the files of a job are called, but for their extension.
const OUTPUT: &str = "output";

/// What one job fills into the command of a worker of this engine.
pub(super) fn task(id: JobId, params: &Map<String, Value>, folder: &JobFolder, spec: &ServiceSpec) -> Task {
    Task {
        id,
        params: texts(params, &folder.input()),
        output: folder.output().join(OUTPUT),
        extension: spec.engine.output_extension(),
    }
}

/// Parameters as they stand in a command: a file by its path, `null` not at all.
fn texts(params: &Map<String, Value>, input: &Path) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(file) => {
            let name = file.get("file").and_then(Value::as_str)?;
            Some(input.join(name).display().to_string())
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Some(value.to_string()),
    };
    params.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

/// What the flags of parameters append: the flag and a hole for the value, where there is one. The value itself is filled in
/// when the run begins, so that commands that differ in nothing else are the same to whoever remembers what they need.
pub(super) fn flags(specs: &[ParamSpec], params: &Map<String, Value>) -> Vec<Template> {
    let mut appended = Vec::new();
    for spec in specs {
        let (Some(flag), Some(value)) = (&spec.flag, params.get(&spec.name).filter(|value| !value.is_null())) else {
            continue;
        };
        match spec.kind {
            ParamKind::Bool if *value == Value::Bool(true) => appended.push(Template::text(flag)),
            ParamKind::Bool => {}
            ParamKind::Text | ParamKind::Int | ParamKind::Float | ParamKind::File => {
                appended.extend([Template::text(flag), Template(vec![Part::Param(spec.name.clone())])]);
            }
        }
    }
    appended
}

/// The worker with one job: under its name, with these arguments after its own.
pub(super) fn with_task(service: &ServiceSpec, name: ServiceName, appended: Vec<Template>, task: Task) -> ServiceSpec {
    let mut spec = service.clone();
    spec.worker = Some(WorkerSpec {
        job: service.worker.as_ref().map_or_else(|| service.name.clone(), |worker| worker.job.clone()),
        progress: service.worker.as_ref().and_then(|worker| worker.progress.clone()),
        task: Some(Arc::new(task)),
    });
    spec.name = name;
    spec.command.extend(appended);
    spec
}

/// Whether the worker is told where to put what it makes: without that nothing is expected of it.
pub(super) fn uses_output(spec: &ServiceSpec) -> bool {
    spec.command.iter().chain(spec.env.values()).any(|text| text.uses(&Part::Output))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{ids::ServiceName, job_queue::attempt::worker_name, spec::sample::service};

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    fn param(name: &str, kind: ParamKind, flag: Option<&str>) -> ParamSpec {
        ParamSpec { name: name.to_owned(), kind, default: None, flag: flag.map(str::to_owned) }
    }

    #[test]
    fn parameters_are_texts_and_a_file_is_its_path() {
        let params = object(json!({"prompt": "a \"heron\"", "steps": 20, "cfg": 7.5, "tile": false, "none": null,
            "init": {"file": "x.png", "size": 9}}));
        let task = task(JobId::fresh(), &params, &JobFolder::of(Path::new("/s"), JobId::fresh()), &service("image"));
        let texts: Vec<(&str, &str)> = task.params.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let init = texts.iter().find(|(name, _)| *name == "init").expect("there").1;
        assert!(init.starts_with("/s/jobs/") && init.ends_with("/input/x.png"), "{init}");
        let others: Vec<_> = texts.iter().filter(|(name, _)| *name != "init").copied().collect();
        assert_eq!(others, [("cfg", "7.5"), ("prompt", "a \"heron\""), ("steps", "20"), ("tile", "false")]);
        assert!(task.output.ends_with("output/output"));
    }

    #[test]
    fn a_flag_appears_with_its_value_in_the_order_of_the_configuration_and_only_if_there_is_one() {
        let specs = [
            param("prompt", ParamKind::Text, None),
            param("seed", ParamKind::Int, Some("--seed")),
            param("tile", ParamKind::Bool, Some("--vae-tiling")),
            param("color", ParamKind::Bool, Some("--color")),
            param("init", ParamKind::File, Some("--init-img")),
            param("left", ParamKind::Text, Some("--left-out")),
        ];
        let given = object(json!({"tile": true, "color": false, "seed": 7, "prompt": "x", "left": null,
            "init": {"file": "x.png", "size": 9}}));
        let hole = |name: &str| Template(vec![Part::Param(name.to_owned())]);
        let expected = [
            Template::text("--seed"),
            hole("seed"),
            Template::text("--vae-tiling"),
            Template::text("--init-img"),
            hole("init"),
        ];
        assert_eq!(flags(&specs, &given), expected);
    }

    #[test]
    fn each_slot_has_a_worker_of_its_own_with_the_task_in_it() {
        let name: ServiceName = "image".parse().expect("a name");
        let workers = [1, 2, 3].map(|slot| worker_name(&name, slot).map(|name| name.to_string()));
        assert_eq!(workers, ["image", "image.2", "image.3"].map(|name| Some(name.to_owned())));
        let mut base = service("image");
        base.command = vec![Template::text("sd"), Template(vec![Part::Output])];
        let folder = JobFolder::of(Path::new("/s"), JobId::fresh());
        let task = task(JobId::fresh(), &Map::new(), &folder, &base);
        let second = "image.2".parse().expect("a name");
        let spec = with_task(&base, second, vec![Template::text("-b")], task.clone());
        assert_eq!((spec.name.as_str(), spec.command.len(), uses_output(&spec)), ("image.2", 3, true));
        assert_eq!(spec.worker.and_then(|worker| worker.task), Some(Arc::new(task)));
        assert!(!uses_output(&service("x")));
    }
}

//! What `${...}` may stand for at a place, beside variables, files and macros. Pure.

use greenroom_actors::template::Part;

/// What may stand at a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// Names that a start knows.
    at_start: &'static [&'static str],
    params: Params<'a>,
}

/// Which of `${param.X}` and `${output}`.
#[derive(Debug, Clone, Copy)]
enum Params<'a> {
    /// None of them.
    None,
    /// Those of one job; with a process that can write somewhere, its output too.
    Of { job: &'a str, names: &'a [&'a str], output: bool },
    /// Any: where nobody knows yet which job it will be.
    Any,
}

/// What a service knows at its start. The order is that of the texts that list them.
const SERVICE: &[&str] = &["port", "host", "name", "model_file", "gpu_layers", "gpu", "data_dir"];

/// What the process of a job knows: nobody asks it anything, so it has no port.
const WORKER: &[&str] = &["name", "model_file", "gpu_layers", "gpu", "data_dir"];

impl<'a> Scope<'a> {
    /// A service's texts.
    pub(super) const SERVICE: Scope<'static> = Scope { at_start: SERVICE, params: Params::None };

    /// The texts of what is run beside all services and jobs.
    pub(super) const NOTHING: Scope<'static> = Scope { at_start: &[], params: Params::None };

    /// Macros, which may be meant for any place.
    pub(super) const ANYWHERE: Scope<'static> = Scope { at_start: SERVICE, params: Params::Any };

    /// The texts of a job's own process.
    pub(super) fn worker(job: &'a str, names: &'a [&'a str]) -> Self {
        Self { at_start: WORKER, params: Params::Of { job, names, output: true } }
    }

    /// The body of a job's request.
    pub(super) fn body(job: &'a str, names: &'a [&'a str]) -> Self {
        Self { at_start: &[], params: Params::Of { job, names, output: false } }
    }

    /// What a hole becomes, if it has a meaning here that a run fills in.
    pub(super) fn part(&self, hole: &str) -> Option<Part> {
        if self.at_start.contains(&hole) {
            return at_start(hole);
        }
        let name = hole.strip_prefix("param.");
        match (self.params, name) {
            (Params::None, _) => None,
            (Params::Of { output: false, .. }, None) => None,
            (Params::Of { .. } | Params::Any, None) => (hole == "output").then_some(Part::Output),
            (Params::Any, Some(name)) => Some(Part::Param(name.to_owned())),
            (Params::Of { names, .. }, Some(name)) => names.contains(&name).then(|| Part::Param(name.to_owned())),
        }
    }

    /// The job whose params may stand here.
    pub(super) fn job(&self) -> Option<&'a str> {
        match self.params {
            Params::Of { job, .. } => Some(job),
            Params::None | Params::Any => None,
        }
    }

    /// The params that may stand here.
    pub(super) fn params(&self) -> &'a [&'a str] {
        match self.params {
            Params::Of { names, .. } => names,
            Params::None | Params::Any => &[],
        }
    }

    /// Every hole that a run fills in here, as it is written.
    pub(super) fn known(&self) -> Vec<String> {
        let mut known: Vec<String> = self.at_start.iter().map(|name| (*name).to_owned()).collect();
        if matches!(self.params, Params::Of { output: true, .. }) {
            known.push("output".to_owned());
        }
        if self.job().is_some() {
            known.extend(self.params().iter().map(|name| format!("param.{name}")));
        }
        known
    }
}

/// Whether a hole has a meaning in jobs alone.
pub(super) fn is_of_jobs(hole: &str) -> bool {
    hole == "output" || hole.starts_with("param.")
}

/// Where those have one.
pub(super) const IN_JOBS: &str = "it has a meaning in jobs only, and there in `command`, `env` and `cleanup` of a process; a param also in `request.set`";

/// Whether a hole has a meaning for what listens on a port alone.
pub(super) fn is_of_listeners(hole: &str) -> bool {
    matches!(hole, "port" | "host")
}

fn at_start(name: &str) -> Option<Part> {
    Some(match name {
        "port" => Part::Port,
        "host" => Part::Host,
        "name" => Part::Name,
        "model_file" => Part::ModelFile,
        "gpu_layers" => Part::GpuLayers,
        "gpu" => Part::Gpu,
        "data_dir" => Part::DataDir,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_list_is_a_part() {
        for name in SERVICE.iter().chain(WORKER) {
            assert!(Scope::SERVICE.part(name).is_some(), "{name}");
        }
    }

    #[test]
    fn params_stand_where_their_job_is_and_nowhere_else() {
        let names = ["prompt"];
        let worker = Scope::worker("image", &names);
        assert_eq!(worker.part("param.prompt"), Some(Part::Param("prompt".to_owned())));
        assert_eq!(worker.part("output"), Some(Part::Output));
        assert_eq!(worker.part("data_dir"), Some(Part::DataDir));
        for other in ["param.other", "param.", "port", "host"] {
            assert_eq!(worker.part(other), None, "{other}");
        }
        for hole in ["param.prompt", "output"] {
            assert_eq!(Scope::SERVICE.part(hole), None, "{hole}");
            assert!(Scope::ANYWHERE.part(hole).is_some(), "{hole}");
        }
        let body = Scope::body("image", &names);
        assert_eq!((body.part("model_file"), body.part("output")), (None, None));
        assert!(body.part("param.prompt").is_some() && body.known() == ["param.prompt"]);
        assert_eq!(worker.known().last().map(String::as_str), Some("param.prompt"));
    }
}

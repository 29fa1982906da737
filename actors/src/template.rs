//! Text with holes that are filled in when a run starts: `--port ${port}`.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{ids::ServiceName, job::Task};

/// A piece of text, some parts of which are known only when a run starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(pub Vec<Part>);

/// One piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// `${port}`.
    Port,
    /// `${host}`: where the service shall listen, `127.0.0.1`.
    Host,
    /// `${name}`.
    Name,
    /// `${model_file}`.
    ModelFile,
    /// `${gpu_layers}`.
    GpuLayers,
    /// `${gpu}`: UUIDs of the cards chosen, separated by commas.
    Gpu,
    /// `${data_dir}`.
    DataDir,
    /// `${param.X}`, in jobs.
    Param(String),
    /// `${output}`, in jobs.
    Output,
}

/// `gpu_layers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuLayers {
    /// As many as fit. Until a planner decides, the same as `All`.
    Auto,
    /// Every layer.
    All,
    /// This many.
    Count(u32),
}

/// What the holes are filled with for one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunValues {
    /// The service's name.
    pub name: ServiceName,
    /// Its port, if it has one.
    pub port: Option<u16>,
    /// Its model file.
    pub model_file: Option<PathBuf>,
    /// Its layers on the GPU.
    pub gpu_layers: GpuLayers,
    /// UUIDs of the cards chosen for it.
    pub gpus: Vec<String>,
    /// Its private folder, emptied at start.
    pub data_dir: PathBuf,
    /// What it works on, if it is the worker of a job.
    pub task: Option<Arc<Task>>,
}

/// "All layers" for llama.cpp, whose `-ngl` takes any number above the count of layers for it.
const ALL_LAYERS: u32 = 999;

impl Template {
    /// A template without holes.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// Whether `part` stands in it.
    #[must_use]
    pub fn uses(&self, part: &Part) -> bool {
        self.0.contains(part)
    }

    /// What of its text is known before a run.
    #[must_use]
    pub fn plain(&self) -> String {
        self.0.iter().map(|part| if let Part::Text(text) = part { text.as_str() } else { "" }).collect()
    }

    /// The same with what a worker is given for its job, if it has one.
    #[must_use]
    pub fn known(&self, task: Option<&Task>) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Param(name) => task.and_then(|task| task.params.get(name)).cloned().unwrap_or_default(),
            _ => String::new(),
        };
        self.0.iter().map(text).collect()
    }

    /// Its text with every hole filled.
    #[must_use]
    pub fn render(&self, values: &RunValues) -> String {
        let mut text = String::new();
        for (at, part) in self.0.iter().enumerate() {
            text.push_str(&part.render(values));
            let task = values.task.as_ref().filter(|_| *part == Part::Output);
            if let Some(extension) = task.and_then(|task| task.extension)
                && !goes_on(self.0.get(at + 1))
            {
                text.push('.');
                text.push_str(extension);
            }
        }
        text
    }
}

/// Whether the name of a file goes on with this: `${output}.webp`, `${output}_%03d.png`, `${output}/frames`. After a quote, a
/// comma or a blank it does not.
fn goes_on(next: Option<&Part>) -> bool {
    let belongs = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '%' | '/');
    match next {
        Some(Part::Text(text)) => text.starts_with(belongs),
        Some(_) => true,
        None => false,
    }
}

impl Part {
    fn render(&self, values: &RunValues) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Port => values.port.unwrap_or(0).to_string(),
            Self::Host => "127.0.0.1".to_owned(),
            Self::Name => values.name.to_string(),
            Self::ModelFile => values.model_file.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
            Self::GpuLayers => match values.gpu_layers {
                GpuLayers::Count(n) => n.to_string(),
                GpuLayers::All | GpuLayers::Auto => ALL_LAYERS.to_string(),
            },
            Self::Gpu => values.gpus.join(","),
            Self::DataDir => values.data_dir.display().to_string(),
            Self::Param(name) => {
                let task = values.task.as_ref();
                task.and_then(|task| task.params.get(name)).cloned().unwrap_or_default()
            }
            Self::Output => values.task.as_ref().map(|task| task.output.display().to_string()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobId;

    fn rendered(parts: &[Part], extension: Option<&'static str>) -> String {
        let params = [("width".to_owned(), "512".to_owned())].into();
        let task = Task { id: JobId::fresh(), params, output: "/j/output".into(), extension };
        let values = RunValues {
            name: "image".parse().expect("a name"),
            port: None,
            model_file: None,
            gpu_layers: GpuLayers::Auto,
            gpus: Vec::new(),
            data_dir: "/d".into(),
            task: Some(Arc::new(task)),
        };
        Template(parts.to_vec()).render(&values)
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn an_output_without_an_extension_of_its_own_gets_the_engines() {
        for (after, expected) in [
            (None, "-o /j/output.png"),
            (Some(".webp"), "-o /j/output.webp"),
            (Some("_%03d.png"), "-o /j/output_%03d.png"),
            (Some("/frames"), "-o /j/output/frames"),
            (Some("; echo"), "-o /j/output.png; echo"),
            (Some("\""), "-o /j/output.png\""),
        ] {
            let parts: Vec<Part> = [text("-o "), Part::Output].into_iter().chain(after.map(text)).collect();
            assert_eq!(rendered(&parts, Some("png")), expected);
            assert_eq!(rendered(&parts, None), format!("-o /j/output{}", after.unwrap_or_default()));
        }
        assert_eq!(rendered(&[Part::Output, Part::Param("width".to_owned())], Some("png")), "/j/output512");
    }

    #[test]
    fn what_a_job_is_given_is_known_before_its_run_and_a_port_is_not() {
        let task = Task {
            id: JobId::fresh(),
            params: [("w".to_owned(), "512".to_owned())].into(),
            output: "/j".into(),
            extension: None,
        };
        let template = Template(vec![text("w="), Part::Param("w".to_owned()), Part::Port, Part::Output]);
        assert_eq!((template.known(Some(&task)), template.known(None)), ("w=512".to_owned(), "w=".to_owned()));
        assert_eq!(rendered(&[Part::Param("none".to_owned())], None), "");
    }
}

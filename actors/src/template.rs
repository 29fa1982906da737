//! Text with holes that are filled in when a run starts: `--port ${port}`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::ServiceName;

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

    /// Its text with every hole filled.
    #[must_use]
    pub fn render(&self, values: &RunValues) -> String {
        self.0.iter().map(|part| part.render(values)).collect()
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
        }
    }
}

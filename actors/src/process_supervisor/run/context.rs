//! What all runs of a service have in common.

use std::{ffi::OsString, path::PathBuf, rc::Rc, sync::Arc, time::Instant};

use crate::{
    event::EventBus,
    ids::RunId,
    os::{
        containment::{Containment, Hold},
        ports::PortPool,
        registry::Registry,
    },
    process_supervisor::lifecycle::RunNews,
    spec::{InheritEnv, Probe, ServiceLogSpec, ServiceSpec},
    template::{Part, RunValues, Template},
};

/// Tells news of a run. Never waits.
pub type Reporter = Rc<dyn Fn(RunNews)>;

/// What a run is to do. Only ever replaced by what is later in this list, or by an earlier end of the grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Run.
    Run,
    /// End, with a grace.
    Stop {
        /// What is left then is killed.
        kill_at: Instant,
    },
    /// Be killed.
    Kill,
}

/// What all runs of a service have in common.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The service.
    pub spec: Arc<ServiceSpec>,
    /// Where its trees are held.
    pub containment: Arc<dyn Containment>,
    /// Where its port comes from.
    pub ports: PortPool,
    /// Where its runs are written down for a sweep.
    pub registry: Registry,
    /// Where trouble with its log is told.
    pub bus: EventBus,
    /// How its log is rotated.
    pub logs: ServiceLogSpec,
    /// The runtime's folder.
    pub state_dir: PathBuf,
}

impl RunContext {
    /// The service's private folder; emptied at each start, if it is used.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.state_dir.join("data").join(self.spec.name.as_str())
    }

    /// Whether any text of the service names its private folder; without that nobody can want it.
    pub(super) fn wants_data_dir(&self) -> bool {
        let spec = &self.spec;
        let probes = [&spec.ready.probe, &spec.alive.probe];
        let of_probes = probes.into_iter().flat_map(|probe| match probe {
            Probe::Exec(command) => command.as_slice(),
            Probe::None | Probe::Http(_) | Probe::Tcp | Probe::Log(_) | Probe::Delay(_) => &[],
        });
        let mut texts = spec.command.iter().chain(spec.env.values()).chain(&spec.stop.exec).chain(of_probes);
        texts.any(|text| text.uses(&Part::DataDir))
    }

    /// What the holes of the service's texts are filled with.
    #[must_use]
    pub fn values(&self, port: Option<u16>) -> RunValues {
        RunValues {
            name: self.spec.name.clone(),
            port,
            model_file: self.spec.model_file.clone(),
            gpu_layers: self.spec.gpu_layers,
            gpus: Vec::new(),
            data_dir: self.data_dir(),
        }
    }

    /// The command as it is run on this port.
    #[must_use]
    pub fn command(&self, port: Option<u16>) -> Vec<String> {
        render(&self.spec.command, &self.values(port))
    }

    /// The whole environment of the service's processes. What a sweep looks for comes last and cannot be overwritten.
    pub(super) fn env(&self, run: RunId, hold: &dyn Hold, values: &RunValues) -> Vec<(OsString, OsString)> {
        let inherited = std::env::vars_os().filter(|(name, _)| match &self.spec.inherit_env {
            InheritEnv::All => true,
            InheritEnv::Nothing => false,
            InheritEnv::Only(names) => names.iter().any(|n| name == n.as_str()),
        });
        let own = self.spec.env.iter().map(|(name, value)| (name.clone(), value.render(values)));
        let marks = [
            ("GREENROOM_STATE_DIR".to_owned(), self.state_dir.display().to_string()),
            ("GREENROOM_SERVICE".to_owned(), self.spec.name.to_string()),
            ("GREENROOM_RUN".to_owned(), run.to_string()),
        ];
        let text = own.chain(marks).chain(hold.marker()).map(|(name, value)| (name.into(), value.into()));
        inherited.chain(text).collect()
    }
}

/// Every text with its holes filled.
pub(super) fn render(texts: &[Template], values: &RunValues) -> Vec<String> {
    texts.iter().map(|text| text.render(values)).collect()
}

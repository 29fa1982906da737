//! Which backend is in force.

use super::{
    GpuError, Gpus,
    amdgpu::{AmdGpus, Roots},
    declared::{DeclaredGpus, NoGpus},
    nvml::NvmlGpus,
};
use crate::spec::{GpuBackend, ResourcesSpec};

/// A backend that works.
pub struct Selected {
    /// It.
    pub gpus: Box<dyn Gpus>,
    /// Those that were tried before it, and why it is none of them.
    pub passed_over: Vec<GpuError>,
}

impl Selected {
    fn only(gpus: impl Gpus) -> Self {
        Self { gpus: Box::new(gpus), passed_over: Vec::new() }
    }

    /// What is wrong with a driver that is there and was passed over; a driver that is not there is no problem.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let failed = |error: &&GpuError| matches!(error, GpuError::Failed { .. });
        self.passed_over.iter().find(failed).map(ToString::to_string)
    }
}

/// Opens what `resources.gpu_backend` asks for. May hang in a driver.
///
/// # Errors
/// When one was asked for by name and is not there or does not work.
pub fn select(spec: &ResourcesSpec) -> Result<Selected, GpuError> {
    select_below(spec, &Roots::default())
}

/// As [`select`], with the files of the amdgpu driver elsewhere.
///
/// # Errors
/// As [`select`].
pub fn select_below(spec: &ResourcesSpec, roots: &Roots) -> Result<Selected, GpuError> {
    match spec.backend {
        GpuBackend::Nvml => NvmlGpus::open(&spec.nvml_library).map(Selected::only),
        GpuBackend::Amdgpu => AmdGpus::open(roots).map(Selected::only),
        GpuBackend::Declared => DeclaredGpus::new(&spec.declared).map(Selected::only),
        GpuBackend::None => Ok(Selected::only(NoGpus)),
        GpuBackend::Auto => Ok(whatever_works(spec, roots)),
    }
}

fn whatever_works(spec: &ResourcesSpec, roots: &Roots) -> Selected {
    let tries: [&dyn Fn() -> Result<Box<dyn Gpus>, GpuError>; 3] =
        [&|| Ok(Box::new(NvmlGpus::open(&spec.nvml_library)?)), &|| Ok(Box::new(AmdGpus::open(roots)?)), &|| {
            Ok(Box::new(DeclaredGpus::new(&spec.declared)?))
        }];
    let mut passed_over = Vec::new();
    for attempt in tries {
        match attempt() {
            Ok(gpus) => return Selected { gpus, passed_over },
            Err(error) => passed_over.push(error),
        }
    }
    Selected { gpus: Box::new(NoGpus), passed_over }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{spec::DeclaredCard, units::ByteSize};

    /// A machine without any driver.
    fn bare(backend: GpuBackend, declared: usize) -> Result<Selected, GpuError> {
        let nowhere = tempfile::tempdir().expect("a folder");
        let roots = Roots { drm: nowhere.path().join("drm"), proc: nowhere.path().join("proc") };
        let card = DeclaredCard { name: "card".to_owned(), memory: ByteSize(8 << 30) };
        let nvml_library = nowhere.path().join("libnvidia-ml.so.1").display().to_string();
        let spec = ResourcesSpec { backend, nvml_library, declared: vec![card; declared], ..ResourcesSpec::default() };
        select_below(&spec, &roots)
    }

    #[test]
    fn what_is_asked_for_by_name_and_not_there_is_an_error_that_says_what_to_do() {
        for (backend, remedy) in [
            (GpuBackend::Nvml, "resources.nvml_library"),
            (GpuBackend::Amdgpu, "amdgpu driver"),
            (GpuBackend::Declared, "[[resources.gpu]]"),
        ] {
            let error = bare(backend, 0).err().expect("nothing is there");
            assert!(matches!(error, GpuError::Absent { .. }), "{error:?}");
            assert!(error.to_string().contains(remedy), "{error}");
        }
    }

    #[test]
    fn auto_takes_what_there_is_and_says_what_it_passed_over() {
        let declared = bare(GpuBackend::Auto, 1).expect("a card");
        assert_eq!((declared.gpus.name(), declared.passed_over.len(), declared.problem()), ("declared", 2, None));
        let none = bare(GpuBackend::Auto, 0).expect("no card is fine");
        assert_eq!((none.gpus.name(), none.passed_over.len(), none.problem()), ("none", 3, None));
        assert_eq!(bare(GpuBackend::None, 1).expect("asked for").gpus.name(), "none");
    }
}

//! Whether a kept run is what the configuration asks for now. Pure.

use std::path::Path;

use crate::{
    digest::Digest,
    os::registry::RegistryEntry,
    spec::{ContainmentChoice, InheritEnv, OnRuntimeExit, PortSpec, RuntimeSpec, ServiceSpec},
    template::{RunValues, Template},
};

/// Stands for everything that a run of this service was started with: command, environment of the configuration, and
/// working directory. Equal for equal ones, on every machine (64-bit FNV-1a); a digest, because the environment may hold
/// secrets and this goes to disk.
#[must_use]
pub fn fingerprint(spec: &ServiceSpec, values: &RunValues) -> String {
    let mut digest = Digest::default();
    digest.list(spec.command.iter().map(|part| part.render(values)));
    let variable = |(name, value): (&String, &Template)| [name.clone(), value.render(values)];
    digest.list(spec.env.iter().flat_map(variable));
    match &spec.inherit_env {
        InheritEnv::All => digest.text("all"),
        InheritEnv::Nothing => digest.text("nothing"),
        InheritEnv::Only(names) => digest.list(names.iter().cloned()),
    }
    digest.text(&spec.working_dir.display().to_string());
    digest.to_string()
}

/// Why a sound run is not what the configuration asks for.
pub(super) fn misfit(state_dir: &Path, spec: &RuntimeSpec, entry: &RegistryEntry) -> Option<&'static str> {
    let Some(kept) = &entry.kept else { return Some("it was not to be kept") };
    let Some(service) = spec.services.iter().find(|service| service.name == entry.service) else {
        return Some("it is no longer in the configuration");
    };
    let holds = match spec.containment {
        ContainmentChoice::Auto => true,
        ContainmentChoice::Cgroup => kept.cgroup.is_some(),
        ContainmentChoice::Shim => kept.cgroup.is_none() && !kept.namespace,
        ContainmentChoice::Namespace => kept.namespace,
    };
    if service.stop.on_runtime_exit != OnRuntimeExit::Keep {
        Some("it is no longer to be kept")
    } else if !port_fits(service.port, spec.ports, entry.port) {
        Some("its port has changed in the configuration")
    } else if fingerprint(service, &RunValues::of(service, entry.port, state_dir)) != kept.fingerprint {
        Some("its command, environment or working directory has changed in the configuration")
    } else if !holds {
        Some("runtime.containment has changed in the configuration")
    } else {
        None
    }
}

/// Whether a run that has this port may keep it.
fn port_fits(spec: Option<PortSpec>, range: (u16, u16), port: Option<u16>) -> bool {
    match (spec, port) {
        (None, None) => true,
        (Some(PortSpec::Fixed(fixed)), Some(port)) => fixed == port,
        (Some(PortSpec::Assigned), Some(port)) => (range.0..=range.1).contains(&port),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
#[path = "fingerprint_tests.rs"]
mod tests;

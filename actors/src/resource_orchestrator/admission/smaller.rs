//! A load that ran out of GPU memory, and what the next one does about it.
//!
//! Where the planner chooses how many layers go to the card, the next start takes fewer, *once*: if that runs out as well, no
//! more are taken away, and the restart policy goes on as with any failure. Once a run has been ready with that many, another
//! step may be taken from there. The bound holds for as long as the service loads the same thing and the runtime lives: what
//! did not fit once would be tried in vain with every load, and costs a load each time.
//!
//! Where the configuration says how many, its figure is not overruled: the one that would be tried is told instead.
//!
//! Host memory that runs out is no reason to move layers: as many as there is room for are on the card already.

use super::machine::Admission;
use crate::{
    event::Severity,
    ids::{RunId, ServiceName},
    memory::{Layered, VramNeed},
    resource_orchestrator::need::TOLERANCE,
    spec::{GpuLayers, ServiceSpec},
};

/// The alert about a load that ran out of GPU memory.
pub(super) const OOM_ON_LOAD: &str = "oom_on_load";

/// A bound that a load has taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Smaller {
    /// Layers that go to cards at the most.
    pub at_most: u32,
    /// Whether a run has been ready with that.
    pub proved: bool,
}

/// How many layers go to the card after so many were too many: as many fewer as take one part in [`TOLERANCE`] of what was
/// expected, which is as much as a figure may be off before that is worth an alert; one at the least. `None`: there were none.
fn fewer(model: Layered, layers: u32) -> Option<u32> {
    let layers = layers.min(model.layers);
    let to_free = model.vram(layers).div_ceil(TOLERANCE);
    let less = if model.layer == 0 { 1 } else { to_free.div_ceil(model.layer).max(1) };
    (layers > 0).then(|| layers.saturating_sub(u32::try_from(less).unwrap_or(u32::MAX)))
}

/// Whether a load of one takes what a load of the other takes.
pub(super) fn loads_alike(one: &ServiceSpec, other: &ServiceSpec) -> bool {
    let memory = |spec: &ServiceSpec| (spec.memory.gpu.clone(), spec.memory.vram);
    one.engine == other.engine
        && one.command == other.command
        && one.model_file == other.model_file
        && one.env == other.env
        && one.gpu_layers == other.gpu_layers
        && memory(one) == memory(other)
}

impl Admission {
    /// A run has not become ready, for want of GPU memory.
    pub(super) fn ran_out(&mut self, service: &ServiceName, run: RunId, model: Option<Layered>) {
        let Some(lease) = self.ledger.leases.get_mut(&run).filter(|lease| !lease.has_ended()) else { return };
        let Some(member) = self.members.get_mut(service) else { return };
        // It is configured otherwise by now.
        if !loads_alike(&lease.spec, &member.spec) {
            return;
        }
        let (layers, next) = match (lease.placement.gpu_layers, lease.need.vram, lease.spec.gpu_layers, model) {
            (Some(layers), VramNeed::Layers(model), ..) => (layers, fewer(model, layers)),
            (None, _, GpuLayers::Count(layers), Some(model)) => (layers.min(model.layers), fewer(model, layers)),
            (None, _, GpuLayers::All, Some(model)) => (model.layers, fewer(model, model.layers)),
            _ => return,
        };
        // Without a layer on the card there is nothing to take away.
        let Some(next) = next else { return };
        let may_choose = lease.placement.gpu_layers.is_some();
        let is_first = member.smaller.is_none_or(|smaller| smaller.proved);
        let what = format!("{service} ran out of GPU memory while it was loaded with {layers} layers on the card");
        let message = if may_choose && is_first {
            member.smaller = Some(Smaller { at_most: next, proved: false });
            format!("{what}; the next start puts {next} there")
        } else {
            let advice = format!("gpu_layers = {next} would be the next to try, or a smaller context");
            lease.advice = Some(advice.clone());
            if self.alerts.contains(&(OOM_ON_LOAD, service.clone())) && !may_choose {
                return;
            }
            format!("{what}; {advice}")
        };
        self.raise(OOM_ON_LOAD, Severity::Warning, service, message);
    }

    /// A run is ready: what it took was not too much.
    pub(super) fn note_fits(&mut self, service: &ServiceName, run: RunId) {
        self.clear(OOM_ON_LOAD, service);
        let Some(placement) = self.ledger.leases.get(&run).map(|lease| &lease.placement) else { return };
        if let Some(smaller) = self.members.get_mut(service).and_then(|member| member.smaller.as_mut()) {
            smaller.proved |= placement.gpu_layers.is_some_and(|layers| layers <= smaller.at_most);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tenth_of_what_was_expected_is_left_free() {
        let model = Layered { layers: 40, layer: 100, card: 500 };
        // 4500 expected, 450 to free: five layers.
        assert_eq!(fewer(model, 40), Some(35));
        assert_eq!(fewer(model, 99), Some(35), "no more are counted than there are");
        assert_eq!(fewer(model, 4), Some(3), "one at least");
        assert_eq!(fewer(model, 1), Some(0));
        assert_eq!(fewer(model, 0), None);
        assert_eq!(fewer(Layered { layer: 0, ..model }, 3), Some(2));
        assert_eq!(
            fewer(Layered { card: 5000, ..model }, 3),
            Some(0),
            "what the card takes besides goes with the last"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_always_less_and_frees_enough_or_all(
            layers in 1_u32..200, layer in 0_u64..1 << 34, card in 0_u64..1 << 34, on_card in 1_u32..250,
        ) {
            let model = Layered { layers, layer, card };
            let (before, next) = (on_card.min(layers), fewer(model, on_card).expect("there was one"));
            prop_assert!(next < before);
            let freed = model.vram(before) - model.vram(next);
            prop_assert!(next == 0 || layer == 0 || freed >= model.vram(before).div_ceil(TOLERANCE));
        }
    }
}

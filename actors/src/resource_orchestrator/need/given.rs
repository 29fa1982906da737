//! Needs as the configuration says them, and nothing else.

use std::sync::Arc;

use super::NeedBook;
use crate::{
    memory::{Amounts, Need, NeedSource, Placement, VramNeed},
    spec::{Figure, ServiceSpec},
};

/// Knows what the configuration says. Learns nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given;

impl NeedBook for Given {
    fn need(&mut self, spec: &Arc<ServiceSpec>) -> Need {
        let mut need = Need::nothing();
        if let Figure::Known { idle, peak } = spec.memory.vram {
            need.vram = VramNeed::Bytes(peak.0);
            need.asleep = idle.map(|size| size.0);
            need.vram_source = NeedSource::User;
        }
        if let Figure::Known { peak, .. } = spec.memory.ram {
            need.ram = peak.0;
            need.ram_source = NeedSource::User;
        }
        need.custom.clone_from(&spec.memory.needs);
        need
    }

    fn measured(&mut self, _: &Arc<ServiceSpec>, _: &Placement, _: &Amounts, _: bool) {}
}

//! Those who want to use a service, in a line before its gate where they cannot enter at once.

use super::world::{Doing, Due, Service, World};
use crate::{gate::Waiting, ids::ServiceName, lease::Wish, resource_orchestrator::admission::Usage};

impl Service {
    /// Its use, as its gate shows it.
    pub fn seen(&self) -> Usage {
        let count = u32::try_from(self.line.len()).expect("few");
        let priority = if count > 0 { self.usage.waiting.priority } else { 0 };
        Usage { waiting: Waiting { count, oldest: self.line.first().copied(), priority }, ..self.usage }
    }

    fn has_room(&self) -> bool {
        self.usage.open && self.slots.is_none_or(|slots| self.usage.in_flight < slots)
    }
}

impl World {
    /// Somebody wants to use it: enters, or waits in its line and has it loaded.
    pub fn come(&mut self, service: &ServiceName) {
        let now = self.now;
        self.of(service).line.push(now);
        self.let_in(service);
        self.ask_for_line(service);
    }

    /// Somebody enters if that is possible at once, or leaves.
    pub fn use_it(&mut self, service: &ServiceName, enters: bool) {
        let one = self.of(service);
        if enters && one.has_room() && one.line.is_empty() {
            one.usage.in_flight += 1;
            one.usage.entries += 1;
        } else if !enters && one.usage.in_flight > 0 {
            one.usage.in_flight -= 1;
            self.let_in(service);
            self.drain_if_idle(service);
        }
    }

    pub fn open(&mut self, service: &ServiceName) {
        self.of(service).usage.open = true;
        self.let_in(service);
    }

    pub fn close(&mut self, service: &ServiceName) {
        let now = self.now;
        let one = self.of(service);
        (one.usage.open, one.closed) = (false, now);
    }

    /// Everybody in its line is sent away.
    pub fn dismiss(&mut self, service: &ServiceName) {
        self.of(service).line.clear();
    }

    /// Whoever waits for one that rests has it loaded.
    pub fn ask_for_line(&mut self, service: &ServiceName) {
        let one = self.of(service);
        if !one.line.is_empty() && matches!(one.doing, Doing::Nothing | Doing::Sleeps) {
            self.want(service, Wish::Wanted);
        }
    }

    fn let_in(&mut self, service: &ServiceName) {
        let now = self.now;
        while self.of(service).has_room() && !self.of(service).line.is_empty() {
            let one = self.of(service);
            let came = one.line.remove(0);
            one.usage.in_flight += 1;
            one.usage.entries += 1;
            let (run, works) = (one.run, one.works);
            self.waits.push((service.clone(), now - came));
            if let (Some(run), Some(works)) = (run, works) {
                self.later(works, Due::Leaves { service: service.clone(), run });
            }
        }
    }
}

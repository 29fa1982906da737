//! Who has not been used for how long, and who leaves for that.

use std::time::{Duration, Instant};

use super::{Around, Effect, machine::Admission};
use crate::units::format_duration;

/// How often at most, and at least, it is looked at whether somebody is idle.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

impl Admission {
    /// Takes down who is used.
    pub(super) fn note_use(&mut self, around: &dyn Around) {
        let now = around.now();
        let leases = &self.ledger.leases;
        let counts = |name: &_| leases.values().any(|lease| lease.service == *name);
        for (name, member) in &mut self.members {
            if member.spec.memory.idle_timeout.is_zero() && !counts(name) {
                continue;
            }
            let usage = around.usage(name);
            if !usage.open || usage.in_flight > 0 || usage.holds > 0 || usage.entries != member.entries {
                (member.used, member.entries) = (now, usage.entries);
            }
            if !usage.open {
                member.dismissed = None;
            }
        }
    }

    /// Asks those to leave who have been idle for their `idle_timeout`. One that stays is asked again after as long.
    pub(super) fn dismiss_idle(&mut self, around: &dyn Around) {
        let now = around.now();
        if self.idle_due().is_none_or(|due| due > now) {
            return;
        }
        self.looked = Some(now);
        self.note_use(around);
        let users = self.users(&[], around);
        let mut idle = Vec::new();
        // Who is needed is not idle, whoever else asks for it.
        for (name, member) in self.members.iter_mut().filter(|(name, _)| !users.contains_key(*name)) {
            let timeout = member.spec.memory.idle_timeout;
            let since = member.dismissed.map_or(member.used, |asked| asked.max(member.used));
            let is_due = !timeout.is_zero() && now.saturating_duration_since(since) >= timeout;
            if is_due && around.usage(name).open {
                member.dismissed = Some(now);
                idle.push((name.clone(), timeout));
            }
        }
        for (service, timeout) in idle {
            let run = self.ledger.live(&service).map(|lease| lease.run);
            self.effect(Effect::Offload { service, run, reason: format!("idle for {}", format_duration(timeout)) });
        }
    }

    fn idle_due(&self) -> Option<Instant> {
        let timeouts = self.members.values().map(|member| member.spec.memory.idle_timeout);
        let shortest = timeouts.filter(|timeout| !timeout.is_zero()).min()?;
        let pause = (shortest / 4).clamp(LOOK.0, LOOK.1);
        let enlisted = self.members.values().map(|member| member.used).min()?;
        Some(self.looked.unwrap_or(enlisted) + pause)
    }

    /// The next moment at which [`Event::Due`](super::Event::Due) is to be told, if there is one.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<Instant> {
        [self.look, self.settle_due(now), self.idle_due()].into_iter().flatten().min()
    }

    /// The next moment at which something is decided, whoever is in use.
    pub(super) fn settle_due(&self, now: Instant) -> Option<Instant> {
        let asks = self.asks.iter().map(super::ask::Ask::deadline).min();
        [asks, self.reclaim_due(now), self.return_due(now)].into_iter().flatten().min()
    }
}

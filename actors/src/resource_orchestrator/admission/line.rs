//! Those who wait, in the order of their turns, and those who are in use and may stay until then.

use std::time::{Duration, Instant};

use super::{
    Around, Usage,
    demand::names,
    event::leaving_bound,
    machine::{Admission, Member},
    turn::{GREETING, Leave, Stay, Turn},
};
use crate::{
    ids::{RunId, ServiceName},
    resource_orchestrator::{
        ledger::{Lease, Stage},
        planner::Plan,
    },
    units::format_duration,
};

/// Of its load time, so much without use is no idleness.
const LINGER: u32 = 10;

/// Those of a plan who may stay for now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Users {
    pub names: Vec<ServiceName>,
    /// When to look again.
    pub look: Instant,
}

impl Admission {
    /// Sees who waits, and puts them in order.
    pub(super) fn line_up(&mut self, around: &dyn Around) {
        for ask in &mut self.asks {
            let waiting = around.usage(&ask.question.service).waiting;
            ask.turn = Turn {
                arrival: waiting.oldest.map_or(ask.since, |oldest| oldest.min(ask.since)),
                priority: waiting.priority,
                begun: ask.course.planned.is_some() && !ask.held_up,
            };
        }
        let (fairness, now) = (self.fairness, around.now());
        self.asks.sort_by_key(|ask| ask.turn.rank(fairness, now));
    }

    /// Whether a resident is asked to leave for somebody whose turn this is.
    pub(super) fn leaves(&self, lease: &Lease, usage: &Usage, turn: &Turn, now: Instant) -> Leave {
        match (lease.stage, self.members.get(&lease.service)) {
            (Stage::Resident, Some(member)) => turn.asks(&stay(lease, member, usage), self.fairness, now),
            // What sleeps, or is on its way in or out, nobody uses.
            _ => Leave::Now,
        }
    }

    /// Those of a plan who are in use, and may stay for now. `None`: its turn has come.
    pub(super) fn users_of(&self, plan: &Plan, turn: &Turn, around: &dyn Around) -> Option<Users> {
        let now = around.now();
        let stay = plan.offload.iter().filter_map(|name| {
            let lease = self.ledger.live(name)?;
            match self.leaves(lease, &around.usage(name), turn, now) {
                Leave::Now => None,
                Leave::Look(at) => Some((name.clone(), at)),
            }
        });
        let (names, looks): (Vec<ServiceName>, Vec<Instant>) = stay.unzip();
        looks.into_iter().min().map(|look| Users { names, look })
    }

    /// Who cannot be asked to leave for whom: the runs of those who let others finish, each with those of the residents that
    /// may stay for now.
    pub(super) fn stand(&self, around: &dyn Around) -> impl Iterator<Item = (RunId, RunId)> {
        self.asks.iter().filter(|ask| ask.held_up).flat_map(move |ask| {
            let stay = self.ledger.leases.values().filter(|lease| {
                self.leaves(lease, &around.usage(&lease.service), &ask.turn, around.now()) != Leave::Now
            });
            stay.map(|lease| (ask.question.run, lease.run))
        })
    }

    /// Whether all who are in use still are, and nothing is due but another look. Then there is nothing to be planned anew.
    pub(super) fn is_mere_look(&mut self, around: &dyn Around) -> bool {
        let now = around.now();
        let is_due = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        if !is_due(self.look) || is_due(self.settle_due(now)) {
            return false;
        }
        self.note_use(around);
        self.line_up(around);
        if !self.stand(around).eq(self.standing.iter().copied()) {
            return false;
        }
        let looks = self.asks.iter().filter(|ask| ask.held_up).flat_map(|ask| {
            ask.awaits.iter().filter_map(|name| {
                let lease = self.ledger.live(name)?;
                match self.leaves(lease, &around.usage(name), &ask.turn, now) {
                    Leave::Now => None,
                    Leave::Look(at) => Some(at),
                }
            })
        });
        self.look = looks.min();
        self.look.is_some()
    }

    /// Waits while those finish who use what is to leave. Nobody is asked to, not even who could leave now: all of them are
    /// needed, and may serve others until then.
    pub(super) fn let_finish(&mut self, at: usize, plan: &Plan, users: Users, now: Instant) {
        for lease in self.ledger.leases.values_mut().filter(|lease| plan.offload.contains(&lease.service)) {
            lease.promised = !lease.has_ended();
        }
        let reclaim = self.ledger.rules.reclaim_timeout;
        let bound = |member: &Member| {
            let line = member.spec.memory.offload.drain.saturating_add(GREETING);
            leaving_bound(&member.spec, reclaim).saturating_add(line)
        };
        let ask = &mut self.asks[at];
        for name in &users.names {
            if let Some(member) = self.members.get(name) {
                ask.allow(name, bound(member));
            }
        }
        ask.be_patient(self.fairness);
        ask.held_up = true;
        ask.awaits = users.names.iter().cloned().collect();
        ask.claim = Some(plan.placement.lease.clone());
        let reason = waits_for(&users.names, ask.turn.due(self.fairness) <= now, self.fairness);
        self.look = Some(self.look.map_or(users.look, |look| look.min(users.look)));
        self.pend(at, reason);
    }
}

/// Says why it waits. The sentence holds as long as the wait does, so that it is not told anew all the time.
pub(super) fn waits_for(users: &[ServiceName], is_due: bool, fairness: Duration) -> String {
    let users = names(users);
    match is_due {
        true => format!("lets those in first who came to {users} before it"),
        false => {
            let fairness = format_duration(fairness);
            format!("lets those finish who use {users}; its turn comes {fairness} after it was asked for at the latest")
        }
    }
}

fn stay(lease: &Lease, member: &Member, usage: &Usage) -> Stay {
    // One that is not ready lets nobody in: only those who are in use it.
    let linger = if usage.open { member.loaded_in.unwrap_or_default() / LINGER } else { Duration::ZERO };
    let is_unserved = usage.waiting.count > 0 && usage.in_flight == 0 && usage.entries == member.before;
    Stay {
        in_flight: usage.in_flight,
        used: member.used,
        linger,
        line: usage.waiting.oldest,
        unserved: lease.ready.filter(|_| is_unserved),
        drain: member.spec.memory.offload.drain,
    }
}

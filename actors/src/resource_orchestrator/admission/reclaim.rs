//! Memory that is to come back: of runs that have ended, and of engines that have fallen asleep.

use std::time::{Duration, Instant};

use super::machine::Admission;
use crate::{
    event::Severity,
    ids::RunId,
    memory::{Amounts, GpuId, Pool},
    resource_orchestrator::ledger::{CardBook, Lease, Stage},
    units::format_duration,
};

/// So little may be left over: drivers round, and other programs move a little meanwhile.
const SMALL: u64 = 64 << 20;
/// The same, as a part of what was held.
const SMALL_PART: u64 = 50;
/// What a sleeping engine has not given back after this long without any more coming, it keeps.
const STILL: Duration = Duration::from_millis(300);

impl Admission {
    /// Ends the leases of those whose memory is back, and gives up those whose memory is not back in time.
    pub(super) fn take_back(&mut self, now: Instant) {
        self.watch_sleepers(now);
        let ended = self.ledger.leases.values().filter(|lease| lease.has_ended());
        let back: Vec<RunId> = ended.filter(|lease| self.is_back(lease)).map(|lease| lease.run).collect();
        for run in back {
            let advice = self.ledger.leases.remove(&run).and_then(|lease| lease.advice);
            self.reclaimed(run, advice);
        }
        let late = self
            .ledger
            .leases
            .values()
            .filter(|lease| matches!(lease.stage, Stage::Reclaiming { until, .. } if until <= now));
        let late: Vec<RunId> = late.map(|lease| lease.run).collect();
        for run in late {
            self.give_up(run);
        }
    }

    /// Whether an ended run owes nothing any more. Cards that nobody measures are free with the end of the run.
    fn is_back(&self, lease: &Lease) -> bool {
        let Stage::Reclaiming { measured, .. } = lease.stage else { return false };
        let is_back = |gpu: &GpuId| {
            let Some(book) = self.ledger.cards.iter().find(|book| book.card.id == *gpu) else { return true };
            if book.card.used.is_none() && book.works() {
                return true;
            }
            let listed = book.card.processes.iter().any(|(pid, _)| lease.pids.contains(pid));
            let share = lease.holds.of(&Pool::Vram(gpu.clone()));
            let works = self.ledger.problem.is_none() && book.works();
            works && measured && !listed && lease.taken(gpu) <= SMALL.max(share / SMALL_PART)
        };
        lease.owed.keys().chain(lease.holds.vram.keys()).all(is_back)
    }

    /// The lease ends all the same: what is still used counts as strangers' from now on, so nothing is given out twice.
    fn give_up(&mut self, run: RunId) {
        let Some(lease) = self.ledger.leases.remove(&run) else { return };
        self.timeouts += 1;
        let owed: Vec<String> = self.ledger.cards.iter_mut().filter_map(|book| owed(book, &lease)).collect();
        let within = format_duration(self.ledger.rules.reclaim_timeout);
        let missing = if owed.is_empty() { "its memory".to_owned() } else { owed.join(" and ") };
        let sentence = format!("{missing} was not measured back within {within} of its end");
        let message = format!(
            "{}: {sentence}; it counts as used by other programs until the driver says otherwise",
            lease.service
        );
        self.raise("reclaim_timeout", Severity::Warning, &lease.service, message);
        self.reclaimed(run, Some(sentence));
    }

    fn watch_sleepers(&mut self, now: Instant) {
        let mut settled = Vec::new();
        for lease in self.ledger.leases.values_mut() {
            let Stage::Dozing { until, measured, mut still, mut taken, began, ends } = lease.stage else { continue };
            let left: u64 = lease.placement.gpus.iter().map(|gpu| lease.taken(gpu)).sum();
            if left != taken {
                (taken, still) = (left, now);
                lease.stage = Stage::Dozing { until, measured, still, taken, began, ends };
            }
            let cards = &mut self.ledger.cards;
            if now < until && !is_asleep(lease, cards, measured, now >= still + STILL) {
                continue;
            }
            settled.push(lease.run);
            let vram = match lease.listed.is_empty() {
                true => lease.placement.gpus.iter().map(|gpu| (gpu.clone(), lease.vram_asleep(gpu))).collect(),
                false => lease.listed.clone(),
            };
            let counted: Vec<u64> = cards.iter().map(|book| lease.taken(&book.card.id)).collect();
            lease.holds = Amounts { vram, ram: lease.ram, custom: lease.placement.lease.custom.clone() };
            lease.stage = if ends { Stage::Draining } else { Stage::Asleep };
            lease.slept = true;
            // What is not its own any more is strangers' where it is still used. Left out of the books, it would be
            // taken for what a run has left that ended meanwhile, and that run's own would be given out.
            for (book, counted) in cards.iter_mut().zip(counted) {
                book.disown(counted.saturating_sub(lease.taken(&book.card.id)));
            }
        }
        if !settled.is_empty() {
            self.ledger.attribute();
        }
        for run in settled {
            self.reclaimed(run, None);
        }
    }

    /// When this is to be looked at again, readings apart.
    pub(super) fn reclaim_due(&self, now: Instant) -> Option<Instant> {
        let due = self.ledger.leases.values().filter_map(|lease| match lease.stage {
            Stage::Reclaiming { until, .. } => Some(until),
            Stage::Dozing { measured: true, until, still, .. } if now < still + STILL => Some(until.min(still + STILL)),
            Stage::Dozing { until, .. } => Some(until),
            Stage::Reserved | Stage::Loading | Stage::Resident | Stage::Draining | Stage::Asleep => None,
        });
        due.min()
    }
}

/// Whether an engine has given back all that it will, and that has been measured. `is_still`: nothing has moved for a while.
fn is_asleep(lease: &Lease, cards: &[CardBook], measured: bool, is_still: bool) -> bool {
    let listed: u64 = lease.listed.values().sum();
    let keeps = lease.need.asleep.unwrap_or(0);
    if !lease.listed.is_empty() && !is_still && lease.need.asleep.is_none_or(|_| listed > keeps.saturating_add(SMALL)) {
        return false;
    }
    let is_back = |gpu: &GpuId| {
        let Some(book) = cards.iter().find(|book| book.card.id == *gpu) else { return true };
        if book.card.used.is_none() {
            return true;
        }
        let owed = lease.taken(gpu).saturating_sub(lease.used(gpu));
        let small = SMALL.max(lease.holds.of(&Pool::Vram(gpu.clone())) / SMALL_PART);
        // Where processes are not listed, what it keeps cannot be told from what is not back yet.
        let is_kept = !book.lists() && (is_still || owed <= keeps.saturating_add(small));
        measured && (owed <= small || is_kept)
    };
    lease.placement.gpus.iter().all(is_back)
}

/// What a run that is given up leaves on a card: strangers' from now on.
fn owed(book: &mut CardBook, lease: &Lease) -> Option<String> {
    let owed = lease.owed.get(&book.card.id).copied().filter(|owed| *owed > 0)?;
    book.disown(owed);
    Some(Pool::Vram(book.card.id.clone()).tell(owed))
}

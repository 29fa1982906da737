//! Which processes may have begun on this machine since the last look.
//!
//! The kernel gives each new thread the next free id and says in `/proc/loadavg` which one was the last, and how many threads
//! there are. Where both are as they were, nothing has begun and so nothing has ended; otherwise whoever has begun has one of
//! the ids that were given away meanwhile.

use std::{fs::File, ops::RangeInclusive, thread};

use nix::unistd::gettid;

use super::{
    read,
    text::{self, Life},
};
use crate::ids::Pid;

/// Tries to see an id of one's own among those that were given away: between two of them ids may have begun anew.
const TRIES: usize = 3;

/// What has happened since the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stir {
    /// Nothing has begun, nothing has ended.
    Calm,
    /// Something has begun or ended. Whoever has begun is one of these; most of them are threads, or over already.
    Births(Births),
    /// Nobody can say.
    Unknown,
}

/// Ids that were given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Births(RangeInclusive<u32>);

impl Births {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let (first, last) = (*self.0.start(), *self.0.end());
        last.checked_sub(first).map_or(0, |more| more as usize + 1)
    }

    /// All of them.
    pub fn ids(&self) -> impl Iterator<Item = Pid> + use<> {
        self.0.clone().map(Pid)
    }
}

/// Looks. In a container the number of threads may hide that a process ended here while one ended or began elsewhere, so
/// whoever relies on it looks all the same now and then.
#[derive(Debug)]
pub struct StirWatch {
    file: Option<File>,
    /// The newest look, and the one before it.
    looks: [Option<Life>; 2],
}

impl StirWatch {
    /// One that has not looked yet. It makes sure that the kernel counts the ids that are seen here, which a container that
    /// is shown the file of somebody else cannot rely on.
    #[must_use]
    pub fn new() -> Self {
        let file = File::open("/proc/loadavg").ok().filter(|file| (0..TRIES).any(|_| counts_ours(file)));
        Self { file, looks: [None; 2] }
    }

    /// What has happened since the last look. [`Stir::Unknown`] at the first two, and where nobody can say.
    pub fn since_last(&mut self) -> Stir {
        let now = self.file.as_ref().and_then(look);
        let [last, earlier] = self.looks;
        self.looks = [now, last];
        between(earlier, last, now)
    }
}

impl Default for StirWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn look(file: &File) -> Option<Life> {
    text::life(&read(file).ok()?)
}

/// Whether the id of a thread that begins now is among those that the file tells.
fn counts_ours(file: &File) -> bool {
    let before = look(file);
    let id = thread::Builder::new().spawn(gettid).ok().and_then(|thread| thread.join().ok());
    let id = id.and_then(|id| u64::try_from(id.as_raw()).ok());
    let after = look(file);
    let (Some(before), Some(id), Some(after)) = (before, id, after) else { return false };
    before.last < id && id <= after.last
}

/// From three looks in a row. An id is given away before its process can be seen, so whoever has one of those that the look
/// before told may have come only after it, and counts as begun once more. Pure.
fn between(earlier: Option<Life>, last: Option<Life>, now: Option<Life>) -> Stir {
    let (Some(earlier), Some(last), Some(now)) = (earlier, last, now) else { return Stir::Unknown };
    if earlier == last && last == now {
        return Stir::Calm;
    }
    // Ids begin anew at the end of their range.
    let is_in_order = earlier.last <= last.last && last.last <= now.last;
    match (u32::try_from(earlier.last), u32::try_from(now.last)) {
        (Ok(first), Ok(newest)) if is_in_order => Stir::Births(Births(first.saturating_add(1)..=newest)),
        _ => Stir::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use super::*;
    use crate::os::clock;

    const fn life(threads: u64, last: u64) -> Option<Life> {
        Some(Life { threads, last })
    }

    fn births(stir: &Stir) -> Vec<u32> {
        let Stir::Births(births) = stir else { panic!("{stir:?}") };
        assert_eq!(births.count(), births.ids().count());
        births.ids().map(|pid| pid.0).collect()
    }

    #[test]
    fn whoever_has_begun_has_an_id_that_was_given_away_since_the_look_before_the_last_one() {
        assert_eq!(births(&between(life(9, 100), life(9, 101), life(9, 103))), [101, 102, 103]);
        assert_eq!(births(&between(life(9, 100), life(9, 101), life(9, 101))), [101]);
        assert!(births(&between(life(9, 100), life(9, 100), life(8, 100))).is_empty(), "somebody has ended");
        assert_eq!(between(life(9, 100), life(9, 100), life(9, 100)), Stir::Calm);
    }

    #[test]
    fn nobody_can_say_at_first_nor_where_ids_begin_anew() {
        assert_eq!(between(None, life(9, 100), life(9, 100)), Stir::Unknown);
        assert_eq!(between(life(9, 100), life(9, 32_760), life(9, 310)), Stir::Unknown);
        assert_eq!(between(life(9, 32_760), life(9, 310), life(9, 310)), Stir::Unknown);
        assert_eq!(between(life(9, 1), life(9, 2), life(9, u64::MAX)), Stir::Unknown);
    }

    #[test]
    fn a_process_that_begins_is_among_them() {
        let mut watch = StirWatch::new();
        assert_eq!([watch.since_last(), watch.since_last()], [Stir::Unknown, Stir::Unknown]);
        let mut child = Command::new("true").spawn().expect("spawned");
        let seen = watch.since_last();
        assert!(births(&seen).contains(&child.id()), "{seen:?} {}", child.id());
        let seen = watch.since_last();
        assert!(births(&seen).contains(&child.id()), "at the next look as well: {seen:?} {}", child.id());
        child.wait().expect("waited for");
        // Where nobody begins and ends anything there is a moment of calm; the other tests do not go on for ever.
        assert!(clock::wait_until(Duration::from_secs(30), || watch.since_last() == Stir::Calm));
    }
}

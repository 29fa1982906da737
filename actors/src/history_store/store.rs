//! What becomes of records: on disk, or kept and tried again. Time is handed in; the file system is real.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    backlog::{Backlog, pause},
    database::{Database, Trouble},
    files,
    messages::{HistoryState, NotRecorded, Record},
};
use crate::time::Timestamp;

/// How often one commit may make a new database or open it again before it gives up for a while.
const FRESH_STARTS: u32 = 3;

/// What people must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It cannot be written; records are kept in memory.
    Degraded(String),
    /// Records are being lost.
    Overflowing(String),
    /// It can be written again.
    Recovered,
    /// A damaged or removed database was replaced by a fresh one.
    Damaged(String),
    /// The fresh one works.
    Replaced,
}

#[derive(Debug)]
enum Condition {
    Good,
    Degraded { reason: String, tries: u32, next: Instant, overflowing: bool },
}

/// The database with the records that are not in it yet.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    database: Option<Database>,
    backlog: Backlog,
    condition: Condition,
    dropped: u64,
    replacing: bool,
    news: Vec<News>,
}

impl Store {
    /// A store for the database at `path`. Nothing is opened before the first commit.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let (database, backlog, condition) = (None, Backlog::default(), Condition::Good);
        Self { path, database, backlog, condition, dropped: 0, replacing: false, news: Vec::new() }
    }

    /// Takes a record; it goes to disk with the next commit. Whether the store is so full that this should be at once.
    pub fn add(&mut self, record: Record) -> bool {
        let dropped = self.backlog.push(record);
        self.lose(dropped);
        self.backlog.is_full() && matches!(self.condition, Condition::Good)
    }

    /// Writes everything that waits, unless a failed try was too short a time ago.
    ///
    /// # Errors
    /// When it is not on disk; it is kept and tried again.
    pub fn commit(&mut self, now: Instant, wall: Timestamp) -> Result<(), NotRecorded> {
        match &self.condition {
            Condition::Degraded { next, .. } if *next > now => Err(self.refusal()),
            Condition::Good | Condition::Degraded { .. } => self.commit_now(now, wall),
        }
    }

    /// Writes everything that waits, now.
    ///
    /// # Errors
    /// When it is not on disk; it is kept and tried again.
    pub fn commit_now(&mut self, now: Instant, wall: Timestamp) -> Result<(), NotRecorded> {
        let mut starts = 0;
        loop {
            let trouble = match self.try_commit() {
                Ok(()) => {
                    self.recovered();
                    return Ok(());
                }
                Err(trouble) => trouble,
            };
            // Whatever it was, the next try begins with a newly opened file.
            self.database = None;
            starts += 1;
            match trouble {
                Trouble::Damaged(_) | Trouble::Removed if starts < FRESH_STARTS => {
                    if let Err(error) = self.replace(&trouble, wall) {
                        self.degrade(format!("{trouble}; it cannot be set aside: {error}"), now);
                        return Err(self.refusal());
                    }
                }
                Trouble::LogRemoved if starts < FRESH_STARTS => tracing::error!("{trouble}; opening it again"),
                _ => {
                    self.degrade(trouble.to_string(), now);
                    return Err(self.refusal());
                }
            }
        }
    }

    /// When the next try is due, if the last one failed.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        match &self.condition {
            Condition::Good => None,
            Condition::Degraded { next, .. } => Some(*next),
        }
    }

    /// How it fares.
    #[must_use]
    pub fn state(&self) -> HistoryState {
        match &self.condition {
            Condition::Good => HistoryState::Ok,
            Condition::Degraded { reason, .. } => HistoryState::Degraded(reason.clone()),
        }
    }

    /// Records that wait.
    #[must_use]
    pub fn buffered(&self) -> u64 {
        self.backlog.len() as u64
    }

    /// Records lost so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What people must be told since the last call.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Does something with the open database, if it is open.
    ///
    /// # Errors
    /// Its trouble; the store acts on that as after a failed commit.
    pub fn with<T>(
        &mut self,
        now: Instant,
        wall: Timestamp,
        work: impl FnOnce(&mut Database) -> Result<T, Trouble>,
    ) -> Option<T> {
        match work(self.database.as_mut()?) {
            Ok(value) => Some(value),
            Err(Trouble::Obstacle(reason) | Trouble::Full(reason)) => {
                // The next commit shows whether this is in the way of records as well.
                tracing::warn!(%reason, "care of the history was put off");
                None
            }
            Err(trouble) => {
                self.database = None;
                let replaced = match trouble {
                    Trouble::Damaged(_) | Trouble::Removed => self.replace(&trouble, wall),
                    _ => Ok(()),
                };
                if let Err(error) = replaced {
                    self.degrade(format!("{trouble}; it cannot be set aside: {error}"), now);
                } else {
                    // Opens it again; a failure is kept as the store's condition.
                    drop(self.commit_now(now, wall));
                }
                None
            }
        }
    }

    /// Writes what waits and closes the database. What could not be written comes back as a sentence.
    ///
    /// # Errors
    /// When records are left that are not on disk.
    pub fn close(&mut self, left: Duration, now: Instant, wall: Timestamp) -> Result<(), String> {
        if let Some(database) = &self.database
            && let Err(trouble) = database.hurry(left)
        {
            tracing::warn!(%trouble, "the history's lock timeout could not be set");
        }
        let written = self.commit_now(now, wall);
        if let Some(database) = self.database.take()
            && let Err(trouble) = database.take_log_over()
        {
            tracing::warn!(%trouble, "the history's log was not taken over; the next start does it");
        }
        match written {
            Ok(()) => Ok(()),
            Err(_) if self.backlog.len() == 0 => Ok(()),
            Err(refusal) => Err(format!("{} records are lost: {refusal}", self.backlog.len())),
        }
    }

    fn try_commit(&mut self) -> Result<(), Trouble> {
        let database = match &mut self.database {
            Some(database) => database,
            none => none.insert(Database::open(&self.path)?),
        };
        match database.write(self.backlog.all()) {
            Ok(left_out) => {
                self.dropped += left_out;
                self.backlog.clear();
                Ok(())
            }
            Err(Trouble::Full(reason)) => {
                // For what jobs have come to there may be room where there is none for all that has happened meanwhile. Not
                // for what begins: whoever waits for it is told that it is not on disk.
                self.dropped += database.write(self.backlog.ends())?;
                self.backlog.clear_ends();
                Err(Trouble::Full(reason))
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn replace(&mut self, trouble: &Trouble, wall: Timestamp) -> std::io::Result<()> {
        let what_happened = match trouble {
            Trouble::Removed => format!("{trouble}; a fresh one is made at {}", self.path.display()),
            _ => {
                let aside = files::set_aside(&self.path, wall)?;
                format!("{trouble}; it was set aside as {} and a fresh one is made", aside.display())
            }
        };
        self.replacing = true;
        self.news.push(News::Damaged(what_happened));
        Ok(())
    }

    fn degrade(&mut self, reason: String, now: Instant) {
        let tries = match &self.condition {
            Condition::Good => {
                self.news.push(News::Degraded(format!("{reason} ({})", self.path.display())));
                1
            }
            Condition::Degraded { tries, .. } => tries.saturating_add(1),
        };
        let overflowing = matches!(self.condition, Condition::Degraded { overflowing: true, .. });
        self.condition = Condition::Degraded { reason, tries, next: now + pause(tries), overflowing };
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.replacing) {
            self.news.push(News::Replaced);
        }
        if let Condition::Degraded { .. } = std::mem::replace(&mut self.condition, Condition::Good) {
            self.news.push(News::Recovered);
        }
    }

    fn lose(&mut self, records: u64) {
        self.dropped += records;
        if records > 0
            && let Condition::Degraded { reason, overflowing, .. } = &mut self.condition
            && !std::mem::replace(overflowing, true)
        {
            let told = format!("{reason}; the buffer is full and the oldest records are lost");
            self.news.push(News::Overflowing(told));
        }
    }

    fn refusal(&self) -> NotRecorded {
        match &self.condition {
            Condition::Degraded { overflowing: true, .. } => NotRecorded::Dropped(self.dropped),
            Condition::Degraded { reason, .. } => NotRecorded::Buffered(reason.clone()),
            // Not reached: a refusal follows from a failure.
            Condition::Good => NotRecorded::Buffered("unknown".to_owned()),
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

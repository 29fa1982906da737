//! An open database that knows whether its files are still the ones it opened.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    fault::{Fault, judge},
    files::{Seen, Witness, ensure},
    messages::Record,
    migrations::{Identity, identify, migrate},
    schema::CURRENT,
    writer::write_all,
};

/// How long another program may hold the database locked before a write is put off.
const BUSY: Duration = Duration::from_secs(2);

/// Databases up to this size are read through when they are opened and at the hourly care (some tenths of a second);
/// damage in larger ones shows when it is met.
const READ_THROUGH: u64 = 256 << 20;

/// The most that the write-ahead log keeps on disk once it has been taken over into the database.
const LOG_LIMIT: i64 = 64 << 20;

/// Why a database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Its contents are broken.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// It is not there any more, and with it is gone what was written; a new one can be made at once.
    #[error("the database's file was removed or replaced while in use")]
    Removed,
    /// The files beside it are gone; all of it is safe once it is opened again.
    #[error("the database's log was removed while in use")]
    LogRemoved,
    /// It cannot be written now.
    #[error("{0}")]
    Obstacle(String),
    /// There is no room for so much now.
    #[error("{0}")]
    Full(String),
    /// A later version made it.
    #[error(
        "a newer Greenroom made this database (version {found}, this one knows {CURRENT}): move it away, or use that version"
    )]
    Newer {
        /// Its version.
        found: i64,
    },
    /// Another program made it.
    #[error("this is another program's database: choose another `history.path`")]
    Foreign,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        match judge(&error) {
            Fault::Damage => Self::Damaged(error.to_string()),
            Fault::Full => Self::Full(error.to_string()),
            Fault::Obstacle | Fault::Record => Self::Obstacle(error.to_string()),
        }
    }
}

/// An open database of the current version.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
    path: PathBuf,
    witness: Witness,
}

impl Database {
    /// Opens the database, makes it if there is none, and brings it to the current version.
    ///
    /// # Errors
    /// When it cannot be used; a database of a newer version or another program is left as it is.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let obstacle = |error: std::io::Error| Trouble::Obstacle(error.to_string());
        ensure(path).map_err(obstacle)?;
        let mut connection = connect(path)?;
        let version = match identify(&connection)? {
            Identity::Fresh => 0,
            Identity::Ours { version } => version,
            Identity::Newer { version } => return Err(Trouble::Newer { found: version }),
            Identity::Foreign => return Err(Trouble::Foreign),
        };
        if version == 0 {
            // Only a database without tables takes this; it lets retention give space back in small steps.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        } else {
            read_through(&connection)?;
        }
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update_and_check(None, "journal_size_limit", LOG_LIMIT, |row| row.get::<_, i64>(0))?;
        migrate(&mut connection, version)?;
        let witness = Witness::new(path).map_err(obstacle)?;
        Ok(Self { connection, path: path.to_owned(), witness })
    }

    /// Writes and commits, and makes sure that what was committed has a name in the file system. The number of records
    /// that can never be written comes back.
    ///
    /// # Errors
    /// When the records are not, or not surely, on disk.
    pub fn write<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) -> Result<u64, Trouble> {
        let left_out = write_all(&mut self.connection, records)?;
        self.check()?;
        Ok(left_out)
    }

    /// Looks whether the files are still the ones that were opened. Takes some microseconds.
    ///
    /// # Errors
    /// When they are not.
    pub fn check(&mut self) -> Result<(), Trouble> {
        match self.witness.look(&self.path) {
            Seen::Same => Ok(()),
            Seen::Gone => Err(Trouble::Removed),
            Seen::BesideGone => {
                // Ours is the last hand on that log: take it over into the database before letting go.
                drop(self.take_log_over());
                Err(Trouble::LogRemoved)
            }
            Seen::Shorter => {
                self.inspect()?;
                self.witness.accept_size(&self.path);
                Ok(())
            }
        }
    }

    /// Reads the database through with fresh eyes: this connection may hold pages in memory that are gone from the disk.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn inspect(&self) -> Result<(), Trouble> {
        let fresh = connect(&self.path)?;
        match identify(&fresh)? {
            Identity::Ours { .. } => read_through(&fresh),
            Identity::Fresh | Identity::Foreign | Identity::Newer { .. } => {
                Err(Trouble::Damaged("its contents are gone".to_owned()))
            }
        }
    }

    /// Takes the write-ahead log over into the database. Readers may prevent it, which does no harm.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn take_log_over(&self) -> Result<(), Trouble> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// From now on a locked database is waited for no longer than this, and no longer than usual.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn hurry(&self, left: Duration) -> Result<(), Trouble> {
        Ok(self.connection.busy_timeout(left.min(BUSY))?)
    }

    /// For statements that are no records: retention.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

fn connect(path: &Path) -> Result<Connection, Trouble> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn read_through(connection: &Connection) -> Result<(), Trouble> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    if u64::from(number("page_count")?) * u64::from(number("page_size")?) > READ_THROUGH {
        return Ok(());
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(Trouble::Damaged(verdict)) }
}

#[cfg(test)]
impl Database {
    /// Lets the file grow by so many pages of 4 KiB: a disk that is about to be full.
    pub fn limit_growth(&mut self, pages: u32) {
        let now: u32 = self.connection.pragma_query_value(None, "page_count", |r| r.get(0)).expect("pages");
        let set = self.connection.pragma_update_and_check(None, "max_page_count", now + pages, |r| r.get::<_, u32>(0));
        set.expect("a limit");
    }
}

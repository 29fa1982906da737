//! What an error of SQLite means for the history. Pure.

use rusqlite::{Error, ErrorCode, ffi};

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The file's contents are broken: set it aside.
    Damage,
    /// The file cannot be written now: try again later.
    Obstacle,
    /// There is no room for so much: try again later, and less of it now.
    Full,
    /// This one record cannot be written, ever: leave it out.
    Record,
}

/// Judges an error.
#[must_use]
pub fn judge(error: &Error) -> Fault {
    match error {
        Error::SqliteFailure(failure, message) => match failure.code {
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => Fault::Damage,
            ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ => Fault::Damage,
            // The second is what a quota or a limit on the size of files comes to (`src/os_unix.c`, `unixWrite`).
            ErrorCode::DiskFull => Fault::Full,
            ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_WRITE => Fault::Full,
            ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch => Fault::Record,
            _ => by_message(message.as_deref()),
        },
        Error::SqlInputError { msg, .. } => by_message(Some(msg)),
        Error::ToSqlConversionFailure(_) => Fault::Record,
        _ => Fault::Obstacle,
    }
}

/// Our statements fit our tables, so a table or column that is missing has been lost. SQLite has no code of its own for
/// this (`src/build.c`, `sqlite3LocateTable`).
fn by_message(message: Option<&str>) -> Fault {
    let lost = |m: &str| ["no such table", "no such column", "has no column named"].iter().any(|l| m.contains(l));
    if message.is_some_and(lost) { Fault::Damage } else { Fault::Obstacle }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn failure(code: i32) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn codes_are_told_apart() {
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_IOERR_SHORT_READ] {
            assert_eq!(judge(&failure(code)), Fault::Damage, "{code}");
        }
        let obstacles = [ffi::SQLITE_READONLY, ffi::SQLITE_CANTOPEN, ffi::SQLITE_BUSY, ffi::SQLITE_IOERR_FSYNC];
        for code in obstacles {
            assert_eq!(judge(&failure(code)), Fault::Obstacle, "{code}");
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE] {
            assert_eq!(judge(&failure(code)), Fault::Full, "{code}");
        }
        assert_eq!(judge(&failure(ffi::SQLITE_TOOBIG)), Fault::Record);
    }

    #[test]
    fn a_lost_table_is_damage() {
        let connection = Connection::open_in_memory().expect("memory");
        let error = connection.execute("INSERT INTO events VALUES (1)", []).expect_err("no table");
        assert_eq!(judge(&error), Fault::Damage);
        let error = connection.execute("SELEKT", []).expect_err("no SQL");
        assert_eq!(judge(&error), Fault::Obstacle);
    }
}

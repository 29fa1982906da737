//! Brings a database to the current version, all in one transaction.

use rusqlite::{Connection, TransactionBehavior};

use super::schema::{APPLICATION, CURRENT, VERSIONS};

/// Whose database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Nothing is in it yet.
    Fresh,
    /// Greenroom's, of a version that this program knows.
    Ours {
        /// From 1 to [`CURRENT`].
        version: usize,
    },
    /// Greenroom's, of a later version.
    Newer {
        /// That version.
        version: i64,
    },
    /// Another program's.
    Foreign,
}

/// Looks at a database without changing it.
///
/// # Errors
/// What SQLite says, also when the file is no database.
pub fn identify(connection: &Connection) -> rusqlite::Result<Identity> {
    // One look: its writer may be making the tables at this moment.
    let look = connection.unchecked_transaction()?;
    let number = |pragma| look.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = look.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    Ok(match (application == i64::from(APPLICATION), usize::try_from(version)) {
        (false, Ok(0)) if application == 0 && tables == 0 => Identity::Fresh,
        (false, _) => Identity::Foreign,
        (true, Ok(version)) if (1..=CURRENT).contains(&version) => Identity::Ours { version },
        (true, _) => Identity::Newer { version },
    })
}

/// Takes a database from `from` (0 for a fresh one) to the current version. All of it happens, or nothing.
///
/// # Errors
/// What SQLite says; the database is as it was.
pub fn migrate(connection: &mut Connection, from: usize) -> rusqlite::Result<()> {
    migrate_to(connection, from, CURRENT)
}

fn migrate_to(connection: &mut Connection, from: usize, to: usize) -> rusqlite::Result<()> {
    if from >= to {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for version in &VERSIONS[from..to] {
        transaction.execute_batch(version)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", i64::try_from(to).unwrap_or(i64::MAX))?;
    transaction.commit()
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use super::*;
    use crate::os::clock;

    /// The version of a database that this program has written.
    pub const NEWEST: usize = CURRENT;

    /// A database as version 1 left it.
    pub fn version_1(connection: &mut Connection) {
        migrate_to(connection, 0, 1).expect("version 1");
    }

    /// A database as version 2 left it.
    pub fn version_2(connection: &mut Connection) {
        migrate_to(connection, 0, 2).expect("version 2");
    }

    fn memory() -> Connection {
        Connection::open_in_memory().expect("memory")
    }

    #[test]
    fn a_fresh_database_comes_to_the_current_version_and_stays_there() {
        let mut connection = memory();
        assert_eq!(identify(&connection).ok(), Some(Identity::Fresh));
        migrate(&mut connection, 0).expect("migrated");
        assert_eq!(identify(&connection).ok(), Some(Identity::Ours { version: CURRENT }));
        migrate(&mut connection, CURRENT).expect("nothing to do");
    }

    #[test]
    fn version_1_keeps_its_rows_and_gets_what_is_new() {
        let mut connection = memory();
        version_1(&mut connection);
        assert_eq!(identify(&connection).ok(), Some(Identity::Ours { version: 1 }));
        let row = "INSERT INTO events VALUES (1, 1, 5, 'runtime.state', NULL, '{}')";
        connection.execute(row, []).expect("a row of version 1");
        assert!(connection.prepare("SELECT * FROM shutdown_reports").is_err());
        migrate(&mut connection, 1).expect("migrated");
        let count = |table| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get::<_, i64>(0));
        assert_eq!((count("events").ok(), count("shutdown_reports").ok()), (Some(1), Some(0)));
    }

    #[test]
    fn version_2_keeps_its_rows_and_gets_what_is_new() {
        let mut connection = memory();
        version_2(&mut connection);
        connection.execute("INSERT INTO shutdown_reports VALUES (1, 5, '{}')", []).expect("a row of version 2");
        assert!(connection.prepare("SELECT * FROM peaks").is_err());
        migrate(&mut connection, 2).expect("migrated");
        let count = |table| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get::<_, i64>(0));
        assert_eq!((count("shutdown_reports").ok(), count("peaks").ok()), (Some(1), Some(0)));
    }

    #[test]
    fn version_3_keeps_its_rows_and_gets_what_is_new() {
        let mut connection = memory();
        migrate_to(&mut connection, 0, 3).expect("version 3");
        let peak = "INSERT INTO peaks VALUES ('k', 5, 'chat', '[]', NULL, NULL, NULL, 7)";
        connection.execute(peak, []).expect("a row of version 3");
        assert!(connection.prepare("SELECT * FROM requests").is_err());
        migrate(&mut connection, 3).expect("migrated");
        let count = |table| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get::<_, i64>(0));
        assert_eq!((count("peaks").ok(), count("requests").ok()), (Some(1), Some(0)));
    }

    #[test]
    fn version_4_keeps_its_rows_and_gets_what_is_new() {
        let mut connection = memory();
        migrate_to(&mut connection, 0, 4).expect("version 4");
        let peak = "INSERT INTO peaks VALUES ('k', 5, 'chat', '[]', NULL, NULL, NULL, 7)";
        connection.execute(peak, []).expect("a row of version 4");
        assert!(connection.prepare("SELECT * FROM jobs").is_err());
        migrate(&mut connection, 4).expect("migrated");
        let count = |table| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get::<_, i64>(0));
        assert_eq!((count("peaks").ok(), count("jobs").ok()), (Some(1), Some(0)));
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing_half_done() {
        let mut connection = memory();
        version_1(&mut connection);
        connection.execute_batch("CREATE TABLE events_by_service (x)").expect("in the way of an index");
        migrate(&mut connection, 1).expect_err("the name is taken");
        assert_eq!(identify(&connection).ok(), Some(Identity::Ours { version: 1 }));
        assert!(connection.prepare("SELECT * FROM shutdown_reports").is_err());
    }

    #[test]
    fn one_that_is_made_at_this_moment_is_fresh_or_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        for n in 0..50 {
            let path = folder.path().join(format!("{n}.db"));
            let mut writer = Connection::open(&path).expect("a database");
            writer.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("a log");
            let reader = Connection::open(&path).expect("it is there");
            let looks = std::thread::spawn(move || {
                let until = clock::now() + Duration::from_secs(30);
                while clock::now() < until {
                    match identify(&reader).expect("it can be read") {
                        Identity::Fresh => {}
                        other => return other,
                    }
                }
                Identity::Fresh
            });
            migrate(&mut writer, 0).expect("migrated");
            assert_eq!(looks.join().expect("no panic"), Identity::Ours { version: CURRENT });
        }
    }

    #[test]
    fn what_is_not_ours_or_newer_is_recognised() {
        let connection = memory();
        connection.execute_batch("CREATE TABLE t (x)").expect("a table");
        assert_eq!(identify(&connection).ok(), Some(Identity::Foreign));
        let connection = memory();
        connection.pragma_update(None, "application_id", 77).expect("set");
        assert_eq!(identify(&connection).ok(), Some(Identity::Foreign));
        connection.pragma_update(None, "application_id", APPLICATION).expect("set");
        connection.pragma_update(None, "user_version", 99).expect("set");
        assert_eq!(identify(&connection).ok(), Some(Identity::Newer { version: 99 }));
    }
}

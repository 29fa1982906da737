//! The shape of the database, version by version. A version that was released is never edited: a change is a new one.

/// Marks the file as Greenroom's (`PRAGMA application_id`): "GRNR".
pub const APPLICATION: i32 = 0x4752_4E52;

/// Version by version; the place in the list plus one is `PRAGMA user_version`.
pub const VERSIONS: [&str; 5] = [V1, V2, V3, V4, V5];

/// The version that this program writes.
pub const CURRENT: usize = VERSIONS.len();

/// Times are microseconds since 1970. `command`, `exit` and `event` are JSON, as in the API.
const V1: &str = "
CREATE TABLE runs (
    run_id  TEXT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    pid     INTEGER NOT NULL,
    command TEXT NOT NULL,
    started INTEGER NOT NULL,
    ready   INTEGER,
    ended   INTEGER,
    exit    TEXT,
    wanted  INTEGER
) WITHOUT ROWID;
CREATE TABLE events (
    epoch    INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    service  TEXT,
    event    TEXT NOT NULL,
    PRIMARY KEY (epoch, sequence)
) WITHOUT ROWID;
";

/// The reports of ordered stops, and indexes for the questions that people ask and for retention.
const V2: &str = "
CREATE TABLE shutdown_reports (
    epoch  INTEGER NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX runs_by_time ON runs (started);
CREATE INDEX runs_by_service ON runs (service, started);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_service ON events (service, at) WHERE service IS NOT NULL;
";

/// What runs were measured to hold at most, so that the next one of the same command and file gets as much. `key` stands
/// for command and file; `command` is JSON.
const V3: &str = "
CREATE TABLE peaks (
    key     TEXT NOT NULL,
    at      INTEGER NOT NULL,
    service TEXT NOT NULL,
    command TEXT NOT NULL,
    file    TEXT,
    layers  INTEGER,
    vram    INTEGER,
    ram     INTEGER NOT NULL,
    PRIMARY KEY (key, at)
) WITHOUT ROWID;
CREATE INDEX peaks_by_time ON peaks (at);
";

/// Requests for models. `waited` and `took` are microseconds; `code` is the HTTP status.
const V4: &str = "
CREATE TABLE requests (
    epoch   INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    model   TEXT,
    service TEXT,
    code    INTEGER NOT NULL,
    error   TEXT,
    waited  INTEGER NOT NULL,
    took    INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    whole   INTEGER NOT NULL,
    PRIMARY KEY (epoch, number)
) WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (at);
CREATE INDEX requests_by_service ON requests (service, at) WHERE service IS NOT NULL;
";

/// Jobs, also those that are still to be done. `view` is JSON, as in the API; the columns before it are what is asked for.
/// `finished` is null while a job is open.
const V5: &str = "
CREATE TABLE jobs (
    id        TEXT NOT NULL PRIMARY KEY,
    job       TEXT NOT NULL,
    state     TEXT NOT NULL,
    submitted INTEGER NOT NULL,
    finished  INTEGER,
    view      TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_by_time ON jobs (submitted);
CREATE INDEX jobs_by_kind ON jobs (job, submitted);
CREATE INDEX jobs_open ON jobs (id) WHERE state NOT IN ('succeeded', 'failed', 'cancelled');
";

//! State documents in a SQLite database: one file, which several processes may share.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use super::grouped::Grouped;
use crate::adapters::due::{due_from, due_until};
use crate::domain::rate_limit::{Bucket, Take, TokenRequest, utc_day};
use crate::ingest::ReplayedDocument;
use crate::ingest::ports::{Commit, RateLimiter, StateDocument, StateStore, UnavailableError, may_expire};

/// The version of the schema below, kept as the database's `user_version`.
const SCHEMA_VERSION: i64 = 3;
/// `due` is in Unix milliseconds. The index holds only the documents about which something is due, and their keys too, so
/// that the sweep reads nothing else. `expires` is in days of Unix time, so that its index changes once a day. `rate_limits` has
/// a row a channel, `sms` the count of the last day.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS documents
        (key TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL, due INTEGER, expires INTEGER) STRICT;
    CREATE INDEX IF NOT EXISTS documents_due ON documents (due, key) WHERE due IS NOT NULL;
    CREATE INDEX IF NOT EXISTS documents_expires ON documents (expires) WHERE due IS NULL;
    CREATE TABLE IF NOT EXISTS rate_limits (channel TEXT PRIMARY KEY, tat INTEGER, waiting INTEGER) STRICT;
    CREATE TABLE IF NOT EXISTS sms (day TEXT PRIMARY KEY, sent INTEGER NOT NULL) STRICT;
";

/// What documents of an older schema lack.
const ADD_EXPIRES: &str = "ALTER TABLE documents ADD COLUMN expires INTEGER";

const LOAD: &str = "SELECT version, body FROM documents WHERE key = ?1";
const ALL: &str = "SELECT key, body, due FROM documents ORDER BY key";
// One statement each, which SQLite runs while nobody else can write: of two who have read the same version, one finds it
// gone.
const INSERT: &str = "INSERT INTO documents (key, version, body, due, expires) VALUES (?1, 1, ?2, ?3, ?4) \
                      ON CONFLICT (key) DO NOTHING";
const UPDATE: &str =
    "UPDATE documents SET version = version + 1, body = ?2, due = ?3, expires = ?4 WHERE key = ?1 AND version = ?5";
/// A few at a time: a push waits for it.
const EXPIRE: &str = "DELETE FROM documents WHERE rowid IN \
                      (SELECT rowid FROM documents WHERE due IS NULL AND expires < ?1 LIMIT 100)";
const BUCKET: &str = "SELECT tat, waiting FROM rate_limits WHERE channel = ?1";
const SET_BUCKET: &str = "INSERT OR REPLACE INTO rate_limits (channel, tat, waiting) VALUES (?1, ?2, ?3)";
const SMS_SENT: &str = "SELECT sent FROM sms WHERE day = ?1";
const SET_SMS_SENT: &str = "INSERT OR REPLACE INTO sms (day, sent) VALUES (?1, ?2)";
const FORGET_SMS: &str = "DELETE FROM sms WHERE day < ?1";
const DUE: &str = "SELECT key FROM documents WHERE due <= ?1 ORDER BY due, key LIMIT ?2";

/// Longest wait for another process that is writing. Each write takes milliseconds, but SQLite's turns are not fair, and a
/// disk that is busy makes all of them long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Days that a document stays after it was last written, or after something about it was due if that is later: as many as in
/// DynamoDB. Nothing expires while something about it is due.
const KEPT_DAYS: i64 = 90;
const DAY_MS: i64 = 86_400_000;

/// Pause between two tries to switch to a write-ahead log.
const SWITCH_PAUSE: Duration = Duration::from_millis(5);

const NOT_READ: &str = "the state store did not give the documents";
const NOT_WRITTEN: &str = "the state store did not take the document";
const NOT_SEARCHED: &str = "the state store did not say what is due";
const NOT_LIMITED: &str = "the rate limiter did not answer";

/// Keeps state documents in a SQLite database. Clones share two connections: who reads does not wait for the disk, and who
/// writes waits for it together with all others who do.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    reading: Arc<Mutex<Connection>>,
    writing: Arc<Grouped<Write, rusqlite::Result<usize>>>,
}

/// What is to be written. Each has a number as its outcome.
#[derive(Debug)]
enum Write {
    /// A document, if it is still of this version: 1, else 0.
    Document { key: String, version: u64, body: String, due: Option<i64>, today: i64 },
    /// Tokens of a channel: how many are granted.
    Tokens { channel: String, request: TokenRequest },
    /// A count of the day's SMS: how many of these fit.
    Sms { quota: u32, wanted: usize, now: Timestamp },
}

/// Why a database was not opened. No retry can help, except after [`OpenError::Failed`] if another process has it locked.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer release has written it. It is left as it is.
    #[error(
        "it was written by a newer release (its schema is version {0}, this program knows {SCHEMA_VERSION}); nothing was \
         changed: start the newer release, or name another data folder"
    )]
    Newer(i64),
    /// It is another program's. It is left as it is.
    #[error("it is a database of another program; nothing was changed: name another data folder")]
    Foreign,
    /// The file system cannot hold it.
    #[error("its folder cannot be shared between processes (a network drive?); name a data folder on a local disk")]
    Unfit,
    /// Something in it is not as SQLite has written it. It is left as it is.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// SQLite cannot open it.
    #[error("it cannot be opened: {0}; nothing was changed: it has to be a file that this user can read and write")]
    Failed(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

impl SqliteStore {
    /// Opens the database at `path`, making it where it is not there. Its folder must be there. Blocks while the whole file is
    /// read once, to see that it is not damaged.
    ///
    /// # Errors
    /// [`OpenError`], where it cannot be opened or is not ours to write.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        examine(path)?;
        let (reading, mut writing) = (open(path)?, open(path)?);
        Ok(Self {
            reading: Arc::new(Mutex::new(reading)),
            writing: Arc::new(Grouped::by(move |writes| write_each(&mut writing, &writes))),
        })
    }

    /// Every document, in the order of the keys.
    ///
    /// # Errors
    /// [`UnavailableError`] if the database cannot be read now; a retry can help.
    pub async fn documents(&self) -> Result<Vec<ReplayedDocument>, UnavailableError> {
        let all = |connection: &mut Connection| {
            let mut select = connection.prepare_cached(ALL)?;
            let documents = select.query_map([], |row| {
                let due = row.get::<_, Option<i64>>(2)?.and_then(|due| Timestamp::from_millisecond(due).ok());
                Ok(ReplayedDocument { key: row.get(0)?, body: row.get(1)?, due })
            });
            documents?.collect()
        };
        self.read(NOT_READ, all).await
    }

    /// Writes together with others that are written at this time.
    async fn write(&self, what: &'static str, write: Write) -> Result<usize, UnavailableError> {
        let outcome = self.writing.work(write).await.map_err(|ended| UnavailableError::new(what, ended))?;
        outcome.map_err(|fault| UnavailableError::new(what, fault))
    }

    /// Reads where that may block.
    async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, UnavailableError> {
        let connection = Arc::clone(&self.reading);
        let blocking = move || {
            // Who panicked while holding it has left no transaction open: each ends when it is dropped.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        };
        match tokio::task::spawn_blocking(blocking).await {
            Ok(outcome) => outcome.map_err(|fault| UnavailableError::new(what, fault)),
            Err(panicked) => Err(UnavailableError::new(what, panicked)),
        }
    }
}

#[async_trait]
impl RateLimiter for SqliteStore {
    async fn take_tokens(&self, channel: &str, request: TokenRequest) -> Result<usize, UnavailableError> {
        let write = Write::Tokens { channel: channel.to_owned(), request };
        self.write(NOT_LIMITED, write).await
    }

    async fn take_sms(&self, quota: u32, wanted: usize, now: Timestamp) -> Result<usize, UnavailableError> {
        self.write(NOT_LIMITED, Write::Sms { quota, wanted, now }).await
    }
}

#[async_trait]
impl StateStore for SqliteStore {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        let keys = keys.to_vec();
        let load = move |connection: &mut Connection| {
            // One transaction, so that the file is locked once and not for each key.
            let transaction = connection.transaction()?;
            let mut select = transaction.prepare_cached(LOAD)?;
            let documents = keys.iter().map(|key| {
                let found =
                    select.query_one([key], |row| Ok(StateDocument { version: row.get(0)?, body: row.get(1)? }));
                found.optional().map(Option::unwrap_or_default)
            });
            documents.collect()
        };
        self.read(NOT_READ, load).await
    }

    async fn commit(
        &self,
        key: &str,
        version: u64,
        body: &str,
        due: Option<Timestamp>,
    ) -> Result<Commit, UnavailableError> {
        let today = day(Timestamp::now());
        let write =
            Write::Document { key: key.to_owned(), version, body: body.to_owned(), due: due.map(due_from), today };
        let written = self.write(NOT_WRITTEN, write).await?;
        Ok(if written == 0 { Commit::Lost } else { Commit::Done })
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let due = move |connection: &mut Connection| {
            let mut select = connection.prepare_cached(DUE)?;
            let keys = select.query_map(params![due_until(now), most], |row| row.get(0))?;
            keys.collect()
        };
        self.read(NOT_SEARCHED, due).await
    }
}

/// Writes all of them by one transaction, and where that fails each by one of its own, so that none fails for another.
fn write_each(connection: &mut Connection, writes: &[Write]) -> Vec<rusqlite::Result<usize>> {
    match write_all(connection, writes) {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(fault) if writes.len() <= 1 => vec![Err(fault)],
        Err(_) => writes.chunks(1).flat_map(|write| write_each(connection, write)).collect(),
    }
}

fn write_all(connection: &mut Connection, writes: &[Write]) -> rusqlite::Result<Vec<usize>> {
    // Immediate, because what is begun as reading may not become writing once another process has written.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = writes.iter().map(|write| write_one(&transaction, write)).collect::<rusqlite::Result<_>>()?;
    transaction.commit()?;
    Ok(outcomes)
}

/// Writes within a transaction, during which nobody else can write.
fn write_one(transaction: &Transaction<'_>, write: &Write) -> rusqlite::Result<usize> {
    match write {
        Write::Document { key, version, body, due, today } => {
            transaction.prepare_cached(EXPIRE)?.execute([today])?;
            let expires = may_expire(key).then(|| due.map_or(*today, |due| (due / DAY_MS).max(*today)) + KEPT_DAYS);
            match version {
                0 => transaction.prepare_cached(INSERT)?.execute(params![key, body, due, expires]),
                _ => transaction.prepare_cached(UPDATE)?.execute(params![key, body, due, expires, version]),
            }
        }
        Write::Tokens { channel, request } => {
            let bucket = |row: &Row<'_>| Ok(Bucket { tat: row.get(0)?, waiting: row.get(1)? });
            let before =
                transaction.prepare_cached(BUCKET)?.query_one([channel], bucket).optional()?.unwrap_or_default();
            let Take { granted, bucket, .. } = request.take(before);
            if bucket != before {
                transaction.prepare_cached(SET_BUCKET)?.execute(params![channel, bucket.tat, bucket.waiting])?;
            }
            Ok(granted)
        }
        Write::Sms { quota, wanted, now } => {
            let day = utc_day(*now).to_string();
            let sent: Option<u32> =
                transaction.prepare_cached(SMS_SENT)?.query_one([&day], |row| row.get(0)).optional()?;
            let sent = sent.unwrap_or_default() as usize;
            let granted = (*wanted).min((*quota as usize).saturating_sub(sent));
            transaction.prepare_cached(FORGET_SMS)?.execute([&day])?;
            transaction.prepare_cached(SET_SMS_SENT)?.execute(params![day, sent + granted])?;
            Ok(granted)
        }
    }
}

/// The day of a moment, of Unix time.
fn day(moment: Timestamp) -> i64 {
    moment.as_millisecond().div_euclid(DAY_MS)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Looks at a database before anything is written to it.
fn examine(path: &Path) -> Result<(), OpenError> {
    let mut connection = connect(path)?;
    // Closing does not write what others have left in the log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let transaction = connection.transaction()?;
    check(&transaction)?;
    let found: String = transaction.query_one("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Damaged(found)) }
}

fn open(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = connect(path)?;
    // Readers do not wait for a writer, and a commit is one sequential write.
    if switch_to_wal(&connection)? != "wal" {
        return Err(OpenError::Unfit);
    }
    // Each commit reaches the disk before it is answered. With NORMAL, which many use with WAL, a power cut takes the last
    // commits back, while the push was answered and its batch noted as evaluated: its alerts would be lost.
    connection.pragma_update(None, "synchronous", "full")?;
    // macOS: otherwise the disk itself may still hold it back.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    create(&mut connection)?;
    Ok(connection)
}

/// Switches to a write-ahead log. The mode that the database is in afterwards.
///
/// Two processes that switch a new database at the same time each hold a lock that the other one needs. SQLite then answers
/// one of them at once that the database is busy, without the timeout. That one has no lock any more, so it tries again.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<String> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            Err(fault) if is_busy(&fault) && begun.elapsed() < BUSY_TIMEOUT => std::thread::sleep(SWITCH_PAUSE),
            outcome => return outcome,
        }
    }
}

fn is_busy(fault: &rusqlite::Error) -> bool {
    fault.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// The version of the schema that is there; 0 where there is none.
fn check(connection: &Connection) -> Result<i64, OpenError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_one("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (version, tables) {
        (0, 0) => Ok(version),
        (..=0, _) => Err(OpenError::Foreign),
        (newer, _) if newer > SCHEMA_VERSION => Err(OpenError::Newer(newer)),
        (known, _) => Ok(known),
    }
}

/// Creates the schema, or what an older release has not created of it.
fn create(connection: &mut Connection) -> Result<(), OpenError> {
    // Immediate, because another process may be about to do the same: the second one waits, and then finds it done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = check(&transaction)?;
    if version < SCHEMA_VERSION {
        if version > 0 {
            transaction.execute_batch(ADD_EXPIRES)?;
        }
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A database that `sql` made.
    fn database(folder: &Path, sql: &str) -> PathBuf {
        let path = folder.join("state.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    }

    #[test]
    fn database_of_a_newer_release_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for journal in ["delete", "wal"] {
            let sql =
                format!("PRAGMA journal_mode = {journal}; CREATE TABLE IF NOT EXISTS t (a); PRAGMA user_version = 4");
            let path = database(folder.path(), &sql);
            let before = fs::read(&path).unwrap();
            let refused = SqliteStore::open(&path).unwrap_err();
            assert!(matches!(refused, OpenError::Newer(4)), "{refused:?}");
            assert!(refused.to_string().contains("newer release"), "{refused}");
            assert_eq!(fs::read(&path).unwrap(), before, "{journal}");
        }
    }

    #[test]
    fn newer_schema_that_is_still_in_the_log_is_seen_there_and_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path(), "PRAGMA journal_mode = wal; CREATE TABLE t (a)");
        let writer = Connection::open(&path).unwrap();
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        writer.execute_batch("PRAGMA user_version = 4").unwrap();
        drop(writer);
        let log = folder.path().join("state.db-wal");
        let before = (fs::read(&path).unwrap(), fs::read(&log).unwrap());
        assert!(!before.1.is_empty());
        assert!(matches!(SqliteStore::open(&path), Err(OpenError::Newer(4))));
        assert_eq!((fs::read(&path).unwrap(), fs::read(&log).unwrap()), before);
    }

    #[test]
    fn database_of_another_program_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path(), "CREATE TABLE theirs (a)");
        let before = fs::read(&path).unwrap();
        assert!(matches!(SqliteStore::open(&path), Err(OpenError::Foreign)));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_damaged_database_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO documents \
                    SELECT 'zone ' || i, 1, hex(randomblob(200)), i, 0 FROM n";
        SqliteStore::open(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch(rows).unwrap();
        assert!(SqliteStore::open(&path).is_ok());
        let whole = fs::read(&path).unwrap();
        assert!(whole.len() > 100_000);
        let mut spoilt = whole.clone();
        spoilt[40_000..60_000].fill(0x5a);
        let cases: [&[u8]; 6] = [
            b"no database, and long enough to be one",
            &[0xa5; 8_192],
            &whole[..1_000],
            &whole[..whole.len() / 2],
            &whole[..whole.len() - 4_096],
            &spoilt,
        ];
        for damaged in cases {
            fs::write(&path, damaged).unwrap();
            let refused = SqliteStore::open(&path).unwrap_err();
            assert!(matches!(refused, OpenError::Damaged(_)), "{} bytes: {refused:?}", damaged.len());
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn what_is_no_file_or_cannot_be_written_is_not_called_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let refused = SqliteStore::open(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("has to be a file that this user can read and write"), "{refused}");
        let read_only = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        let refused = OpenError::from(rusqlite::Error::SqliteFailure(read_only, None));
        assert!(matches!(refused, OpenError::Failed(_)), "{refused:?}");
    }

    #[tokio::test]
    async fn an_idle_document_expires_after_a_season_and_one_with_something_due_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let (now, hour) = (Timestamp::now(), jiff::SignedDuration::from_hours(1));
        let write = async |key: &str, due: Option<Timestamp>| store.commit(key, 0, "{}", due).await.unwrap();
        for key in ["idle", "used", "projects-of/zone"] {
            write(key, None).await;
        }
        write("suppressed", Some(now + hour)).await;
        write("overdue", Some(now - hour * 24 * 400)).await;
        write("later", Some(now + hour * 24 * 30)).await;
        let connection = Connection::open(folder.path().join("state.db")).unwrap();
        let expires = |key: &str| -> Option<i64> {
            connection.query_one("SELECT expires FROM documents WHERE key = ?1", [key], |row| row.get(0)).unwrap()
        };
        let kept_from_now = ["idle", "suppressed", "overdue", "later"].map(|key| expires(key).unwrap() - day(now));
        assert_eq!(expires("projects-of/zone"), None);
        assert!((90..=91).contains(&kept_from_now[0]) && kept_from_now[2] == kept_from_now[0], "{kept_from_now:?}");
        assert!((119..=121).contains(&kept_from_now[3]), "{kept_from_now:?}");
        // As if all were written 91 days ago, and 90.
        connection.execute("UPDATE documents SET expires = ?1 WHERE expires > 0", [day(now) - 1]).unwrap();
        connection.execute("UPDATE documents SET expires = ?1 WHERE key = 'used'", [day(now)]).unwrap();
        write("new", None).await;
        let mut select = connection.prepare("SELECT key FROM documents ORDER BY key").unwrap();
        let keys: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(keys, ["later", "new", "overdue", "projects-of/zone", "suppressed", "used"]);
    }

    #[test]
    fn own_database_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        for _ in 0..2 {
            SqliteStore::open(&path).unwrap();
        }
    }

    #[test]
    fn new_database_is_opened_by_all_who_open_it_at_the_same_time() {
        const OPENERS: usize = 4;
        for _ in 0..100 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.db");
            let begin = std::sync::Barrier::new(OPENERS);
            std::thread::scope(|scope| {
                let openers: [_; OPENERS] = std::array::from_fn(|_| {
                    scope.spawn(|| {
                        begin.wait();
                        SqliteStore::open(&path).map(drop)
                    })
                });
                for opener in openers {
                    opener.join().unwrap().unwrap();
                }
            });
        }
    }

    #[test]
    fn database_of_the_first_schema_gets_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let first = "CREATE TABLE documents (key TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL, \
                     due INTEGER) STRICT; INSERT INTO documents VALUES ('a', 1, '{}', NULL); PRAGMA user_version = 1";
        let store = SqliteStore::open(&database(folder.path(), first)).unwrap();
        let connection = store.reading.lock().unwrap();
        let count = |table: &str| {
            connection.query_one(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!([count("documents"), count("rate_limits"), count("sms")], [1, 0, 0]);
        assert_eq!(count("documents WHERE expires IS NULL"), 1);
    }

    #[test]
    fn commits_reach_the_disk_before_they_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let connection = store.reading.lock().unwrap();
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        // 2 is FULL.
        assert_eq!((pragma("synchronous"), pragma("fullfsync"), pragma("checkpoint_fullfsync")), (2, 1, 1));
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn of_documents_written_together_each_has_its_own_outcome() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open(&folder.path().join("state.db")).map_err(|_| "refused").unwrap();
        let write =
            |key: &str, version| Write::Document { key: key.into(), version, body: "{}".into(), due: None, today: 0 };
        let outcomes = |connection: &mut Connection, writes: &[Write]| -> Vec<bool> {
            write_each(connection, writes).into_iter().map(|outcome| outcome.unwrap() == 1).collect()
        };
        assert_eq!(
            outcomes(&mut connection, &[write("a", 0), write("a", 0), write("b", 0), write("b", 1)]),
            [true, false, true, true]
        );
        assert_eq!(outcomes(&mut connection, &[write("a", 1), write("a", 1), write("b", 1)]), [true, false, false]);
    }

    #[test]
    fn of_documents_written_together_none_fails_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open(&folder.path().join("state.db")).map_err(|_| "refused").unwrap();
        let trigger =
            "CREATE TRIGGER t BEFORE INSERT ON documents WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END";
        connection.execute_batch(trigger).unwrap();
        let writes = ["a", "bad", "b"].map(|key| Write::Document {
            key: key.into(),
            version: 0,
            body: "{}".into(),
            due: None,
            today: 0,
        });
        let outcomes = write_each(&mut connection, &writes);
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn what_expires_is_found_in_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let connection = store.reading.lock().unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {EXPIRE}")).unwrap();
        let plan: Vec<String> =
            explain.query_map([0], |row| row.get("detail")).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(plan.contains(&"SEARCH documents USING INDEX documents_expires (expires<?)".to_owned()), "{plan:?}");
    }

    #[test]
    fn what_is_due_is_found_in_the_index_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let connection = store.reading.lock().unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {DUE}")).unwrap();
        let plan: Vec<String> =
            explain.query_map([0, 1], |row| row.get("detail")).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(plan, ["SEARCH documents USING COVERING INDEX documents_due (due<?)"]);
    }
}

//! State documents in a SQLite database: one file, which several processes may share.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::group_commit::GroupCommit;
use crate::adapters::due_millis::{due_millis, now_millis};
use crate::ingest::ReplayedDocument;
use crate::ingest::ports::{
    AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError, retention_days,
};

/// The version of the schema below and of the documents in it, stored as the database's `user_version`. It also goes up with the
/// version of state documents, so that `serve` refuses an older database at its start.
const SCHEMA_VERSION: i64 = 7;
/// `due` is in Unix milliseconds. Its index holds only documents with a due time, with their keys, so that the sweep reads
/// nothing else. That of `attention`, a sort key, holds only zones that need attention. `expires` is in days of Unix time, so
/// that its index changes once a day.
const SCHEMA: &str = "
    CREATE TABLE documents
        (key TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL, due INTEGER, expires INTEGER,
         attention TEXT, summary TEXT) STRICT;
    CREATE INDEX documents_due ON documents (due, key) WHERE due IS NOT NULL;
    CREATE INDEX documents_attention ON documents (attention) WHERE attention IS NOT NULL;
    CREATE INDEX documents_expires ON documents (expires) WHERE due IS NULL;
";

const LOAD: &str = "SELECT version, body FROM documents WHERE key = ?1";
const ALL: &str = "SELECT key, body, due FROM documents ORDER BY key";
// Compare-and-swap in one statement each: SQLite has one writer at a time, so of two that read the same version, one updates no
// row.
const INSERT: &str = "INSERT INTO documents (key, version, body, due, expires, attention, summary) \
                      VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6) \
                      ON CONFLICT (key) DO NOTHING";
const UPDATE: &str = "UPDATE documents SET version = version + 1, body = ?2, due = ?3, expires = ?4, attention = ?5, summary = ?6 \
     WHERE key = ?1 AND version = ?7";
/// Limited, because a push waits for it. Unlike DynamoDB, it keeps a document with a due time.
const EXPIRE: &str = "DELETE FROM documents WHERE rowid IN \
                      (SELECT rowid FROM documents WHERE due IS NULL AND expires < ?1 LIMIT 100)";
const DUE: &str = "SELECT key FROM documents WHERE due <= ?1 ORDER BY due, key LIMIT ?2";
const ATTENTION: &str =
    "SELECT attention, summary FROM documents WHERE attention IS NOT NULL ORDER BY attention, key LIMIT ?1";

/// Longest wait for another process that writes. A write takes milliseconds, but SQLite's locks are not fair, and a busy disk makes
/// all writes slow.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

const DAY_MS: i64 = 86_400_000;

/// Pause between two attempts to switch to the write-ahead log.
const WAL_RETRY_PAUSE: Duration = Duration::from_millis(5);

const NOT_READ: &str = "the state store did not return the documents";
const NOT_WRITTEN: &str = "the state store did not take the document";
const NOT_SEARCHED: &str = "the state store did not return the due documents";

/// Stores state documents in a SQLite database. Clones share two connections: readers do not wait for the disk, and concurrent
/// writers wait for it together.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    reading: Arc<Mutex<Connection>>,
    writing: Arc<GroupCommit<StateWrite, rusqlite::Result<usize>>>,
}

/// A write of a document if it still has this version.
#[derive(Debug)]
struct StateWrite {
    key: String,
    version: u64,
    body: String,
    due: Option<i64>,
    attention: Option<AttentionEntry>,
    today: i64,
}

/// Why a database was not opened. A retry cannot help, except after [`SqliteOpenError::Failed`] if another process has locked it.
#[derive(Debug, thiserror::Error)]
pub enum SqliteOpenError {
    /// Another release has written it. It is left unchanged.
    #[error(
        "another release has written it (its schema has version {0}, this release reads version {SCHEMA_VERSION}); nothing was \
         changed. Start that release, or choose another data folder"
    )]
    OtherRelease(i64),
    /// It belongs to another program. It is left unchanged.
    #[error("it is a database of another program; nothing was changed. Choose another data folder")]
    Foreign,
    /// The file system does not support the write-ahead log.
    #[error("its folder cannot be shared between processes (a network drive?). Choose a data folder on a local disk")]
    NoWriteAheadLog,
    /// Its content is not as SQLite has written it. It is left unchanged.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// SQLite cannot open it.
    #[error("it cannot be opened: {0}; nothing was changed. It has to be a file that this user can read and write")]
    Failed(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for SqliteOpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

impl SqliteStore {
    /// Opens the database at `path`, and creates it if there is none in the existing folder. Blocks while the whole file is
    /// read, to check that it is not damaged.
    ///
    /// # Errors
    /// [`SqliteOpenError`] if it cannot be opened, is damaged, or belongs to another program or release.
    pub fn open(path: &Path) -> Result<Self, SqliteOpenError> {
        check_integrity(path)?;
        let (reading, mut writing) = (open(path)?, open(path)?);
        Ok(Self {
            reading: Arc::new(Mutex::new(reading)),
            writing: Arc::new(GroupCommit::new(move |writes| write_each(&mut writing, &writes))),
        })
    }

    /// All documents, sorted by key.
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

    /// Reads on a thread where it may block. `message` is for its error.
    async fn read<T: Send + 'static>(
        &self,
        message: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, UnavailableError> {
        let connection = Arc::clone(&self.reading);
        let blocking = move || {
            // A panic leaves no transaction open: each ends when it is dropped.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        };
        let read =
            tokio::task::spawn_blocking(blocking).await.map_err(|error| UnavailableError::new(message, error))?;
        read.map_err(|error| UnavailableError::new(message, error))
    }
}

#[async_trait]
impl StateStore for SqliteStore {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        let keys = keys.to_vec();
        let load = move |connection: &mut Connection| {
            // One transaction, so that the file is locked once and not per key.
            let transaction = connection.transaction()?;
            let mut select = transaction.prepare_cached(LOAD)?;
            let documents = keys.iter().map(|key| {
                let document =
                    select.query_one([key], |row| Ok(StateDocument { version: row.get(0)?, body: row.get(1)? }));
                document.optional().map(Option::unwrap_or_default)
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
        IndexEntry { due, attention }: IndexEntry,
    ) -> Result<Commit, UnavailableError> {
        let (key, body, today) = (key.to_owned(), body.to_owned(), day(Timestamp::now()));
        let write = StateWrite { key, version, body, due: due.map(due_millis), attention, today };
        // In one transaction with concurrent writes.
        let written = self.writing.run(write).await.map_err(|error| UnavailableError::new(NOT_WRITTEN, error))?;
        let written = written.map_err(|error| UnavailableError::new(NOT_WRITTEN, error))?;
        Ok(if written == 0 { Commit::Lost } else { Commit::Done })
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let due = move |connection: &mut Connection| {
            let mut select = connection.prepare_cached(DUE)?;
            let keys = select.query_map(params![now_millis(now), most], |row| row.get(0))?;
            keys.collect()
        };
        self.read(NOT_SEARCHED, due).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let attention = move |connection: &mut Connection| {
            let mut select = connection.prepare_cached(ATTENTION)?;
            let entries =
                select.query_map([most], |row| Ok(AttentionEntry { sort_key: row.get(0)?, summary: row.get(1)? }))?;
            entries.collect()
        };
        self.read(NOT_SEARCHED, attention).await
    }
}

/// Writes all in one transaction. If that fails, each in its own, so that no write fails because of another one.
fn write_each(connection: &mut Connection, writes: &[StateWrite]) -> Vec<rusqlite::Result<usize>> {
    match write_all(connection, writes) {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(error) if writes.len() <= 1 => vec![Err(error)],
        Err(_) => writes.chunks(1).flat_map(|write| write_each(connection, write)).collect(),
    }
}

fn write_all(connection: &mut Connection, writes: &[StateWrite]) -> rusqlite::Result<Vec<usize>> {
    // Immediate, because a transaction that begins with a read cannot write if another process has written since.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = writes.iter().map(|write| write_one(&transaction, write)).collect::<rusqlite::Result<_>>()?;
    transaction.commit()?;
    Ok(outcomes)
}

/// Writes within a transaction, which excludes all other writers. Returns the number of documents written: 0 if the version is
/// another.
fn write_one(
    transaction: &Transaction<'_>,
    StateWrite { key, version, body, due, attention, today }: &StateWrite,
) -> rusqlite::Result<usize> {
    transaction.prepare_cached(EXPIRE)?.execute([today])?;
    let expires = retention_days(key).map(|days| due.map_or(*today, |due| (due / DAY_MS).max(*today)) + days);
    let (attention, summary) = attention.as_ref().map(|entry| (&entry.sort_key, &entry.summary)).unzip();
    match version {
        0 => transaction.prepare_cached(INSERT)?.execute(params![key, body, due, expires, attention, summary]),
        _ => transaction.prepare_cached(UPDATE)?.execute(params![key, body, due, expires, attention, summary, version]),
    }
}

/// The day of Unix time.
fn day(time: Timestamp) -> i64 {
    time.as_millisecond().div_euclid(DAY_MS)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Checks a database before anything is written to it.
fn check_integrity(path: &Path) -> Result<(), SqliteOpenError> {
    let mut connection = connect(path)?;
    // Closing must not write to the database what other processes have left in its log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let transaction = connection.transaction()?;
    has_schema(&transaction)?;
    let result: String = transaction.query_one("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if result == "ok" { Ok(()) } else { Err(SqliteOpenError::Damaged(result)) }
}

fn open(path: &Path) -> Result<Connection, SqliteOpenError> {
    let mut connection = connect(path)?;
    // With a write-ahead log, readers do not wait for a writer, and a commit is one sequential write.
    if switch_to_wal(&connection)? != "wal" {
        return Err(SqliteOpenError::NoWriteAheadLog);
    }
    // A commit returns once it is on the disk. With NORMAL, which is common with WAL, a power failure undoes the last commits:
    // alerts of pushes that were acknowledged and marked as evaluated would be lost.
    connection.pragma_update(None, "synchronous", "full")?;
    // On macOS, data may otherwise stay in the cache of the disk itself.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    create_schema(&mut connection)?;
    Ok(connection)
}

/// Switches to the write-ahead log and returns the resulting mode.
///
/// Two processes that switch a new database at the same time each have a lock that the other one needs. SQLite then reports to one
/// of them at once that the database is busy, without the timeout. That one no longer has a lock, and retries.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<String> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            Err(error) if is_busy(&error) && begun.elapsed() < BUSY_TIMEOUT => std::thread::sleep(WAL_RETRY_PAUSE),
            outcome => return outcome,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Whether the database has the schema; false if it is empty.
fn has_schema(connection: &Connection) -> Result<bool, SqliteOpenError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables = "SELECT count(*), count(*) FILTER (WHERE name = 'documents') FROM sqlite_schema";
    let (tables, ours): (i64, i64) = connection.query_one(tables, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match (version, tables, ours) {
        (0, 0, _) => Ok(false),
        (SCHEMA_VERSION, _, 1) => Ok(true),
        (..=0, ..) | (_, _, 0) => Err(SqliteOpenError::Foreign),
        (other, ..) => Err(SqliteOpenError::OtherRelease(other)),
    }
}

fn create_schema(connection: &mut Connection) -> Result<(), SqliteOpenError> {
    // Immediate, because another process may be creating it: this one waits, and then finds it.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if !has_schema(&transaction)? {
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

    /// Creates a database with `sql`.
    fn database(folder: &Path, sql: &str) -> PathBuf {
        let path = folder.join("state.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    }

    #[test]
    fn a_database_of_another_release_is_refused_and_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        for (journal, version) in
            [("delete", SCHEMA_VERSION + 1), ("wal", SCHEMA_VERSION + 1), ("wal", SCHEMA_VERSION - 1)]
        {
            let sql = format!(
                "PRAGMA journal_mode = {journal}; CREATE TABLE IF NOT EXISTS documents (a); PRAGMA user_version = {version}"
            );
            let path = database(folder.path(), &sql);
            let before = fs::read(&path).unwrap();
            let refused = SqliteStore::open(&path).unwrap_err();
            assert!(matches!(refused, SqliteOpenError::OtherRelease(found) if found == version), "{refused:?}");
            assert!(refused.to_string().contains("another release has written it"), "{refused}");
            assert_eq!(fs::read(&path).unwrap(), before, "{journal}");
        }
    }

    #[test]
    fn a_newer_schema_in_the_write_ahead_log_is_recognized_and_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = database(folder.path(), "PRAGMA journal_mode = wal; CREATE TABLE documents (a)");
        let writer = Connection::open(&path).unwrap();
        writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        writer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        drop(writer);
        let log = folder.path().join("state.db-wal");
        let before = (fs::read(&path).unwrap(), fs::read(&log).unwrap());
        assert!(!before.1.is_empty());
        let refused = SqliteStore::open(&path);
        assert!(matches!(refused, Err(SqliteOpenError::OtherRelease(found)) if found == SCHEMA_VERSION + 1));
        assert_eq!((fs::read(&path).unwrap(), fs::read(&log).unwrap()), before);
    }

    #[test]
    fn a_database_of_another_program_is_refused_and_left_unchanged() {
        for (sql, version) in
            [("CREATE TABLE theirs (a)", 0), ("CREATE TABLE theirs (a)", SCHEMA_VERSION), ("", SCHEMA_VERSION)]
        {
            let folder = tempfile::tempdir().unwrap();
            let path = database(folder.path(), &format!("{sql}; PRAGMA user_version = {version}"));
            let before = fs::read(&path).unwrap();
            assert!(matches!(SqliteStore::open(&path), Err(SqliteOpenError::Foreign)), "{sql} {version}");
            assert_eq!(fs::read(&path).unwrap(), before);
        }
    }

    #[test]
    fn a_damaged_database_is_refused_and_left_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO documents \
                    (key, version, body, due, expires) SELECT 'zone ' || i, 1, hex(randomblob(200)), i, 0 FROM n";
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
            assert!(matches!(refused, SqliteOpenError::Damaged(_)), "{} bytes: {refused:?}", damaged.len());
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn a_folder_or_read_only_file_is_not_reported_as_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let refused = SqliteStore::open(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("has to be a file that this user can read and write"), "{refused}");
        let read_only = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        let refused = SqliteOpenError::from(rusqlite::Error::SqliteFailure(read_only, None));
        assert!(matches!(refused, SqliteOpenError::Failed(_)), "{refused:?}");
    }

    #[tokio::test]
    async fn an_idle_document_expires_after_90_days_and_one_with_a_due_time_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let (now, hour) = (Timestamp::now(), jiff::SignedDuration::from_hours(1));
        let write = async |key: &str, due: Option<Timestamp>| store.commit(key, 0, "{}", due.into()).await.unwrap();
        for key in ["idle", "used", "projects-of/zone", "link/0", "public-url"] {
            write(key, None).await;
        }
        write("suppressed", Some(now + hour)).await;
        write("overdue", Some(now - hour * 24 * 400)).await;
        write("later", Some(now + hour * 24 * 30)).await;
        let connection = Connection::open(folder.path().join("state.db")).unwrap();
        let expires = |key: &str| -> Option<i64> {
            connection.query_one("SELECT expires FROM documents WHERE key = ?1", [key], |row| row.get(0)).unwrap()
        };
        let days_from_now = ["idle", "suppressed", "overdue", "later"].map(|key| expires(key).unwrap() - day(now));
        assert_eq!((expires("projects-of/zone"), expires("public-url")), (None, None));
        assert_eq!(expires("link/0").unwrap() - expires("idle").unwrap(), 7 - 90);
        assert!((90..=91).contains(&days_from_now[0]) && days_from_now[2] == days_from_now[0], "{days_from_now:?}");
        assert!((119..=121).contains(&days_from_now[3]), "{days_from_now:?}");
        // As if all were written 91 days ago, and 90.
        connection.execute("UPDATE documents SET expires = ?1 WHERE expires > 0", [day(now) - 1]).unwrap();
        connection.execute("UPDATE documents SET expires = ?1 WHERE key = 'used'", [day(now)]).unwrap();
        write("new", None).await;
        let mut select = connection.prepare("SELECT key FROM documents ORDER BY key").unwrap();
        let keys: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(keys, ["later", "new", "overdue", "projects-of/zone", "public-url", "suppressed", "used"]);
    }

    #[test]
    fn an_existing_database_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        for _ in 0..2 {
            SqliteStore::open(&path).unwrap();
        }
    }

    #[test]
    fn a_new_database_can_be_opened_concurrently() {
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
    fn commits_return_once_they_are_on_the_disk() {
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
    fn concurrent_writes_have_their_own_results() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open(&folder.path().join("state.db")).map_err(|_| "refused").unwrap();
        let write = |key: &str, version| StateWrite {
            key: key.into(),
            version,
            body: "{}".into(),
            due: None,
            attention: None,
            today: 0,
        };
        let outcomes = |connection: &mut Connection, writes: &[StateWrite]| -> Vec<bool> {
            write_each(connection, writes).into_iter().map(|outcome| outcome.unwrap() == 1).collect()
        };
        assert_eq!(
            outcomes(&mut connection, &[write("a", 0), write("a", 0), write("b", 0), write("b", 1)]),
            [true, false, true, true]
        );
        assert_eq!(outcomes(&mut connection, &[write("a", 1), write("a", 1), write("b", 1)]), [true, false, false]);
    }

    #[test]
    fn a_failing_write_does_not_fail_concurrent_ones() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open(&folder.path().join("state.db")).map_err(|_| "refused").unwrap();
        let trigger =
            "CREATE TRIGGER t BEFORE INSERT ON documents WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'no'); END";
        connection.execute_batch(trigger).unwrap();
        let writes = ["a", "bad", "b"].map(|key| StateWrite {
            key: key.into(),
            version: 0,
            body: "{}".into(),
            due: None,
            attention: None,
            today: 0,
        });
        let outcomes = write_each(&mut connection, &writes);
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn expired_documents_are_found_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let connection = store.reading.lock().unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {EXPIRE}")).unwrap();
        let plan: Vec<String> =
            explain.query_map([0], |row| row.get("detail")).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(plan.contains(&"SEARCH documents USING INDEX documents_expires (expires<?)".to_owned()), "{plan:?}");
    }

    #[test]
    fn due_documents_are_found_by_a_covering_index() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let connection = store.reading.lock().unwrap();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {DUE}")).unwrap();
        let plan: Vec<String> =
            explain.query_map([0, 1], |row| row.get("detail")).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(plan, ["SEARCH documents USING COVERING INDEX documents_due (due<?)"]);
    }
}

//! Who works on a data folder: advisory locks, which the system releases however a process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Locked by the server of the folder. There is one.
const SERVER: &str = "serve.lock";
/// Locked together by all who write files in the folder, and alone by a server that removes unfinished files.
const WRITERS: &str = "write.lock";

/// How long a server waits for another one, which may just be ending.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// How often it looks meanwhile whether that has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The locks of one process on a data folder, held until this is dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    _server: Option<File>,
    _writers: File,
}

impl FolderLock {
    /// Locks `folder` for its only server. Calls `clean` unless another process writes files there, such as a compaction.
    ///
    /// # Errors
    /// Of kind [`io::ErrorKind::ResourceBusy`] if another server holds the lock; a retry helps once that has ended. Else
    /// if a lock file cannot be made or locked, or if `clean` fails.
    pub(super) fn of_server(folder: &Path, clean: impl FnOnce() -> io::Result<()>) -> io::Result<Self> {
        let (server, began) = (open(folder, SERVER)?, Instant::now());
        while !is_locked(&server)? {
            if began.elapsed() > ENDS_WITHIN {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another server uses it"));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let writers = open(folder, WRITERS)?;
        if is_locked(&writers)? {
            clean()?;
        }
        writers.lock_shared()?;
        Ok(Self { _server: Some(server), _writers: writers })
    }

    /// Locks `folder` for a writer beside others.
    ///
    /// # Errors
    /// If the lock file cannot be made or locked.
    pub(super) fn of_writer(folder: &Path) -> io::Result<Self> {
        let writers = open(folder, WRITERS)?;
        writers.lock_shared()?;
        Ok(Self { _server: None, _writers: writers })
    }
}

fn open(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(folder.join(name))
}

/// Whether this process now holds the lock alone; false if another process holds it.
fn is_locked(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(fault)) => Err(fault),
    }
}

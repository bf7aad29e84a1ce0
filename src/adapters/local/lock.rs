//! Advisory locks on a data folder. The operating system releases them however a process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Locked exclusively by the folder's only server.
const SERVER: &str = "serve.lock";
/// Shared by all processes that write files in the folder; exclusive while a server removes unfinished files.
const WRITERS: &str = "write.lock";

/// How long a server waits for another one, which may be ending.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two attempts during that wait.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The locks of one process on a data folder, released on drop.
#[derive(Debug)]
pub(super) struct FolderLock {
    _server: Option<File>,
    _writers: File,
}

impl FolderLock {
    /// Locks `folder` for its only server. Calls `clean` unless another process writes files there, such as a compaction.
    ///
    /// # Errors
    /// Of kind [`io::ErrorKind::ResourceBusy`] if another server has the lock; a retry helps once it has ended. Otherwise if a
    /// lock file cannot be created or locked, or if `clean` fails.
    pub(super) fn for_server(folder: &Path, clean: impl FnOnce() -> io::Result<()>) -> io::Result<Self> {
        let (server, began) = (open(folder, SERVER)?, Instant::now());
        while !try_lock(&server)? {
            if began.elapsed() > WAIT_TIMEOUT {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another server uses the folder"));
            }
            std::thread::sleep(RETRY_PAUSE);
        }
        let writers = open(folder, WRITERS)?;
        if try_lock(&writers)? {
            clean()?;
        }
        writers.lock_shared()?;
        Ok(Self { _server: Some(server), _writers: writers })
    }

    /// Locks `folder` for one of several writers.
    ///
    /// # Errors
    /// If the lock file cannot be created or locked.
    pub(super) fn for_writer(folder: &Path) -> io::Result<Self> {
        let writers = open(folder, WRITERS)?;
        writers.lock_shared()?;
        Ok(Self { _server: None, _writers: writers })
    }
}

fn open(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(folder.join(name))
}

/// Locks the file exclusively; false if another process has locked it.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

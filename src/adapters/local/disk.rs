//! Making sure that what was written is on the disk, for many at a time.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapters::local::grouped::Grouped;

/// From so many that wait at a time on, the whole file system is synchronised by one call in place of each file by itself.
/// Below, it would wait for what other programs have written as well, and gain nothing.
const MANY: usize = 3;

/// What is to be on the disk: files by their content, folders by the names in them.
pub(super) type Written = Vec<PathBuf>;
/// What the disk says of it; of several who asked together, all are told the same.
type Synced = Result<(), Arc<io::Error>>;

/// The disk that a folder is on.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    grouped: Arc<Grouped<Written, Synced>>,
}

impl Disk {
    /// The disk of `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be opened.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let folder = File::open(folder)?;
        Ok(Self { grouped: Arc::new(Grouped::by(move |group| sync(&folder, group))) })
    }

    /// Returns once `written` survives a power cut.
    ///
    /// # Errors
    /// What the disk says. Whether a retry can help is not known: what was not confirmed may be lost.
    pub(super) async fn sync(&self, written: Written) -> io::Result<()> {
        let synced = self.grouped.work(written).await.map_err(io::Error::other)?;
        synced.map_err(|fault| io::Error::new(fault.kind(), fault))
    }
}

fn sync(folder: &File, group: Vec<Written>) -> Vec<Synced> {
    if group.len() >= MANY
        && let Some(synced) = sync_all(folder)
    {
        return vec![synced.map_err(Arc::new); group.len()];
    }
    group.iter().map(|written| written.iter().try_for_each(|path| sync_one(path)).map_err(Arc::new)).collect()
}

/// A file's name is part of its folder, which has to reach the disk as well.
pub(super) fn sync_one(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Everything on the disk of `folder`; `None` where the system has no call for that which tells of faults.
#[cfg(target_os = "linux")]
fn sync_all(folder: &File) -> Option<io::Result<()>> {
    Some(rustix::fs::syncfs(folder).map_err(io::Error::from))
}

#[cfg(not(target_os = "linux"))]
fn sync_all(_folder: &File) -> Option<io::Result<()>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_synchronised_and_what_is_not_there_is_told_to_who_asked() {
        let folder = tempfile::tempdir().unwrap();
        let (there, missing) = (folder.path().join("there"), folder.path().join("missing"));
        std::fs::write(&there, "x").unwrap();
        let handle = File::open(folder.path()).unwrap();
        let few = sync(&handle, vec![vec![there.clone(), folder.path().into()], vec![missing]]);
        assert!(few[0].is_ok());
        assert_eq!(few[1].as_ref().unwrap_err().kind(), io::ErrorKind::NotFound);
        let many = sync(&handle, vec![vec![there]; MANY]);
        assert!(many.len() == MANY && many.iter().all(Result::is_ok));
    }
}

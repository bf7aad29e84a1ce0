//! Disks that are full, and folders that nobody may write to.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory that is small enough to be filled; gone when the test ends.
#[derive(Debug)]
pub(super) struct SmallDisk {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    /// A new one of so many KiB; or why there is none to be had, such as that we are not root.
    pub(super) fn new(kib: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        fs::create_dir(&path).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"], &path)?;
        Ok(Self { path, _folder: folder })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it but for about `kib` KiB.
    pub(super) fn fill(&self, kib: usize) {
        let mut filler = fs::File::create(self.path.join("filler")).unwrap();
        while filler.write_all(&[7; 1024]).is_ok() {}
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub(kib as u64 * 1024)).unwrap();
    }

    pub(super) fn make_room(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }

    /// Nobody may write to it, or again everybody.
    pub(super) fn set_read_only(&self, is_read_only: bool) {
        let options = if is_read_only { "remount,ro" } else { "remount,rw" };
        run("mount", &["-o", options], &self.path).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that a failed test has left may still be at it.
        let _ = run("umount", &["-l"], &self.path);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Result<(), String> {
    let output = Command::new(program).args(arguments).arg(path).output().map_err(|fault| fault.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// How large a file of a process may get: nothing at all, or as large as it likes. Needs no rights, and Linux.
pub(super) fn set_files_may_grow(process: u32, may_grow: bool) -> Result<(), String> {
    let limit = if may_grow { "--fsize=unlimited:" } else { "--fsize=0:" };
    let output = Command::new("prlimit").args(["--pid", &process.to_string(), limit]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(fault) => Err(format!("prlimit: {fault}")),
    }
}

/// Sets the rights of a folder and of all folders in it.
pub(super) fn set_rights(folder: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    // Outermost last where it may not be looked into any more, which none of these modes forbids.
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            set_rights(&path, mode);
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

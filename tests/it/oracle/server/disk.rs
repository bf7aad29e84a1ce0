//! Full disks and read-only folders.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory that is small enough to be filled. It is removed when the test ends.
#[derive(Debug)]
pub(super) struct SmallDisk {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one of this size. The error says why that is not possible, for example without root.
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

    /// Fills it except for about `kib` KiB.
    pub(super) fn fill(&self, kib: usize) {
        let mut filler = fs::File::create(self.path.join("filler")).unwrap();
        while filler.write_all(&[7; 1024]).is_ok() {}
        let length = filler.metadata().unwrap().len();
        filler.set_len(length.saturating_sub(kib as u64 * 1024)).unwrap();
    }

    pub(super) fn free_space(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }

    /// Remounts it read-only or read-write.
    pub(super) fn set_read_only(&self, is_read_only: bool) {
        let options = if is_read_only { "remount,ro" } else { "remount,rw" };
        run("mount", &["-o", options], &self.path).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server of a failed test may still use it.
        let _ = run("umount", &["-l"], &self.path);
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> Result<(), String> {
    let output = Command::new(program).args(arguments).arg(path).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Allows or forbids a process to write to files. Works on Linux without privileges.
pub(super) fn set_files_may_grow(process: u32, may_grow: bool) -> Result<(), String> {
    let limit = if may_grow { "--fsize=unlimited:" } else { "--fsize=0:" };
    let output = Command::new("prlimit").args(["--pid", &process.to_string(), limit]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("prlimit: {error}")),
    }
}

/// Sets the permissions of a folder and of all folders in it.
pub(super) fn set_permissions(folder: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            set_permissions(&path, mode);
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
}

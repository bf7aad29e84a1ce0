//! Credentials created at the first start, so that the server never runs without any.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

/// The file's name in the data folder.
pub const CREDENTIALS_FILE: &str = "credentials.json";

/// Returns the path of the credentials file in `folder`. If there is none, creates it with random credentials, readable by its
/// owner only.
///
/// # Errors
/// If the file cannot be created, or the operating system provides no randomness.
pub fn ensure_credentials(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(CREDENTIALS_FILE);
    if path.try_exists()? {
        return Ok(path);
    }
    fs::create_dir_all(folder)?;
    // The vendor's name: logs then name the client that pushes. The signing key is for the auth method oauth.
    let credentials = json!({
        "username": "smartclean",
        "password": random_hex()?,
        "signing_key": random_hex()? + &random_hex()?,
    });
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    writeln!(file, "{credentials:#}")?;
    file.sync_all()?;
    Ok(path)
}

/// 128 random bits as 32 hexadecimal digits: easy to read out, and safe in any shell and URL.
fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Credentials;

    #[test]
    fn credentials_are_created_once_and_readable_by_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = ensure_credentials(folder.path()).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        let credentials = Credentials::parse(&first).unwrap();
        assert_eq!(credentials.clients()[0].username, "smartclean");
        assert_eq!(credentials.signing_keys().len(), 1);
        ensure_credentials(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    }

    #[test]
    fn passwords_differ() {
        let (a, b) = (random_hex().unwrap(), random_hex().unwrap());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|digit| digit.is_ascii_hexdigit()), "{a}");
    }
}

//! Credentials that the program makes for itself at the first start, so that nobody runs it with none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

/// The file's name in the data folder.
pub const CREDENTIALS_FILE: &str = "credentials.json";

/// The username of made credentials: the vendor's name, so that it is plain in logs who pushed.
const USERNAME: &str = "smartclean";
/// 57 letters and digits, those left out that look like another (0 O, 1 l I): easily read out, safe in any shell and URL.
const ALPHABET: &[u8; 57] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Letters in a made password: 57²² is 2¹²⁸.
const PASSWORD_LENGTH: usize = 22;

/// The path of the credentials file in `folder`, which is made, readable by its owner only, where it is not there.
///
/// # Errors
/// Where the file cannot be made, or the system gives no randomness.
pub fn ensure_credentials(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(CREDENTIALS_FILE);
    if path.try_exists()? {
        return Ok(path);
    }
    fs::create_dir_all(folder)?;
    // For the method oauth, which asks for 32 bytes at least.
    let signing_key = [make_password()?, make_password()?, make_password()?].concat();
    let made = json!({ "username": USERNAME, "password": make_password()?, "signing_key": signing_key });
    let text = format!("{made:#}\n");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(path)
}

fn make_password() -> io::Result<String> {
    let mut password = String::with_capacity(PASSWORD_LENGTH);
    while password.len() < PASSWORD_LENGTH {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        // Four times 57 fit into a byte; the rest is thrown away, so that every letter is as likely.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 4 * ALPHABET.len());
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        password.extend(letters.take(PASSWORD_LENGTH - password.len()));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Credentials;

    #[test]
    fn credentials_are_made_once_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = ensure_credentials(folder.path()).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        assert_eq!(Credentials::parse(&first).unwrap().clients()[0].username, "smartclean");
        ensure_credentials(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    }

    #[test]
    fn passwords_differ() {
        let (a, b) = (make_password().unwrap(), make_password().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.len(), PASSWORD_LENGTH);
        assert!(a.bytes().all(|letter| ALPHABET.contains(&letter)));
    }
}

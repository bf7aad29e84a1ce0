//! A data folder in place of the cloud: `raw/…`, `rejected/…` and `metadata/…` with the same keys, `alerts.ndjson`, and the state
//! in `state.db`. Also the files that an operator edits, credentials and rules, and the channels email and webhook.

mod alert_log;
mod archive;
mod credentials;
mod disk;
mod email;
mod folder;
mod group_commit;
mod initial_credentials;
mod lock;
mod new_folder;
mod rules;
pub mod sqlite;
mod webhook;

use std::io::{self, Write as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use tempfile::NamedTempFile;

pub use self::alert_log::AlertLog;
pub use self::archive::FolderArchive;
pub use self::credentials::CredentialFile;
pub use self::email::EmailPublisher;
pub use self::folder::FolderStore;
pub use self::initial_credentials::{CREDENTIALS_FILE, ensure_credentials};
pub use self::new_folder::NewDataFolder;
pub use self::rules::RuleFile;
pub use self::webhook::WebhookPublisher;

/// Modification time and length of a file. They change when the file is edited, and cost no read.
async fn file_version(path: &Path) -> io::Result<String> {
    let metadata = tokio::fs::metadata(path).await?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}.{:09}/{}", modified.as_secs(), modified.subsec_nanos(), metadata.len()))
}

/// Writes a file under a temporary name and renames it, so that readers see the old content or the new. Not durable: the content
/// can be written again.
fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NamedTempFile::with_prefix_in(".unfinished-", path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

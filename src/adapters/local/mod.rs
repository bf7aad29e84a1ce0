//! A data folder instead of the cloud: `raw/…`, `rejected/…` and `metadata/…` by the same keys, `alerts.ndjson`, and the state
//! in `state.db`. Beside it the files that an operator edits: credentials and rules.

mod alert_log;
mod archive;
mod credentials;
mod disk;
mod folder;
mod grouped;
mod lake;
mod lock;
mod made;
mod own_credentials;
mod rules;
pub mod sqlite;

use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

pub use self::alert_log::AlertLog;
pub use self::archive::FolderArchive;
pub use self::credentials::CredentialFile;
pub use self::folder::FolderStore;
pub use self::made::MadeFolder;
pub use self::own_credentials::{CREDENTIALS_FILE, ensure_credentials};
pub use self::rules::RuleFile;

/// Modification time and length of a file: what changes when it is edited, at the cost of no read.
async fn version(path: &Path) -> io::Result<String> {
    let metadata = tokio::fs::metadata(path).await?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{}.{:09}/{}", modified.as_secs(), modified.subsec_nanos(), metadata.len()))
}

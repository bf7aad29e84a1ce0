//! A data folder instead of the cloud: `raw/…`, `rejected/…` and `metadata/…` by the same keys, `alerts.ndjson`.

mod alert_log;
mod folder;
mod own_credentials;

pub use self::alert_log::AlertLog;
pub use self::folder::FolderStore;
pub use self::own_credentials::{CREDENTIALS_FILE, ensure_credentials};

//! The ledger: a line for each push and its response.

use std::io::BufRead;

use domain::archive::ObjectKey;
use domain::batch::{BatchId, Items};
use domain::digest::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A push and its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    /// When it was sent.
    pub at: Timestamp,
    /// Its batch id.
    pub batch: String,
    /// Whether its body is a batch.
    pub is_batch: bool,
    /// The number of its readings.
    pub readings: usize,
    /// The number of its rejections. A body that is no batch is one.
    pub rejections: usize,
    /// The key of the object that stores its readings; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
    /// The digest of that object's text: the readings, each with a line feed.
    pub text: Digest,
    /// The status of the response; absent without a response.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// The counts of the response, if it has them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counts: Option<ResponseCounts>,
}

/// The counts of a receiver's response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResponseCounts {
    /// Items in the batch.
    pub received: usize,
    /// Readings.
    pub accepted: usize,
    /// Rejections.
    pub rejected: usize,
    /// Readings that were known already.
    pub duplicates: usize,
    /// New alerts.
    pub alerts: usize,
}

impl LedgerEntry {
    /// The entry of a body that is sent at `at`, without a response.
    #[must_use]
    pub fn new(at: Timestamp, body: &[u8]) -> Self {
        let id = BatchId::of(body);
        let items = Items::split(body).ok();
        let batch = items.as_ref().map(Items::read);
        let readings = batch.as_ref().map_or(&[][..], |batch| &batch.readings);
        let text: String = readings.iter().flat_map(|reading| [reading.text, "\n"]).collect();
        Self {
            at,
            batch: id.to_string(),
            is_batch: batch.is_some(),
            readings: readings.len(),
            rejections: batch.as_ref().map_or(1, |batch| batch.rejections.len()),
            object: (!readings.is_empty()).then(|| ObjectKey::of_readings(id, readings).to_string()),
            text: Digest::of(text.as_bytes()),
            status: None,
            counts: None,
        }
    }

    /// The status and the counts of a correct response: 200, or 400 if the body is no batch.
    #[must_use]
    pub fn expected_response(&self) -> (u16, Option<ResponseCounts>) {
        let (accepted, rejected) = (self.readings, self.rejections);
        let counts = ResponseCounts { received: accepted + rejected, accepted, rejected, ..ResponseCounts::default() };
        if self.is_batch { (200, Some(counts)) } else { (400, None) }
    }
}

/// A ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read. A retry can help.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// A line was not written by `simulate`. A retry cannot help.
    #[error("line {0} is not one of a ledger")]
    Foreign(usize),
}

/// Reads the lines of a ledger.
///
/// # Errors
/// [`LedgerError`] if the file cannot be read, or is no ledger.
pub fn read_ledger(lines: impl BufRead) -> Result<Vec<LedgerEntry>, LedgerError> {
    let entry = |(index, line): (usize, std::io::Result<String>)| {
        serde_json::from_str(&line?).map_err(|_| LedgerError::Foreign(index + 1))
    };
    lines.lines().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_and_a_cut_line_is_an_error() {
        let body = br#"["{\"unixT\":1654063185}", 7]"#;
        let entry = LedgerEntry { status: Some(200), ..LedgerEntry::new(Timestamp::UNIX_EPOCH, body) };
        assert_eq!((entry.readings, entry.rejections, entry.is_batch), (1, 1, true));
        assert_eq!(entry.text, Digest::of(b"{\"unixT\":1654063185}\n"));
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(read_ledger(line.as_bytes()).unwrap(), [entry]);
        let half = format!("{line}\n{}", &line[..40]);
        assert!(matches!(read_ledger(half.as_bytes()), Err(LedgerError::Foreign(2))));
    }
}

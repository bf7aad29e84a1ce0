//! The ledger: what was pushed and how it was answered, a line for each push.

use std::io::BufRead;

use domain::archive::ObjectKey;
use domain::batch::{BatchId, Items};
use domain::digest::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A push and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When it was sent.
    pub at: Timestamp,
    /// Its batch id.
    pub batch: String,
    /// Whether its body is a batch.
    pub is_batch: bool,
    /// How many readings it has.
    pub readings: usize,
    /// How many rejections. A body that is no batch is one.
    pub rejections: usize,
    /// The name of the object that stores its readings; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
    /// The digest of that object's text: each reading, and a line feed.
    pub text: Digest,
    /// The status of the answer; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// The counts of the answer, if it has them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer: Option<Answer>,
}

/// The counts of a receiver's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Items in the batch.
    pub received: usize,
    /// Well-formed ones.
    pub accepted: usize,
    /// The others.
    pub rejected: usize,
    /// Accepted ones that were known.
    pub duplicates: usize,
    /// Alerts that were raised.
    pub alerts: usize,
}

impl LedgerEntry {
    /// The entry of a body that is sent at `at`, and not answered yet.
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
            answer: None,
        }
    }

    /// The status and the counts that a receiver answers: 200, and 400 if the body is no batch.
    #[must_use]
    pub fn expected_answer(&self) -> (u16, Option<Answer>) {
        let (accepted, rejected) = (self.readings, self.rejections);
        let answer = Answer { received: accepted + rejected, accepted, rejected, ..Answer::default() };
        if self.is_batch { (200, Some(answer)) } else { (400, None) }
    }
}

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be read. A retry may help.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// A line is not one that `simulate` writes.
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
    fn an_entry_is_read_as_it_was_written_and_half_a_line_is_named() {
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

//! Compares a ledger with an archive: everything that was acknowledged is stored, and nothing twice.

use std::collections::{HashMap, HashSet};
use std::fmt;

use domain::archive::ObjectKey;
use domain::buffered::BUFFERED_EXTENSION;
use domain::digest::Digest;
use history::{Archive, ArchiveError, Period, StoredObject, hours, read_folder};

use super::ledger::{LedgerEntry, ResponseCounts};

/// The folder of rejections.
const REJECTED: &str = "rejected/";

/// The comparison of a ledger with an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Pushes that were accepted with 2xx.
    pub accepted: usize,
    /// Bodies that were refused with 400 because they are no batch. They must be stored too.
    pub malformed: usize,
    /// Pushes that were refused for another reason, such as their credentials. They need not be stored.
    pub refused: usize,
    /// Pushes without a response.
    pub unanswered: usize,
    /// Readings of acknowledged bodies, and how many of them are stored.
    pub readings: (usize, usize),
    /// Rejections of acknowledged bodies, and how many of them are stored.
    pub rejections: (usize, usize),
    /// Objects with readings of the ledger's pushes.
    pub objects: usize,
    /// Objects with readings of other pushes.
    pub others: usize,
    /// Differences between the two.
    pub faults: Vec<String>,
}

/// A body, which can have been pushed several times.
struct PushedBody<'l> {
    entry: &'l LedgerEntry,
    /// Whether one of its pushes was acknowledged.
    is_acknowledged: bool,
    /// The object of its readings.
    object: Option<ObjectKey>,
    /// Its stored readings and rejections.
    readings: usize,
    rejections: usize,
}

/// Compares a ledger with an archive.
///
/// # Errors
/// [`ArchiveError`] if the archive cannot be read.
pub fn verify(ledger: &[LedgerEntry], archive: &dyn Archive) -> Result<Verification, ArchiveError> {
    let mut verification = Verification::default();
    let mut bodies: HashMap<&str, PushedBody<'_>> = HashMap::new();
    for entry in ledger {
        let new = PushedBody { entry, is_acknowledged: false, object: None, readings: 0, rejections: 0 };
        bodies.entry(&entry.batch).or_insert(new).is_acknowledged |= verification.count_response(entry);
    }
    let mut folders = vec!["raw-undated/".to_owned()];
    for root in ["raw/", REJECTED] {
        folders.extend(hours(archive, root, &Period::default())?.into_iter().map(|hour| hour.folder));
    }
    let mut others = HashSet::new();
    for folder in folders {
        read_folder(archive, &folder, |object| match bodies.get_mut(batch(&object.key)) {
            Some(body) => verification.compare(body, object),
            None if object.key.as_str().ends_with(BUFFERED_EXTENSION) => {
                verification.faults.extend(object.text().err().map(|error| error.to_string()));
            }
            None => verification.others += usize::from(!folder.starts_with(REJECTED) && others.insert(object.key)),
        })?;
    }
    // In the order of the ledger, so that the first fault is about the earliest push.
    for body in ledger.iter().filter_map(|entry| bodies.remove(entry.batch.as_str())) {
        if body.is_acknowledged {
            verification.conclude(&body);
        }
    }
    Ok(verification)
}

/// Formats the counts of items.
fn items(counts: Option<ResponseCounts>) -> String {
    counts.map_or("nothing".to_owned(), |ResponseCounts { received, accepted, rejected, .. }| {
        format!("{received} items, {accepted} good and {rejected} bad")
    })
}

/// The batch id in an object's key.
fn batch(key: &ObjectKey) -> &str {
    let name = key.as_str().rsplit('/').next().unwrap_or_default();
    name.split('.').next().unwrap_or_default()
}

impl Verification {
    /// Counts a push. Returns whether its response acknowledges it.
    fn count_response(&mut self, entry: &LedgerEntry) -> bool {
        let (expected_status, expected) = entry.expected_response();
        match entry.status {
            Some(status) if status == expected_status => {
                let (sent, counted) = (items(expected), items(entry.counts));
                if sent != counted {
                    self.faults.push(format!("batch {} was {sent}; its answer counts {counted}", entry.batch));
                }
                self.accepted += usize::from(entry.is_batch);
                self.malformed += usize::from(!entry.is_batch);
                return true;
            }
            Some(status @ (200..=299 | 400)) => {
                self.faults.push(format!("batch {} was answered {status} and not {expected_status}", entry.batch));
            }
            Some(_) => self.refused += 1,
            None => self.unanswered += 1,
        }
        false
    }

    /// Compares an object of readings or rejections with the push of its body.
    fn compare(&mut self, body: &mut PushedBody<'_>, object: StoredObject) {
        let (key, readings) = (&object.key, body.entry.readings);
        let text = object.text().map_err(|error| self.faults.push(error.to_string())).ok();
        if key.as_str().starts_with(REJECTED) {
            // If it was pushed again in another hour, the same rejections are stored there too.
            body.rejections = text.map_or(body.rejections, |text| text.lines().count());
            return;
        }
        // A push can be in several buffered objects.
        let is_copy = body.object.as_ref() == Some(key);
        self.objects += usize::from(!is_copy);
        if let Some(first) = body.object.as_ref().filter(|_| !is_copy) {
            self.faults.push(format!("stored twice: {first} and {key}"));
        }
        match text {
            Some(text) if Digest::of(text.as_bytes()) == body.entry.text => body.readings = readings,
            Some(text) => self.faults.push(format!(
                "{key} has {} lines, which are not the {readings} readings of its push",
                text.lines().count()
            )),
            None => {}
        }
        body.object = Some(object.key);
    }

    /// Adds the counts of an acknowledged body, and names what is missing.
    fn conclude(&mut self, body: &PushedBody<'_>) {
        let LedgerEntry { batch, readings, rejections, object, .. } = body.entry;
        self.readings.0 += readings;
        self.readings.1 += body.readings;
        self.rejections.0 += rejections;
        self.rejections.1 += body.rejections.min(*rejections);
        if let (Some(object), None) = (object, &body.object) {
            self.faults.push(format!("{object} is missing, {readings} readings"));
        }
        if body.rejections != *rejections {
            self.faults
                .push(format!("batch {batch} had {rejections} bad items, and {} are under rejected/", body.rejections));
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, malformed, refused, unanswered, readings, rejections, objects, others, .. } = self;
        writeln!(f, "Pushes answered 2xx          {accepted}")?;
        writeln!(f, "Bad bodies refused 400       {malformed}")?;
        writeln!(f, "Pushes refused otherwise     {refused}")?;
        writeln!(f, "Pushes without an answer     {unanswered}")?;
        writeln!(f, "Readings stored              {} of {}", readings.1, readings.0)?;
        writeln!(f, "Bad items and bodies stored  {} of {}", rejections.1, rejections.0)?;
        write!(f, "Objects of these pushes      {objects}\nObjects of other pushes      {others}")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const BODY: &[u8] = br#"["{\"unixT\":1654063185}", 7, "{\"unixT\":1654063186}"]"#;

    fn entry(body: &[u8], status: u16, (received, accepted, rejected): (usize, usize, usize)) -> LedgerEntry {
        let counts = ResponseCounts { received, accepted, rejected, ..ResponseCounts::default() };
        LedgerEntry { status: Some(status), counts: Some(counts), ..LedgerEntry::new(Timestamp::UNIX_EPOCH, body) }
    }

    /// How many of these pushes are acknowledged, and how many responses are wrong.
    fn counts(entries: &[LedgerEntry]) -> (usize, usize) {
        let mut verification = Verification::default();
        let acknowledged = entries.iter().filter(|entry| verification.count_response(entry)).count();
        (acknowledged, verification.faults.len())
    }

    #[test]
    fn a_push_with_a_correct_response_is_acknowledged() {
        let unanswered = LedgerEntry { status: None, ..entry(BODY, 200, (3, 2, 1)) };
        assert_eq!(counts(&[entry(BODY, 200, (3, 2, 1)), entry(BODY, 503, (0, 0, 0)), unanswered]), (1, 0));
    }

    #[test]
    fn a_response_with_wrong_counts_is_a_fault() {
        assert_eq!(counts(&[entry(BODY, 200, (3, 3, 0))]), (1, 1));
    }

    #[test]
    fn a_refused_body_is_acknowledged_only_if_it_is_no_batch() {
        let refused = LedgerEntry { counts: None, ..entry(b"{}", 400, (0, 0, 0)) };
        assert_eq!(counts(&[refused]), (1, 0));
        assert_eq!(counts(&[entry(BODY, 400, (0, 0, 0))]), (0, 1));
        assert_eq!(counts(&[entry(b"{}", 200, (0, 0, 0))]), (0, 1));
    }

    /// An archive of nothing.
    struct Empty;

    impl Archive for Empty {
        fn folders(&self, _: &str) -> Result<Vec<String>, ArchiveError> {
            Ok(Vec::new())
        }

        fn files(&self, _: &str) -> Result<Vec<String>, ArchiveError> {
            Ok(Vec::new())
        }

        fn read(&self, _: &[ObjectKey]) -> Result<Vec<history::StoredObject>, ArchiveError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_body_that_was_acknowledged_once_must_be_stored() {
        let (accepted, failed) = (entry(BODY, 200, (3, 2, 1)), entry(BODY, 503, (0, 0, 0)));
        for ledger in [[accepted.clone(), failed.clone()], [failed.clone(), accepted]] {
            let verification = verify(&ledger, &Empty).unwrap();
            assert_eq!(
                (verification.readings, verification.rejections, verification.faults.len()),
                ((2, 0), (1, 0), 2)
            );
        }
        assert!(verify(&[failed.clone(), failed], &Empty).unwrap().faults.is_empty());
    }
}

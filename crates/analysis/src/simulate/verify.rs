//! Whether everything that was acknowledged is stored, and nothing twice.

use std::collections::HashMap;
use std::{fmt, io};

use domain::archive::{ObjectKey, unpack};
use domain::digest::Digest;
use history::{Archive, ArchiveError, Period, hours};

use super::ledger::{Answer, LedgerEntry};

/// Objects that are read at a time.
const OBJECTS_AT_ONCE: usize = 64;

/// The comparison of a ledger with an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Pushes that were answered 2xx.
    pub answered: usize,
    /// Bodies that were refused with 400, and have to be stored all the same.
    pub refused: usize,
    /// Pushes that were refused for another reason, such as their credentials. Nothing of them has to be stored.
    pub turned_away: usize,
    /// Pushes without an answer.
    pub unanswered: usize,
    /// Readings of acknowledged bodies, and how many of them are stored.
    pub readings: (usize, usize),
    /// Rejections of acknowledged bodies, and how many of them are stored.
    pub rejections: (usize, usize),
    /// Objects of readings of the ledger's pushes.
    pub objects: usize,
    /// Objects of readings of other pushes.
    pub others: usize,
    /// Everything that is not as it should be.
    pub faults: Vec<String>,
}

/// A body, however often it was pushed.
struct Body<'l> {
    entry: &'l LedgerEntry,
    /// Whether one of its pushes was answered 2xx, or 400 if it is no batch.
    is_acknowledged: bool,
    /// The object of its readings.
    object: Option<ObjectKey>,
    /// How many of its readings and rejections are stored.
    readings: usize,
    rejections: usize,
}

/// Compares a ledger with an archive.
///
/// # Errors
/// [`ArchiveError`] if the archive cannot be read.
pub fn verify(ledger: &[LedgerEntry], archive: &dyn Archive) -> Result<Proof, ArchiveError> {
    let mut proof = Proof::default();
    let mut bodies: HashMap<&str, Body<'_>> = HashMap::new();
    for entry in ledger {
        let new = Body { entry, is_acknowledged: false, object: None, readings: 0, rejections: 0 };
        bodies.entry(&entry.batch).or_insert(new).is_acknowledged |= proof.is_acknowledged(entry);
    }
    each_object(archive, "raw/", |key, text| match bodies.get_mut(batch(&key)) {
        Some(body) => proof.compare_readings(body, key, text),
        None => proof.others += 1,
    })?;
    each_object(archive, "rejected/", |key, text| match (bodies.get_mut(batch(&key)), text) {
        // A push that is repeated in another hour is rejected there again: by receipt, the only time that bad items have.
        (Some(body), Ok(text)) => body.rejections = text.lines().count(),
        (Some(_), Err(error)) => proof.faults.push(format!("{key} is no Zstandard frame of text: {error}")),
        (None, _) => {}
    })?;
    // In the order of the ledger, so that the first that is missing is the first that was sent.
    for body in ledger.iter().filter_map(|entry| bodies.remove(entry.batch.as_str())) {
        if body.is_acknowledged {
            proof.conclude(&body);
        }
    }
    Ok(proof)
}

/// Gives `take` each object in the hours below `root`, and of those beside them that have no time, with its text.
fn each_object(
    archive: &dyn Archive,
    root: &str,
    mut take: impl FnMut(ObjectKey, io::Result<String>),
) -> Result<(), ArchiveError> {
    let hours = hours(archive, root, &Period::default())?.into_iter().map(|hour| hour.folder);
    let undated = (root == "raw/").then(|| "raw-undated/".to_owned());
    for folder in hours.chain(undated) {
        for keys in archive.keys(&folder)?.chunks(OBJECTS_AT_ONCE) {
            archive.read(keys)?.into_iter().for_each(|object| take(object.key, unpack(&object.bytes)));
        }
    }
    Ok(())
}

/// Items in words.
fn items(counts: Option<(usize, usize, usize)>) -> String {
    counts.map_or("nothing".to_owned(), |(all, good, bad)| format!("{all} items, {good} good and {bad} bad"))
}

/// The batch id in an object's name.
fn batch(key: &ObjectKey) -> &str {
    let name = key.as_str().rsplit('/').next().unwrap_or_default();
    name.split('.').next().unwrap_or_default()
}

impl Proof {
    /// Counts a push. Returns whether its answer says that it is stored.
    fn is_acknowledged(&mut self, entry: &LedgerEntry) -> bool {
        let (expected_status, expected) = entry.expected_answer();
        match entry.status {
            Some(status) if status == expected_status => {
                let counted = |answer: Answer| (answer.received, answer.accepted, answer.rejected);
                let (sent, answered) = (expected.map(counted), entry.answer.map(counted));
                if sent != answered {
                    self.faults.push(format!(
                        "batch {} was {}; its answer counts {}",
                        entry.batch,
                        items(sent),
                        items(answered)
                    ));
                }
                self.answered += usize::from(entry.is_batch);
                self.refused += usize::from(!entry.is_batch);
                true
            }
            Some(status @ (200..=299 | 400)) => {
                self.faults.push(format!("batch {} was answered {status} and not {expected_status}", entry.batch));
                false
            }
            Some(_) => {
                self.turned_away += 1;
                false
            }
            None => {
                self.unanswered += 1;
                false
            }
        }
    }

    fn compare_readings(&mut self, body: &mut Body<'_>, key: ObjectKey, text: io::Result<String>) {
        self.objects += 1;
        if let Some(first) = &body.object {
            self.faults.push(format!("stored twice: {first} and {key}"));
        }
        let readings = body.entry.readings;
        match text {
            Ok(text) if Digest::of(text.as_bytes()) == body.entry.text => body.readings = readings,
            Ok(text) => self.faults.push(format!(
                "{key} has {} lines, which are not the {readings} readings of its push",
                text.lines().count()
            )),
            Err(error) => self.faults.push(format!("{key} is no Zstandard frame of text: {error}")),
        }
        body.object = Some(key);
    }

    /// Counts what was acknowledged of a body, and names what is missing.
    fn conclude(&mut self, body: &Body<'_>) {
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

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Pushes answered 2xx          {}", self.answered)?;
        writeln!(f, "Bad bodies refused 400       {}", self.refused)?;
        writeln!(f, "Pushes refused otherwise     {}", self.turned_away)?;
        writeln!(f, "Pushes without an answer     {}", self.unanswered)?;
        writeln!(f, "Readings stored              {} of {}", self.readings.1, self.readings.0)?;
        writeln!(f, "Bad items and bodies stored  {} of {}", self.rejections.1, self.rejections.0)?;
        write!(f, "Objects of these pushes      {}", self.objects)?;
        if self.others > 0 {
            write!(f, "\nObjects of other pushes      {}", self.others)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const BODY: &[u8] = br#"["{\"unixT\":1654063185}", 7, "{\"unixT\":1654063186}"]"#;

    fn entry(body: &[u8], status: u16, (received, accepted, rejected): (usize, usize, usize)) -> LedgerEntry {
        let answer = Answer { received, accepted, rejected, ..Answer::default() };
        LedgerEntry { status: Some(status), answer: Some(answer), ..LedgerEntry::new(Timestamp::UNIX_EPOCH, body) }
    }

    /// What the answers of these pushes say: how many are acknowledged, and how many are wrong.
    fn counts(entries: &[LedgerEntry]) -> (usize, usize) {
        let mut proof = Proof::default();
        let acknowledged = entries.iter().filter(|entry| proof.is_acknowledged(entry)).count();
        (acknowledged, proof.faults.len())
    }

    #[test]
    fn an_answered_push_is_acknowledged_and_an_unanswered_one_is_not() {
        let unanswered = LedgerEntry { status: None, ..entry(BODY, 200, (3, 2, 1)) };
        assert_eq!(counts(&[entry(BODY, 200, (3, 2, 1)), entry(BODY, 503, (0, 0, 0)), unanswered]), (1, 0));
    }

    #[test]
    fn an_answer_that_miscounts_is_a_fault() {
        assert_eq!(counts(&[entry(BODY, 200, (3, 3, 0))]), (1, 1));
    }

    #[test]
    fn a_refused_body_is_acknowledged_only_if_it_is_no_batch() {
        let refused = LedgerEntry { answer: None, ..entry(b"{}", 400, (0, 0, 0)) };
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

        fn keys(&self, _: &str) -> Result<Vec<ObjectKey>, ArchiveError> {
            Ok(Vec::new())
        }

        fn read(&self, _: &[ObjectKey]) -> Result<Vec<history::StoredObject>, ArchiveError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_body_that_was_answered_once_has_to_be_stored_whatever_came_of_its_copy() {
        let (answered, failed) = (entry(BODY, 200, (3, 2, 1)), entry(BODY, 503, (0, 0, 0)));
        for ledger in [[answered.clone(), failed.clone()], [failed.clone(), answered]] {
            let proof = verify(&ledger, &Empty).unwrap();
            assert_eq!((proof.readings, proof.rejections, proof.faults.len()), ((2, 0), (1, 0), 2));
        }
        assert!(verify(&[failed.clone(), failed], &Empty).unwrap().faults.is_empty());
    }
}

//! Whether everything that was acknowledged is stored, and nothing twice.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::ledger::{Known, Ledger, ShortId};
use domain::archive::{ObjectKey, unpack};
use domain::digest::Digest;
use history::{Archive, ArchiveError, Hour, Period, StoredObject, hours};

/// Objects that are read at a time.
const AT_A_TIME: usize = 64;

/// What a ledger and an archive say of each other.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// Pushes that were answered with 2xx, refused with 400, and not answered.
    pub pushes: (u64, u64, u64),
    /// Readings in answered pushes, copies counted.
    pub deliveries: u64,
    /// Distinct readings that were acknowledged.
    pub acknowledged: u64,
    /// Those of them that are stored.
    pub stored: u64,
    /// Distinct readings of pushes without an answer alone.
    pub in_doubt: u64,
    /// Those of them that are stored.
    pub in_doubt_stored: u64,
    /// Bad items and bodies that were acknowledged.
    pub bad: u64,
    /// Those of them that are kept.
    pub bad_kept: u64,
    /// Objects of the ledger's pushes under `raw/` and `raw-undated/`.
    pub objects: u64,
    /// Objects of pushes that the ledger does not know.
    pub others: u64,
    /// Everything that is not as it should be.
    pub faults: Vec<String>,
}

/// What was found of the ledger's bodies.
#[derive(Default)]
struct Found {
    /// Of each body with readings: its object.
    raw: HashMap<usize, ObjectKey>,
    /// Of each body with rejections: how many are kept.
    rejected: HashMap<usize, usize>,
    readings: HashSet<ShortId>,
}

/// Compares a ledger with an archive. It holds sixteen bytes and a little for each reading of the ledger.
///
/// # Errors
/// [`ArchiveError`] where the archive cannot be read.
pub fn prove(ledger: &Ledger, archive: &dyn Archive) -> Result<Proof, ArchiveError> {
    let mut proof = Proof {
        pushes: (ledger.answered, ledger.refused, ledger.unanswered),
        deliveries: ledger.deliveries,
        faults: ledger.faults.clone(),
        ..Proof::default()
    };
    let mut found = Found::default();
    for Hour { folder, .. } in hours(archive, "raw/", &Period::default())? {
        each_object(archive, &folder, |object| proof.take_readings(ledger, &mut found, &object))?;
    }
    each_object(archive, "raw-undated/", |object| proof.take_readings(ledger, &mut found, &object))?;
    for Hour { folder, .. } in hours(archive, "rejected/", &Period::default())? {
        each_object(archive, &folder, |object| proof.take_rejections(ledger, &mut found, &object))?;
    }
    proof.conclude(ledger, &found);
    Ok(proof)
}

fn each_object(archive: &dyn Archive, folder: &str, mut take: impl FnMut(StoredObject)) -> Result<(), ArchiveError> {
    for keys in archive.keys(folder)?.chunks(AT_A_TIME) {
        archive.read(keys)?.into_iter().for_each(&mut take);
    }
    Ok(())
}

/// The batch id in an object's name.
fn batch(key: &ObjectKey) -> &str {
    let name = key.as_str().rsplit('/').next().unwrap_or_default();
    name.split('.').next().unwrap_or_default()
}

impl Proof {
    /// Whether all is proven.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.faults.is_empty()
    }

    fn take_readings(&mut self, ledger: &Ledger, found: &mut Found, object: &StoredObject) {
        let key = &object.key;
        let Some(index) = ledger.body(batch(key)) else {
            self.others += 1;
            return;
        };
        self.objects += 1;
        if let Some(first) = found.raw.insert(index, key.clone()) {
            self.faults.push(format!("stored twice: {first} and {key}"));
        }
        let text = match unpack(&object.bytes) {
            Ok(text) => text,
            Err(fault) => return self.faults.push(format!("{key} is no Zstandard frame of text: {fault}")),
        };
        let expected = ledger.bodies[index].readings;
        let lines = text.lines().count();
        if lines != expected {
            self.faults.push(format!("{key} has {lines} lines, and its push had {expected} readings"));
        }
        found.readings.extend(text.lines().map(|line| ShortId::of(&Digest::of(line.as_bytes()))));
    }

    fn take_rejections(&mut self, ledger: &Ledger, found: &mut Found, object: &StoredObject) {
        let Some(index) = ledger.body(batch(&object.key)) else { return };
        match unpack(&object.bytes) {
            // A push that is repeated in another hour is rejected there again: by receipt, the only time that bad items have.
            Ok(text) => drop(found.rejected.insert(index, text.lines().count())),
            Err(fault) => self.faults.push(format!("{} is no Zstandard frame of text: {fault}", object.key)),
        }
    }

    fn conclude(&mut self, ledger: &Ledger, found: &Found) {
        for (index, body) in ledger.bodies.iter().enumerate().filter(|(_, body)| body.is_acknowledged) {
            self.conclude_body(body, found.raw.contains_key(&index), found.rejected.get(&index).copied());
        }
        // In the order of the ledger, so that the first that is missing is the first that was sent.
        let mut missing = Vec::new();
        for (id, index) in &ledger.readings {
            let is_stored = found.readings.contains(id);
            if ledger.bodies[*index].is_acknowledged {
                self.acknowledged += 1;
                self.stored += u64::from(is_stored);
                if !is_stored {
                    missing.push((*index, *id));
                }
            } else {
                self.in_doubt += 1;
                self.in_doubt_stored += u64::from(is_stored);
            }
        }
        missing.sort_unstable();
        self.faults.extend(
            missing
                .iter()
                .map(|(index, id)| format!("reading {id} of batch {} is missing", ledger.bodies[*index].batch)),
        );
    }

    fn conclude_body(&mut self, body: &Known, is_stored: bool, rejected: Option<usize>) {
        if let Some(object) = body.object.as_deref().filter(|_| !is_stored) {
            self.faults.push(format!("{object} is missing, {} readings", body.readings));
        }
        self.bad += body.bad as u64;
        self.bad_kept += body.bad.min(rejected.unwrap_or(0)) as u64;
        if body.bad != rejected.unwrap_or(0) {
            self.faults.push(format!(
                "batch {} had {} bad items, and {} are under rejected/",
                body.batch,
                body.bad,
                rejected.unwrap_or(0)
            ));
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answered, refused, unanswered) = self.pushes;
        let stored = |of: u64, stored: u64| format!("{stored} of {of}");
        writeln!(f, "Pushes answered 2xx          {answered}")?;
        writeln!(f, "Bodies refused 400           {refused}")?;
        writeln!(f, "Pushes without an answer     {unanswered}")?;
        writeln!(f, "Readings delivered           {}", self.deliveries)?;
        writeln!(f, "Distinct readings stored     {}", stored(self.acknowledged, self.stored))?;
        writeln!(f, "Bad items and bodies kept    {}", stored(self.bad, self.bad_kept))?;
        if self.in_doubt > 0 {
            writeln!(f, "Unanswered, stored anyway    {}", stored(self.in_doubt, self.in_doubt_stored))?;
        }
        write!(f, "Objects of these pushes      {}", self.objects)?;
        if self.others > 0 {
            write!(f, "\nObjects of other pushes      {}", self.others)?;
        }
        Ok(())
    }
}

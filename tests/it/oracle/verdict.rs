//! What the judge says of a location, for people.

use std::fmt;

use crate::oracle::judge::{Evidence, judge};

/// What came of a location.
#[derive(Debug)]
pub(crate) struct Verdict {
    name: String,
    objections: Vec<String>,
    pub(crate) evidence: Evidence,
}

impl Verdict {
    /// Judges what is left of the location of that name.
    pub(crate) fn of(name: &str, evidence: Evidence) -> Self {
        Self { name: name.to_owned(), objections: judge(&evidence), evidence }
    }

    /// How many pushes were answered with `status`.
    pub(crate) fn answered(&self, status: Option<u16>) -> usize {
        self.evidence.ledger.answers.iter().filter(|answer| answer.status == status).count()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ok, kept, again, none] = [Some(200), Some(400), Some(503), None].map(|status| self.answered(status));
        let (pushes, objects) = (self.evidence.ledger.pushes.len(), self.evidence.objects.len());
        let (messages, objections) = (self.evidence.messages.len(), self.objections.len());
        write!(
            f,
            "{:<24} {pushes:>3} pushes answered {ok:>3} × 200, {kept:>2} × 400, {again:>2} × 503, {none:>2} not at all; \
             {objects:>3} objects, {messages:>3} messages, {objections} objections",
            self.name
        )?;
        self.objections.iter().try_for_each(|objection| write!(f, "\n  {objection}"))
    }
}

/// Shows verdicts, and fails where there is an objection.
#[expect(clippy::print_stdout, reason = "what is shown where the test fails, and with --nocapture")]
pub(crate) fn show(verdicts: &[Verdict]) {
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let count: usize = verdicts.iter().map(|verdict| verdict.objections.len()).sum();
    assert_eq!(
        count,
        0,
        "objections, see above; what the programs logged is in {}/oracle",
        env!("CARGO_TARGET_TMPDIR")
    );
}

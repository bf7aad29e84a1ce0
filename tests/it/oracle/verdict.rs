//! The judge's result for a system under test, as text.

use std::fmt;

use crate::oracle::judge::{Evidence, judge};

/// The evidence of one system under test, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Verdict {
    name: String,
    objections: Vec<String>,
    pub(crate) evidence: Evidence,
}

impl Verdict {
    /// Judges the evidence of the system `name`.
    pub(crate) fn new(name: &str, evidence: Evidence) -> Self {
        Self { name: name.to_owned(), objections: judge(&evidence), evidence }
    }

    /// The number of responses with `status`.
    pub(crate) fn responses(&self, status: Option<u16>) -> usize {
        self.evidence.ledger.responses.iter().filter(|response| response.status == status).count()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ok, bad, unavailable, none] = [Some(200), Some(400), Some(503), None].map(|status| self.responses(status));
        let (pushes, stored) = (self.evidence.ledger.pushes.len(), self.evidence.objects.len());
        let (messages, objections) = (self.evidence.messages.len(), self.objections.len());
        write!(
            f,
            "{:<24} {pushes:>3} pushes: {ok:>3} × 200, {bad:>2} × 400, {unavailable:>2} × 503, {none:>2} without a response; \
             {stored:>3} stored, {messages:>3} messages, {objections} objections",
            self.name
        )?;
        self.objections.iter().try_for_each(|objection| write!(f, "\n  {objection}"))
    }
}

/// Prints verdicts, and fails if there is an objection.
#[expect(clippy::print_stdout, reason = "shown if the test fails, and with --nocapture")]
pub(crate) fn assert_no_objections(verdicts: &[Verdict]) {
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let count: usize = verdicts.iter().map(|verdict| verdict.objections.len()).sum();
    assert_eq!(
        count,
        0,
        "objections, see above; the logs of the programs are in {}/oracle",
        env!("CARGO_TARGET_TMPDIR")
    );
}

//! Each fault of each service by itself, one after the other: a row of the matrix is one site.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;

use super::site::{LIMIT, Site};
use crate::oracle::faults::{Diagnostic, Service};
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::Verdict;

/// The function's time where that is what goes wrong: less than any service is waited for.
const SHORT_LIMIT: Duration = Duration::from_millis(1_200);
/// Pushes that come side by side while something is wrong.
const DURING: usize = 3;

/// From when on the credentials are asked for again, where they could not be had at all.
const ASKED_AGAIN: Duration = Duration::from_millis(1_100);

/// What a fault of a service came to.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) service: Service,
    pub(super) fault: Diagnostic,
    /// Calls that went wrong.
    pub(super) hits: usize,
    /// How the pushes were answered that came while it lasted.
    pub(super) answers: Answers,
}

/// How many pushes were answered how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) ok: usize,
    pub(super) unavailable: usize,
    /// Not answered at all.
    pub(super) none: usize,
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} / {} / {}", self.ok, self.unavailable, self.none))
    }
}

impl Cell {
    /// What is promised of every push that comes meanwhile; `None` where nothing is.
    fn promised(&self) -> Option<Answers> {
        match (self.service, self.fault) {
            (_, Diagnostic::OutOfTime) => None,
            (_, Diagnostic::Slow) | (Service::S3 | Service::DynamoDb | Service::Sns, _) => {
                Some(Answers { ok: DURING, ..Answers::default() })
            }
            // The bucket takes nothing then either; nor does anybody know who may push.
            (Service::Sqs | Service::Secrets, _) => Some(Answers { unavailable: DURING, ..Answers::default() }),
        }
    }

    /// What is wrong with it, but for what the judge finds.
    pub(super) fn objection(&self) -> Option<String> {
        let Self { service, fault, hits, answers } = self;
        // Nobody counts where nobody listens; and on a slow machine the time may be up before anything is asked for.
        if *hits == 0 && !matches!(fault, Diagnostic::Refused | Diagnostic::OutOfTime) {
            return Some(format!("{service}, {fault}: no call met it"));
        }
        let promised = self.promised().filter(|promised| promised != answers)?;
        Some(format!("{service}, {fault}: 200, 503 and no answer came {answers} times, and not {promised}"))
    }
}

/// A site at which each fault of one service was met.
pub(super) async fn row(service: Service) -> (Site, Vec<Cell>) {
    let site = Site::new(&format!("{service}"));
    let mut cells = Vec::new();
    for fault in Diagnostic::of(service) {
        cells.push(cell(&site, service, fault).await);
    }
    (site, cells)
}

async fn cell(site: &Site, service: Service, fault: Diagnostic) -> Cell {
    let mut producer = Producer::new(&format!("{service} {fault}"));
    let before = site.enter([producer.push()]);
    site.push(&before).await;
    // Who may push is only asked for by a process that starts; and credentials run out in old ones.
    if matches!(service, Service::Secrets) || fault == Diagnostic::Expired {
        site.function.renew();
    }
    let mut troubles = vec![(service, fault)];
    if service == Service::Sqs {
        // Only what the bucket does not take goes there.
        troubles.push((Service::S3, Diagnostic::Throttled));
    }
    // Without tokens nothing would be published.
    site.world.kept(|kept| kept.table.refill());
    site.world.break_down(&troubles);
    let during = site.enter((0..DURING).map(|_| producer.push()));
    let limit = if fault == Diagnostic::OutOfTime { SHORT_LIMIT } else { LIMIT };
    site.push_to(&site.function, limit, &during).await;
    site.world.heal();
    let answered = |status| site.answered(&during, status);
    let answers = Answers { ok: answered(Some(200)), unavailable: answered(Some(503)), none: answered(None) };
    let hits = site.world.plan.hits_of(service, fault);
    if service == Service::Secrets {
        tokio::time::sleep(ASKED_AGAIN).await;
    }
    // One of those that were not taken is sent again; and one that was, as if its answer had been lost on the way.
    let again = site.unobliged(&during).into_iter().take(1).chain(before).collect::<Vec<_>>();
    site.push(&again).await;
    let after = site.enter([producer.push(), producer.no_batch()]);
    site.push(&after).await;
    Cell { service, fault, hits, answers }
}

/// Lets everything come to its end and judges it.
pub(super) async fn judged(site: Site) -> Verdict {
    site.conclude(SignedDuration::ZERO).await
}

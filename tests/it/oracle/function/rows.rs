//! Each fault of each service alone, one after the other: a row of the table is one deployment.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;

use super::deployment::{Deployment, FUNCTION_TIMEOUT, RawDelivery};
use crate::oracle::faults::{Fault, Service};
use crate::oracle::ledger::Producer;
use crate::oracle::verdict::Verdict;

/// The function's timeout for the fault [`Fault::OutOfTime`]: shorter than the timeout of any call.
const SHORT_TIMEOUT: Duration = Duration::from_millis(1_200);
/// Concurrent pushes during a fault.
const DURING: usize = 3;

/// Time after which a failed first read of the credentials is retried.
const CREDENTIALS_RETRY: Duration = Duration::from_millis(1_100);

/// The result of a fault of a service.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) service: Service,
    pub(super) fault: Fault,
    /// Calls with the fault.
    pub(super) hits: usize,
    /// Responses to the pushes during the fault.
    pub(super) responses: StatusCounts,
}

/// Numbers of responses by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StatusCounts {
    pub(super) ok: usize,
    pub(super) unavailable: usize,
    /// Without a response.
    pub(super) none: usize,
}

impl fmt::Display for StatusCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} / {} / {}", self.ok, self.unavailable, self.none))
    }
}

impl Cell {
    /// The promised responses to pushes during the fault; `None` if there is no promise.
    fn promised(&self) -> Option<StatusCounts> {
        match (self.service, self.fault) {
            (_, Fault::OutOfTime) => None,
            (_, Fault::Slow) | (Service::S3 | Service::DynamoDb | Service::Sns | Service::Firehose, _) => {
                Some(StatusCounts { ok: DURING, ..StatusCounts::default() })
            }
            // The bucket and the stream fail too in the first case, and in the second no client can be authenticated.
            (Service::Sqs | Service::Secrets, _) => {
                Some(StatusCounts { unavailable: DURING, ..StatusCounts::default() })
            }
        }
    }

    /// An objection beside those of the judge.
    pub(super) fn objection(&self) -> Option<String> {
        let Self { service, fault, hits, responses } = self;
        // Refused connections are not counted, and on a slow machine the function may time out before its first call.
        if *hits == 0 && !matches!(fault, Fault::Refused | Fault::OutOfTime) {
            return Some(format!("{service}, {fault}: no call had it"));
        }
        let promised = self.promised().filter(|promised| promised != responses)?;
        Some(format!("{service}, {fault}: 200, 503 and no response came {responses} times, and not {promised}"))
    }
}

/// A deployment with each fault of one service in turn.
pub(super) async fn row(service: Service, delivery: RawDelivery) -> (Deployment, Vec<Cell>) {
    let deployment = Deployment::new(&format!("{service}"), delivery);
    let mut cells = Vec::new();
    for fault in Fault::of(service) {
        cells.push(cell(&deployment, service, fault).await);
    }
    (deployment, cells)
}

async fn cell(deployment: &Deployment, service: Service, fault: Fault) -> Cell {
    let mut producer = Producer::new(&format!("{service} {fault}"));
    let before = deployment.add([producer.push()]);
    deployment.push(&before).await;
    // Only a new process reads the secret, or has fresh credentials.
    if matches!(service, Service::Secrets) || fault == Fault::Expired {
        deployment.function.stop_idle();
    }
    let mut faults = vec![(service, fault)];
    if service == Service::Sqs {
        // The queue only gets objects that neither the stream nor the bucket accepts.
        faults.extend([(Service::S3, Fault::Throttled), (Service::Firehose, Fault::Throttled)]);
    }
    // Without tokens, nothing would be published.
    deployment.aws.with_state(|state| state.table.refill());
    deployment.aws.start_outage(&faults);
    let during = deployment.add((0..DURING).map(|_| producer.push()));
    let limit = if fault == Fault::OutOfTime { SHORT_TIMEOUT } else { FUNCTION_TIMEOUT };
    deployment.push_to(&deployment.function, limit, &during).await;
    deployment.aws.end_outage();
    let count = |status| deployment.count_status(&during, status);
    let responses = StatusCounts { ok: count(Some(200)), unavailable: count(Some(503)), none: count(None) };
    let hits = deployment.aws.faults.hits_of(service, fault);
    if service == Service::Secrets {
        tokio::time::sleep(CREDENTIALS_RETRY).await;
    }
    // Repeats one push that was not acknowledged, and one that was, as if its response had been lost.
    let repeated = deployment.unacknowledged(&during).into_iter().take(1).chain(before).collect::<Vec<_>>();
    deployment.push(&repeated).await;
    let after = deployment.add([producer.push(), producer.invalid_body()]);
    deployment.push(&after).await;
    Cell { service, fault, hits, responses }
}

/// Ends all faults, waits for all retries and sweeps, and judges the result.
pub(super) async fn concluded(deployment: Deployment) -> Verdict {
    deployment.conclude(SignedDuration::ZERO).await
}

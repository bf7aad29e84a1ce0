//! Kills the process at each of its calls: before the call is performed, and right after.

use std::time::Duration;

use jiff::SignedDuration;

use super::deployment::{Deployment, FUNCTION_TIMEOUT, RawDelivery};
use crate::oracle::faults::{Fault, Service};
use crate::oracle::ledger::Producer;
use crate::oracle::runtime::{Function, drain_queue, sweep_event};

/// Least number of calls of a push and of a sweep; with fewer, the test would be pointless.
const MIN_CALLS: usize = 10;
/// Time after which a sweep may take over the messages of another one.
const LEASE: SignedDuration = SignedDuration::from_secs(61);

/// The number of calls of a process for its start and one event.
async fn calls(deployment: &Deployment, function: &Function, work: impl AsyncFn(&Function)) -> usize {
    function.warm().await.unwrap();
    deployment.aws.faults.kill(usize::MAX, false);
    work(function).await;
    let calls = deployment.aws.faults.calls();
    deployment.aws.faults.end();
    calls
}

/// A deployment whose process was killed at each call of a push, and during its start. Also returns the number of calls.
pub(super) async fn pushes(delivery: RawDelivery) -> (Deployment, usize) {
    let deployment = Deployment::new("killed in a push", delivery);
    let mut producer = Producer::new("killed");
    let first = deployment.add([producer.push()]);
    let calls = calls(&deployment, &deployment.function, async |_| deployment.push(&first).await).await;
    assert!(calls >= MIN_CALLS, "{calls} calls");
    let mut killed = 0;
    for point in 0..2 * calls {
        let push = deployment.add([producer.push()]);
        if deployment.function.warm().await.is_err() {
            continue;
        }
        // Without tokens, a push has fewer calls.
        deployment.aws.with_state(|state| state.table.refill());
        deployment.aws.faults.kill(point / 2, point % 2 == 1);
        deployment.push(&push).await;
        let has_died = deployment.aws.faults.end() == 1;
        killed += usize::from(has_died);
        assert!(!has_died || deployment.count_status(&push, None) == 1, "killed at {point}, but there is a response");
        // Every third push is repeated: the vendor promises no retry, but may send one.
        if point % 3 == 0 {
            deployment.push(&push).await;
        }
    }
    deployment.function.stop_idle();
    for point in 0..MIN_CALLS {
        let push = deployment.add([producer.push()]);
        deployment.aws.faults.kill(point, false);
        deployment.push(&push).await;
        deployment.aws.faults.end();
        deployment.function.stop_idle();
    }
    // The first push makes a few more calls than later ones, which find the zones of the people counters in the cache.
    assert!(2 * killed >= 3 * calls, "killed {killed} times, at {calls} calls");
    (deployment, calls)
}

/// A deployment whose process was killed at each call of a sweep and of handling the queue, with clocks that are more and more
/// ahead. Also returns how far the last one is ahead.
pub(super) async fn sweeps(delivery: RawDelivery) -> (Deployment, SignedDuration) {
    let deployment = Deployment::new("killed in a sweep", delivery);
    let mut producer = Producer::new("killed");
    let mut ahead = LEASE;
    let unsent = async |producer: &mut Producer, fault| {
        let push = deployment.add([producer.push()]);
        deployment.aws.start_outage(&[fault]);
        deployment.push(&push).await;
        deployment.aws.end_outage();
    };
    unsent(&mut producer, (Service::Sns, Fault::Throttled)).await;
    let function = deployment.function.with_clock(ahead);
    let calls = calls(&deployment, &function, async |function| drop(function.invoke(&sweep_event()).await)).await;
    assert!(calls >= MIN_CALLS, "{calls} calls");
    for point in 0..2 * calls {
        // The sweep sends messages, and the queue has a push to evaluate.
        let is_sweep = point % 4 < 2;
        unsent(
            &mut producer,
            if is_sweep { (Service::Sns, Fault::Throttled) } else { (Service::DynamoDb, Fault::Expired) },
        )
        .await;
        ahead += LEASE;
        let function = deployment.function.with_clock(ahead);
        function.warm().await.unwrap();
        deployment.aws.faults.kill(point / 2, point % 2 == 1);
        if is_sweep {
            let _ = function.invoke(&sweep_event()).await;
        } else {
            drain_queue(&deployment.aws, &function, FUNCTION_TIMEOUT, 1).await;
            let _ = function.invoke_within(Duration::from_secs(10), &sweep_event()).await;
        }
        deployment.aws.faults.end();
    }
    (deployment, ahead)
}

//! Machines with wrong clocks: by minutes, which has no effect, and by hours.

use jiff::SignedDuration;

use super::deployment::{Deployment, FUNCTION_TIMEOUT, RawDelivery};
use crate::oracle::faults::{Fault, Service};
use crate::oracle::ledger::{Producer, ReceiverClock};

/// How far the fastest clock is ahead.
pub(super) const MOST_AHEAD: SignedDuration = SignedDuration::from_hours(2);

/// A deployment whose processes have different clocks.
pub(super) async fn clocks(delivery: RawDelivery) -> Deployment {
    let deployment = Deployment::new("wrong clocks", delivery);
    let minutes = SignedDuration::from_mins;
    for (about, ahead, clock) in [
        ("four minutes ahead", minutes(4), ReceiverClock::Correct),
        ("four minutes behind", minutes(-4), ReceiverClock::Correct),
        ("two hours ahead", MOST_AHEAD, ReceiverClock::Ahead),
        ("two hours behind", -MOST_AHEAD, ReceiverClock::Behind),
    ] {
        let mut producer = Producer::with_clock(about, clock);
        let function = deployment.function.with_clock(ahead);
        let pushes = deployment.add((0..3).map(|_| producer.push()));
        deployment.push_to(&function, FUNCTION_TIMEOUT, &pushes[..1]).await;
        deployment.aws.start_outage(&[(Service::Sns, Fault::Throttled)]);
        deployment.push_to(&function, FUNCTION_TIMEOUT, &pushes[1..2]).await;
        deployment.aws.end_outage();
        // Another machine with a correct clock gets the same push.
        deployment.push(&pushes[1..]).await;
        deployment.push_to(&function, FUNCTION_TIMEOUT, &pushes[2..]).await;
    }
    deployment
}

//! The process is killed at every call that it makes: before what it asks for is done, and right after.

use std::time::Duration;

use jiff::SignedDuration;

use super::site::{LIMIT, Site};
use crate::oracle::faults::{Diagnostic, Service};
use crate::oracle::ledger::Producer;
use crate::oracle::runtime::{Function, drain_queue, tick};

/// Fewest calls of a push and of a sweep; with fewer the test would not see what it is about.
const FEWEST_CALLS: usize = 10;
/// From when on a sweep may do what another one has begun.
const LEASE: SignedDuration = SignedDuration::from_secs(61);

/// How many calls a process makes until it waits for events, and for one event.
async fn calls(site: &Site, function: &Function, work: impl AsyncFn(&Function)) -> usize {
    function.warm().await.unwrap();
    site.world.plan.kill(usize::MAX, false);
    work(function).await;
    let calls = site.world.plan.calls();
    site.world.plan.end();
    calls
}

/// A site whose process was killed at each call of a push, and while it starts. How many calls that were.
pub(super) async fn pushes() -> (Site, usize) {
    let site = Site::new("killed in a push");
    let mut producer = Producer::new("killed");
    let first = site.enter([producer.push()]);
    let calls = calls(&site, &site.function, async |_| site.push(&first).await).await;
    assert!(calls >= FEWEST_CALLS, "{calls} calls");
    let mut killed = 0;
    for point in 0..2 * calls {
        let push = site.enter([producer.push()]);
        if site.function.warm().await.is_err() {
            continue;
        }
        // Without tokens a push has fewer calls.
        site.world.kept(|kept| kept.table.refill());
        site.world.plan.kill(point / 2, point % 2 == 1);
        site.push(&push).await;
        let has_died = site.world.plan.end() == 1;
        killed += usize::from(has_died);
        assert!(!has_died || site.answered(&push, None) == 1, "killed at {point}, and it has answered");
        // Every third one is sent again: the vendor promises no retry, and may make one all the same.
        if point % 3 == 0 {
            site.push(&push).await;
        }
    }
    site.function.renew();
    for point in 0..FEWEST_CALLS {
        let push = site.enter([producer.push()]);
        site.world.plan.kill(point, false);
        site.push(&push).await;
        site.world.plan.end();
        site.function.renew();
    }
    // The first push has made a few calls more than those after it, which know the zones where people are counted.
    assert!(2 * killed >= 3 * calls, "killed {killed} times, at {calls} calls");
    (site, calls)
}

/// A site whose process was killed at each call of a sweep, and of working off the queue, by clocks that are ever later.
/// By how much the last one is ahead.
pub(super) async fn sweeps() -> (Site, SignedDuration) {
    let site = Site::new("killed in a sweep");
    let mut producer = Producer::new("killed");
    let mut ahead = LEASE;
    let unsent = async |producer: &mut Producer| {
        let push = site.enter([producer.push()]);
        site.world.break_down(&[(Service::Sns, Diagnostic::Throttled)]);
        site.push(&push).await;
        site.world.heal();
    };
    unsent(&mut producer).await;
    let function = site.function.by_clock(ahead);
    let calls = calls(&site, &function, async |function| drop(function.invoke(&tick()).await)).await;
    assert!(calls >= FEWEST_CALLS, "{calls} calls");
    for point in 0..2 * calls {
        unsent(&mut producer).await;
        ahead += LEASE;
        let function = site.function.by_clock(ahead);
        function.warm().await.unwrap();
        site.world.plan.kill(point / 2, point % 2 == 1);
        if point % 4 < 2 {
            let _ = function.invoke(&tick()).await;
        } else {
            drain_queue(&site.world, &function, LIMIT, 1).await;
            let _ = function.invoke_within(Duration::from_secs(10), &tick()).await;
        }
        site.world.plan.end();
    }
    (site, ahead)
}

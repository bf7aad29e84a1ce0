//! Machines whose clocks are wrong: by minutes, which changes nothing, and by hours.

use jiff::SignedDuration;

use super::site::{LIMIT, Site};
use crate::oracle::faults::{Diagnostic, Service};
use crate::oracle::ledger::{Producer, ReceivedBy};

/// The clock that is ahead most.
pub(super) const MOST_AHEAD: SignedDuration = SignedDuration::from_hours(2);

/// A site whose processes do not agree what time it is.
pub(super) async fn clocks() -> Site {
    let site = Site::new("wrong clocks");
    let minutes = SignedDuration::from_mins;
    for (about, ahead, received_by) in [
        ("four minutes ahead", minutes(4), ReceivedBy::Right),
        ("four minutes behind", minutes(-4), ReceivedBy::Right),
        ("two hours ahead", MOST_AHEAD, ReceivedBy::Ahead),
        ("two hours behind", -MOST_AHEAD, ReceivedBy::Behind),
    ] {
        let mut producer = Producer::received_by(about, received_by);
        let function = site.function.by_clock(ahead);
        let pushes = site.enter((0..3).map(|_| producer.push()));
        site.push_to(&function, LIMIT, &pushes[..1]).await;
        site.world.break_down(&[(Service::Sns, Diagnostic::Throttled)]);
        site.push_to(&function, LIMIT, &pushes[1..2]).await;
        site.world.heal();
        // Another machine takes the same push, by a clock that is right.
        site.push(&pushes[1..]).await;
        site.push_to(&function, LIMIT, &pushes[2..]).await;
    }
    site
}

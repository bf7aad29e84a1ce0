//! Checks that random histories contain each feature that the model is about. `cargo test --workspace --all-features --test it
//! histories_contain -- --nocapture` prints the per cent of histories with each.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::model::config;
use crate::model::naive::NaiveEngine;
use crate::model::worlds::some_world;

/// A feature of a history. The model does not test a feature that no history has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Feature {
    /// An alert is suppressed outside active hours, and sent when they begin.
    ReleasedByHours,
    /// Alerts of several devices are released together when active hours begin.
    ReleasedByHoursAsList,
    /// An alert is resolved before active hours begin.
    DroppedByHours,
    /// A cleaning resolves an alert of a sum, a count or feedback before active hours begin.
    CleanedAwayByHours,
    /// A list is sent when a block ends.
    ReleasedByBlock,
    /// A block ends outside active hours.
    FromBlockToHours,
    /// A later alert of the same rule and device replaces a suppressed one.
    Superseded,
    /// A reminder waits for active hours.
    ReminderDeferred,
    /// A reminder is the last one, because the device sends nothing.
    LastReminder,
    /// A resolved notice waits for active hours, and is sent when they begin.
    ResolvedDeferred,
    /// A resolved notice waits for active hours, and is dropped because the alert fires again.
    ResolvedDropped,
    /// A resolved notice is dropped because a worse reading has the time of the one that ended the breach.
    ResolvedRevoked,
    /// A suppressed alert is resolved, but an earlier alert of the breach was sent.
    ResolvedOfEarlierAlert,
    /// A cleaning removes a part of a sum.
    LateCleaning,
    /// Several rules fire for one reading, and not all of them are within active hours.
    PartlyOutsideHours,
    /// Several rules fire for one reading, and their alerts go to different audiences.
    OtherRecipients,
    /// An alert is sent to an audience while nobody of another one is on duty.
    PartlyOffDuty,
    /// An alert is suppressed while nobody is on duty, and sent when a duty begins.
    ReleasedByDuty,
    /// An alert or a resolved notice is suppressed until a mute ends.
    ReleasedByMute,
    /// People said that they were done, and a sensor proves it.
    DoneIsProven,
    /// People said that they were done, and a sensor measures a breach after that.
    DoneIsContradicted,
    /// A late response says that people were done, and a sensor measured a breach after that.
    LateDoneIsContradicted,
    /// People said that they were done with an alert that no sensor can measure.
    DoneCannotBeMeasured,
    /// An alert ends because nobody answered or nothing was measured for a day.
    Expired,
    /// An alert that ended is open again because of a worse reading of the same time.
    Reopened,
    /// A response is received again.
    RepeatedResponse,
    /// A reminder waits because somebody has the alert.
    ReminderHeld,
    /// People are told about an alert again when its snooze ends.
    ToldAgain,
    /// A snooze ends because its alert becomes more severe.
    SnoozeEndsBySeverity,
    /// An alert that a snooze suppressed is sent when it ends.
    ReleasedBySnooze,
    /// People are done with one alert, which sends its resolved notice.
    DoneSendsResolved,
    /// An alert that nobody answered is escalated.
    Escalated,
    /// An alert that somebody took is escalated.
    EscalatedAfterTaken,
    /// Nobody is on duty for a step of an escalation, and somebody for a later one.
    EscalationSkips,
    /// An escalation waits for a duty.
    EscalationWaits,
}

/// Checks that at least this many of a thousand histories with this number of rules have each feature.
#[expect(clippy::print_stdout, reason = "worth knowing when the histories are changed")]
fn check_features(rules: RangeInclusive<usize>, least: &[(Feature, usize)]) {
    const HISTORIES: usize = 4_000;
    let mut runner = TestRunner::new_with_rng(config(1), TestRng::deterministic_rng(RngAlgorithm::XorShift));
    let worlds = some_world(rules);
    let mut counts: BTreeMap<Feature, usize> = BTreeMap::new();
    for _ in 0..HISTORIES {
        let world = worlds.new_tree(&mut runner).unwrap().current();
        let mut naive = NaiveEngine::new(&world);
        for event in &world.history {
            naive.apply(event);
        }
        for feature in naive.features {
            *counts.entry(feature).or_default() += 1;
        }
    }
    for (feature, least) in least {
        let count = counts.get(feature).copied().unwrap_or_default();
        println!("{feature:?}: {:.1} %", count as f64 * 100.0 / HISTORIES as f64);
        assert!(count * 1_000 >= least * HISTORIES, "{feature:?} in {count} of {HISTORIES} histories: {counts:?}");
    }
}

#[test]
fn histories_of_one_rule_contain_every_feature() {
    use Feature::*;
    let least = [
        (ReleasedByHours, 50),
        (ReleasedByHoursAsList, 1),
        (DroppedByHours, 25),
        (CleanedAwayByHours, 10),
        (ReleasedByBlock, 50),
        (Superseded, 3),
        (ReminderDeferred, 5),
        (LastReminder, 5),
        (ResolvedDeferred, 4),
        (ResolvedDropped, 3),
        (LateCleaning, 15),
        (PartlyOffDuty, 10),
        (ReleasedByDuty, 10),
        (ReleasedByMute, 10),
        (DoneIsProven, 10),
        (DoneIsContradicted, 10),
        (DoneCannotBeMeasured, 10),
        (Expired, 10),
        (RepeatedResponse, 10),
        (ReminderHeld, 5),
        (ToldAgain, 10),
        (ReleasedBySnooze, 3),
        (DoneSendsResolved, 3),
        (Escalated, 10),
        (EscalatedAfterTaken, 3),
        (EscalationSkips, 1),
        (EscalationWaits, 3),
    ];
    check_features(1..=1, &least);
}

#[test]
fn histories_of_several_rules_contain_every_feature() {
    use Feature::*;
    let least = [
        (ReleasedByHours, 100),
        (ReleasedByHoursAsList, 5),
        (DroppedByHours, 50),
        (CleanedAwayByHours, 25),
        (ReleasedByBlock, 100),
        (FromBlockToHours, 3),
        (Superseded, 10),
        (ReminderDeferred, 15),
        (LastReminder, 15),
        (ResolvedDeferred, 10),
        (ResolvedDropped, 10),
        (ResolvedRevoked, 1),
        (ResolvedOfEarlierAlert, 1),
        (LateCleaning, 50),
        (PartlyOutsideHours, 20),
        (OtherRecipients, 5),
        (PartlyOffDuty, 10),
        (ReleasedByDuty, 10),
        (ReleasedByMute, 10),
        (DoneIsProven, 10),
        (DoneIsContradicted, 10),
        (LateDoneIsContradicted, 3),
        (DoneCannotBeMeasured, 10),
        (Expired, 10),
        (Reopened, 1),
        (RepeatedResponse, 10),
        (ReminderHeld, 5),
        (ToldAgain, 10),
        (SnoozeEndsBySeverity, 1),
        (ReleasedBySnooze, 3),
        (DoneSendsResolved, 3),
        (Escalated, 10),
        (EscalatedAfterTaken, 3),
        (EscalationSkips, 1),
        (EscalationWaits, 3),
    ];
    check_features(2..=4, &least);
}

//! What random histories do, so that the model's agreement is about something. `cargo test --test it histories_do -- --nocapture` prints it in per cent of them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::model::config;
use crate::model::naive::Naive;
use crate::model::worlds::some_world;

/// What a history makes happen: the model is worth nothing for what its histories never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Feature {
    /// An alert is suppressed by hours, and sent when they begin.
    ReleasedByHours,
    /// Several devices' alerts are released by hours together.
    ReleasedByHoursAsList,
    /// An alert is over before its hours begin.
    DroppedByHours,
    /// An alert of a sum, a count or feedback is cleaned away before its hours begin.
    CleanedAwayByHours,
    /// A list is sent when a block ends.
    ReleasedByBlock,
    /// A block ends outside of hours.
    FromBlockToHours,
    /// A suppressed alert makes room for a later one of the same rule and device.
    Superseded,
    /// A reminder waits for hours.
    ReminderDeferred,
    /// A reminder is the last one, because the device sends nothing.
    LastReminder,
    /// A resolved notice waits for hours, and is sent when they begin.
    ResolvedDeferred,
    /// A resolved notice waits for hours, and is not sent because the alert fires again.
    ResolvedDropped,
    /// What hours suppressed is over, but people know of an alert before it.
    ResolvedOfEarlierAlert,
    /// A cleaning takes back a part of a sum.
    LateCleaning,
    /// Several rules raise something at one reading, and not all of them are within their hours.
    PartlyOutsideHours,
}

/// How many of a thousand histories with so many rules do each thing, at least.
#[expect(clippy::print_stdout, reason = "worth knowing when the histories are changed")]
fn histories_do(rules: RangeInclusive<usize>, least: &[(Feature, usize)]) {
    const HISTORIES: usize = 2_000;
    let mut runner = TestRunner::new_with_rng(config(1), TestRng::deterministic_rng(RngAlgorithm::XorShift));
    let worlds = some_world(rules);
    let mut counts: BTreeMap<Feature, usize> = BTreeMap::new();
    for _ in 0..HISTORIES {
        let world = worlds.new_tree(&mut runner).unwrap().current();
        let mut naive = Naive::new(&world);
        for happening in &world.history {
            naive.happens(happening);
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
fn histories_of_one_rule_do_what_the_model_is_about() {
    use Feature::*;
    let least = [
        (ReleasedByHours, 50),
        (ReleasedByHoursAsList, 1),
        (DroppedByHours, 25),
        (CleanedAwayByHours, 10),
        (ReleasedByBlock, 50),
        (FromBlockToHours, 1),
        (Superseded, 3),
        (ReminderDeferred, 5),
        (LastReminder, 5),
        (ResolvedDeferred, 4),
        (ResolvedDropped, 3),
        (LateCleaning, 25),
    ];
    histories_do(1..=1, &least);
}

#[test]
fn histories_of_several_rules_do_what_the_model_is_about() {
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
        (ResolvedOfEarlierAlert, 1),
        (LateCleaning, 70),
        (PartlyOutsideHours, 40),
    ];
    histories_do(2..=4, &least);
}

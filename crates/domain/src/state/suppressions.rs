//! Suppressions: alerts and resolved notices that are not sent before a time, each for a reason.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::life::AlertLife;
use crate::alert::{Alert, AlertId, SuppressionReason, is_zero};
use crate::severity::Severity;

/// Most suppressed alerts, and most resolved notices, that are kept. Further alerts are counted, unless they are the first ones
/// of their reason and audience. Further notices are dropped.
const MOST_NAMED: usize = 40;

/// An alert, or the resolved notice of a sent alert, that is not sent before a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suppression {
    /// The alert.
    pub alert: Alert,
    /// The device id of the rule state.
    pub device: String,
    /// Why it is suppressed.
    pub reason: SuppressionReason,
    /// When it can be sent.
    pub until: Timestamp,
    /// The ids of the audiences that were not told; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub to: Vec<String>,
    /// Whether another audience was told about it before.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub told: bool,
    /// When the alert was resolved; `None` while it lasts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved_at: Option<Timestamp>,
    /// Whether an alert of this breach was sent, perhaps a milder one.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub announced: bool,
}

impl Suppression {
    /// Whether only the resolved notice is left to send. A list of blocked alerts contains resolved ones; for another reason
    /// they are dropped.
    #[must_use]
    pub fn is_resolved_notice(&self) -> bool {
        self.resolved_at.is_some() && !self.reason.lists_resolved()
    }
}

/// The suppressions of a zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Suppressions {
    /// In the order in which they were suppressed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    named: Vec<Suppression>,
    /// Alerts beyond the named ones, by reason and audience.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unnamed: Vec<UnnamedSuppressions>,
    /// The number of alerts that no list contains. The zone's next firing alert has it.
    #[serde(skip_serializing_if = "is_zero")]
    counted: usize,
}

/// Suppressed alerts that are only counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnnamedSuppressions {
    reason: SuppressionReason,
    /// The ids of the audiences that were not told; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    to: Vec<String>,
    /// The number of alerts.
    pub count: usize,
    /// When a list with their number can be sent.
    until: Timestamp,
    /// The time of the newest alert.
    newest: Timestamp,
}

impl UnnamedSuppressions {
    /// Whether a list that contains `named` also reports the number of these.
    #[must_use]
    pub fn are_like(&self, named: &Suppression) -> bool {
        self.reason == named.reason && self.to == named.to
    }
}

/// Suppressions that have ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DueSuppressions {
    /// In the order in which they were suppressed.
    pub named: Vec<Suppression>,
    /// The further alerts.
    pub unnamed: Vec<UnnamedSuppressions>,
}

impl Suppressions {
    /// Whether nothing is suppressed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.unnamed.is_empty() && self.counted == 0
    }

    /// Suppresses an alert or a resolved notice. Blocked alerts wait for the last of their blocks, so that one list contains
    /// all of them.
    pub fn add(&mut self, new: Suppression) {
        let reason = new.reason;
        let mut until = new.until;
        if reason == SuppressionReason::Block {
            let named = self.named.iter().filter(|known| known.reason == reason).map(|known| known.until);
            let unnamed = self.unnamed.iter().filter(|known| known.reason == reason).map(|known| known.until);
            until = named.chain(unnamed).fold(until, Ord::max);
            self.named.iter_mut().filter(|known| known.reason == reason).for_each(|known| known.until = until);
            self.unnamed.iter_mut().filter(|known| known.reason == reason).for_each(|known| known.until = until);
        }
        let is_notice = new.is_resolved_notice();
        let alike = || self.named.iter().filter(|known| known.is_resolved_notice() == is_notice);
        let is_first = !is_notice && !alike().any(|known| known.reason == reason && known.to == new.to);
        if is_first || alike().count() < MOST_NAMED {
            self.named.push(Suppression { until, ..new });
        } else if !is_notice {
            let newest = new.alert.at;
            match self.unnamed.iter_mut().find(|known| known.are_like(&new)) {
                Some(known) => {
                    known.count += 1;
                    known.until = known.until.max(until);
                    known.newest = known.newest.max(newest);
                }
                None => self.unnamed.push(UnnamedSuppressions { reason, to: new.to, count: 1, until, newest }),
            }
        }
    }

    /// The devices with a named suppression.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|known| known.device.as_str())
    }

    /// Records that an audience was told about this alert.
    pub fn tell(&mut self, alert: AlertId) {
        self.named.iter_mut().filter(|known| known.alert.id == alert).for_each(|known| known.told = true);
    }

    /// Counts alerts that no list will contain, for the zone's next firing alert.
    pub fn count(&mut self, alerts: usize) {
        self.counted += alerts;
    }

    /// The number of alerts that wait until their suppression ends. Those that are resolved do not count.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let named = self.named.iter().filter(|known| known.resolved_at.is_none()).count();
        named + self.unnamed.iter().map(|known| known.count).sum::<usize>()
    }

    /// Returns and resets the number of counted alerts.
    pub fn take_counted(&mut self) -> usize {
        std::mem::take(&mut self.counted)
    }

    /// Removes the suppressions that a new alert of `rule` for `device` replaces: the resolved notice, and alerts that are not
    /// more severe than `severity`, if there is one. Returns the alert of the removed notice: it was announced and, without the
    /// notice, is not resolved.
    pub fn supersede(&mut self, rule: &str, device: &str, severity: Option<Severity>) -> Option<Alert> {
        let mut announced = None;
        self.named.retain_mut(|known| {
            let is_same = known.alert.rule == rule && known.device == device;
            if is_same && known.is_resolved_notice() {
                announced = Some(known.alert.clone());
                return false;
            }
            !is_same || severity.is_none_or(|severity| known.alert.severity > severity)
        });
        announced
    }

    /// Resolves the suppressed alerts of `rule` for `device` at `at`. `announced` is whether an alert of the breach was sent.
    /// Returns whether a list will report it; other suppressed alerts are dropped.
    pub fn resolve(&mut self, rule: &str, device: &str, at: Timestamp, announced: bool) -> bool {
        let is_same = |known: &Suppression| known.alert.rule == rule && known.device == device;
        self.end(at, is_same, |known| known.announced = announced)
    }

    /// Resolves the suppressed alerts up to `at` that `life` is about: people are done with it.
    pub fn answer(&mut self, life: &AlertLife, at: Timestamp) {
        self.end(at, |known| known.alert.at <= at && life.is_about(&known.alert, &known.device), |_| {});
    }

    /// Resolves the suppressed alerts up to a cleaning at `at` that it `ends`.
    pub fn clean(&mut self, at: Timestamp, ends: impl Fn(&Alert) -> bool) {
        self.end(at, |known| known.alert.at <= at && ends(&known.alert), |_| {});
        self.unnamed.retain(|unnamed| unnamed.reason.lists_resolved() || unnamed.newest > at);
    }

    /// Resolves the suppressed alerts that `ends` selects at `at`, and changes each that a list will report. Drops the others.
    /// Returns whether a list will report one.
    fn end(&mut self, at: Timestamp, ends: impl Fn(&Suppression) -> bool, change: impl Fn(&mut Suppression)) -> bool {
        let mut is_listed = false;
        self.named.retain_mut(|known| {
            if known.resolved_at.is_some() || !ends(known) {
                return true;
            }
            if known.reason.lists_resolved() {
                known.resolved_at = Some(at);
                change(known);
                is_listed = true;
            }
            known.resolved_at.is_some()
        });
        is_listed
    }

    /// When the first suppression ends.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let unnamed = self.unnamed.iter().map(|unnamed| unnamed.until);
        self.named.iter().map(|known| known.until).chain(unnamed).min()
    }

    /// Removes and returns the suppressions that end by `at`.
    pub fn take_due(&mut self, at: Timestamp) -> DueSuppressions {
        let named = self.named.extract_if(.., |known| known.until <= at).collect();
        let unnamed = self.unnamed.extract_if(.., |unnamed| unnamed.until <= at).collect();
        DueSuppressions { named, unnamed }
    }
}

#[cfg(test)]
mod tests {
    use super::SuppressionReason::{Block, Duty, Hours};
    use super::*;
    use crate::alert::Trigger;
    use crate::digest::Digest;
    use crate::location::Location;
    use crate::reading::Reading;

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * number).unwrap()
    }

    fn alert(rule: &str, severity: Severity, at: i64) -> Alert {
        Alert {
            id: AlertId::of(rule, &Reading::read("{}").unwrap()),
            rule: rule.to_owned(),
            title: String::new(),
            template: None,
            action: None,
            severity,
            breaches: Vec::new(),
            trigger: Trigger::Immediate,
            reasons: Vec::new(),
            at: minute(at),
            reading: Digest::of(b"{}"),
            location: Location::default(),
        }
    }

    fn of(rule: &str, device: &str, at: i64, reason: SuppressionReason, until: i64) -> Suppression {
        let alert = alert(rule, Severity::Medium, at);
        let (device, until) = (device.to_owned(), minute(until));
        Suppression { alert, device, reason, until, to: Vec::new(), told: false, resolved_at: None, announced: false }
    }

    /// The resolved notice of a sent alert.
    fn notice(rule: &str, device: &str, until: i64) -> Suppression {
        Suppression { resolved_at: Some(minute(1)), announced: true, ..of(rule, device, 0, Hours, until) }
    }

    fn suppressed(all: impl IntoIterator<Item = Suppression>) -> Suppressions {
        let mut suppressions = Suppressions::default();
        all.into_iter().for_each(|one| suppressions.add(one));
        suppressions
    }

    /// Rule and device of each named suppression, and whether it is resolved.
    fn named(suppressions: &Suppressions) -> Vec<(String, String, bool)> {
        let of = |one: &Suppression| (one.alert.rule.clone(), one.device.clone(), one.resolved_at.is_some());
        suppressions.named.iter().map(of).collect()
    }

    /// Reason, audience and number of unnamed suppressions.
    fn unnamed(due: &DueSuppressions) -> Vec<(SuppressionReason, &str, usize)> {
        due.unnamed.iter().map(|one| (one.reason, one.to.first().map_or("", String::as_str), one.count)).collect()
    }

    fn one(rule: &str, device: &str, is_resolved: bool) -> (String, String, bool) {
        (rule.to_owned(), device.to_owned(), is_resolved)
    }

    #[test]
    fn blocked_alerts_wait_for_the_last_of_their_blocks_and_others_for_their_own_time() {
        let mut all = suppressed([of("r", "d", 0, Block, 15), of("h", "d", 0, Hours, 12), of("s", "d", 1, Block, 10)]);
        assert_eq!(all.due(), Some(minute(12)));
        assert_eq!(all.take_due(minute(11)), DueSuppressions::default());
        assert_eq!(all.take_due(minute(12)).named, [of("h", "d", 0, Hours, 12)]);
        assert_eq!(all.take_due(minute(14)), DueSuppressions::default());
        assert_eq!(all.take_due(minute(15)).named.len(), 2);
        assert!(all.is_empty());
        let all = suppressed([of("r", "d", 0, Block, 15), of("s", "d", 1, Block, 20)]);
        assert_eq!(all.due(), Some(minute(20)));
    }

    #[test]
    fn more_alerts_than_can_be_named_are_counted_by_reason() {
        for reason in [Block, Hours] {
            let mut all = suppressed((0..43).map(|number| of("r", &number.to_string(), number, reason, 60)));
            assert_eq!(all.take_due(minute(59)), DueSuppressions::default());
            let released = all.take_due(minute(60));
            assert_eq!((released.named.len(), unnamed(&released)), (40, vec![(reason, "", 3)]));
            assert!(all.is_empty());
        }
    }

    #[test]
    fn alerts_that_are_only_counted_are_due_when_their_audience_is_told() {
        let of = |to: &str, number: i64, until| {
            let to = vec![to.to_owned()];
            Suppression { to, ..of("r", &number.to_string(), number, Duty, until) }
        };
        let mut all = suppressed((0..43).flat_map(|number| [of("day", number, 60), of("evening", number, 90)]));
        let day = all.take_due(minute(60));
        assert_eq!((day.named.len(), unnamed(&day)), (20, vec![(Duty, "day", 23)]));
        assert_eq!(all.due(), Some(minute(90)));
        let evening = all.take_due(minute(90));
        assert_eq!((evening.named.len(), unnamed(&evening)), (20, vec![(Duty, "evening", 23)]));
        assert!(all.is_empty());
    }

    #[test]
    fn notices_do_not_count_towards_the_limit_of_alerts() {
        let alerts = (0..42).map(|number| of("r", &number.to_string(), number, Hours, 60));
        let mut all = suppressed((0..42).map(|number| notice("r", &number.to_string(), 60)).chain(alerts));
        let released = all.take_due(minute(60));
        assert_eq!((released.named.len(), unnamed(&released)), (80, vec![(Hours, "", 2)]), "notices are not counted");
    }

    #[test]
    fn a_resolved_alert_is_marked_if_a_list_contains_it_and_dropped_otherwise() {
        let mut all = suppressed([of("r", "d", 0, Block, 15), of("r", "e", 0, Block, 15), of("s", "d", 0, Hours, 90)]);
        assert!(!all.resolve("s", "e", minute(1), false));
        assert!(all.resolve("r", "d", minute(2), false));
        assert!(!all.resolve("r", "d", minute(3), false), "it is resolved already");
        assert!(!all.resolve("s", "d", minute(3), false), "no list contains it");
        assert_eq!(named(&all), [one("r", "d", true), one("r", "e", false)]);
        assert_eq!(all.take_due(minute(15)).named[0].resolved_at, Some(minute(2)));
    }

    #[test]
    fn a_cleaning_resolves_the_alerts_up_to_it() {
        let counts = |alert: &Alert| alert.rule == "sum";
        let mut all = suppressed([
            of("sum", "d", 5, Block, 15),
            of("sum", "d", 6, Block, 15),
            of("sum", "d", 5, Hours, 90),
            of("sum", "e", 6, Hours, 90),
            of("level", "d", 0, Hours, 90),
            notice("sum", "f", 90),
        ]);
        all.clean(minute(5), counts);
        let expected =
            [one("sum", "d", true), one("sum", "d", false), one("sum", "e", false), one("level", "d", false)];
        assert_eq!(named(&all)[..4], expected);
        assert_eq!(all.named.len(), 5);
        all.clean(minute(6), counts);
        assert_eq!(named(&all)[..3], [one("sum", "d", true), one("sum", "d", true), one("level", "d", false)]);
    }

    #[test]
    fn a_cleaning_drops_unnamed_alerts_if_all_of_them_came_before_it() {
        let left = |cleaned: i64, reason| {
            let mut all = suppressed((0..43).map(|number| of("sum", &number.to_string(), number, reason, 99)));
            all.clean(minute(cleaned), |_| true);
            unnamed(&all.take_due(minute(99))).iter().map(|(_, _, count)| count).sum::<usize>()
        };
        assert_eq!(left(41, Hours), 3);
        assert_eq!(left(42, Hours), 0);
        assert_eq!(left(42, Block), 3, "a list of blocked alerts contains resolved ones");
    }

    #[test]
    fn a_new_alert_replaces_milder_ones_of_its_rule_and_device_and_the_resolved_notice() {
        let all = || {
            suppressed([
                of("r", "d", 0, Block, 15),
                of("r", "d", 1, Hours, 90),
                of("r", "e", 1, Hours, 90),
                of("s", "d", 1, Hours, 90),
                notice("r", "d", 90),
            ])
        };
        use Severity::{High, Low, Medium};
        for (severity, left) in [(None, 4), (Some(Low), 4), (Some(Medium), 2), (Some(High), 2)] {
            let mut all = all();
            assert_eq!(all.supersede("r", "d", severity), Some(alert("r", Medium, 0)));
            assert_eq!(all.named.len(), left, "{severity:?}");
        }
        assert_eq!(all().supersede("s", "d", Some(High)), None, "no alert was sent");
    }

    #[test]
    fn counted_alerts_are_returned_once_and_none_are_not_serialized() {
        let mut all = suppressed([of("r", "d", 0, Block, 15)]);
        assert!(!serde_json::to_string(&all).unwrap().contains("counted"));
        all.count(2);
        assert!(serde_json::to_string(&all).unwrap().contains(r#""counted":2"#));
        assert_eq!((all.take_counted(), all.take_counted()), (2, 0));
    }
}

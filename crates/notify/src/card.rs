//! An open alert in words, for a page. In English.

use jiff::Timestamp;

use super::email::measured;
use super::facts::Facts;
use super::texts::Texts;
use super::time::{self, elapsed, zone};
use domain::alert::Alert;
use domain::alert::life::AlertLife;
use domain::digest::Digest;
use domain::location::Location;
use domain::rules::RuleSet;
use domain::severity::Severity;

/// An open alert in words. Everything in it is safe to show: one line each, at most 120 characters of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertCard {
    /// The title of the rule: "Bad smell".
    pub title: String,
    /// The worst severity so far.
    pub severity: Severity,
    /// All names of the location: "Tower A · Level 2 Male Washroom · Soap by the door".
    pub location: String,
    /// The floor of the zone.
    pub floor: Option<String>,
    /// The notes of site, zone and device, for cleaners.
    pub notes: Vec<String>,
    /// The value and the limit: "ammonia: 270 ppb, 1.4 times the limit of 200 ppb".
    pub measured: Option<String>,
    /// The reasons of feedback.
    pub reasons: Vec<String>,
    /// Since when it lasts: "13:40".
    pub since: String,
    /// For how long: "19 min".
    pub duration: String,
    /// The time zone of all times: "Asia/Singapore", or "UTC+08:00".
    pub time_zone: String,
    /// What people should do.
    pub action: Option<String>,
    place: Location,
    now: Timestamp,
}

impl AlertCard {
    /// The words for `life` at `now`.
    #[must_use]
    pub fn new(life: &AlertLife, rules: &RuleSet, now: Timestamp) -> Self {
        let texts = Texts::new("en", rules);
        let rule = rules.rule(&life.rule);
        let alert = Alert {
            id: life.alert,
            rule: life.rule.clone(),
            title: life.title.clone(),
            template: None,
            action: rule.and_then(|rule| rule.action.clone()),
            severity: life.severity,
            breaches: life.breach.iter().cloned().collect(),
            trigger: life.trigger,
            reasons: life.reasons.clone(),
            at: life.at,
            reading: Digest::of(&[]),
            location: life.location.clone(),
        };
        let mut facts = Facts::new(&[alert], &texts);
        let (first, since) = (facts.alerts.remove(0), life.trigger.since().unwrap_or(life.at));
        Self {
            severity: first.severity,
            location: facts.names.full(),
            floor: facts.names.floor,
            notes: facts.names.notes,
            measured: first.breaches.first().map(|breach| measured(breach, &texts)),
            reasons: first.reasons,
            since: time::moment(&texts, &first.location, since, now),
            duration: elapsed(&texts, since, now),
            time_zone: zone(&first.location, now),
            action: first.action,
            title: first.title,
            place: first.location,
            now,
        }
    }

    /// The local time of `at`, with a date if it is on another day than now.
    #[must_use]
    pub fn moment(&self, at: Timestamp) -> String {
        time::moment(&Texts::english(), &self.place, at, self.now)
    }
}

/// The local time of `at`, with a date if it is on another day than `now`: "13:40", "Tue 13:40".
#[must_use]
pub fn moment(location: &Location, rules: &RuleSet, at: Timestamp, now: Timestamp) -> String {
    let location = Location { local_zone: location.local_zone(&rules.names).clone(), ..location.clone() };
    time::moment(&Texts::english(), &location, at, now)
}

#[cfg(test)]
mod tests {
    use domain::alert::Trigger;
    use domain::alert::life::Targets;

    use super::*;
    use crate::fixtures::bad_smell_at;

    fn card(alert: &Alert, rules: &RuleSet, now: &str) -> AlertCard {
        let rule = rules.rules.iter().find(|rule| rule.id == "smell").or(rules.rules.first()).unwrap();
        let life = AlertLife::new(alert, rule, "device", &[], Targets::default(), alert.at);
        AlertCard::new(&life, rules, now.parse().unwrap())
    }

    #[test]
    fn an_alert_has_its_location_its_value_and_its_local_time() {
        let names = "[[zone]]\nid = \"zone-1\"\nname = \"Lobby\"\nfloor = \"2\"\nnote = \"Key at the desk\"";
        let rules = RuleSet::parse("rules.toml", names).unwrap();
        let mut alert = bad_smell_at("Sensor");
        alert.location.zone = Some("zone-1".into());
        alert.trigger = Trigger::Sustained { since: "2022-06-01T05:40:00Z".parse().unwrap() };
        let card = card(&alert, &rules, "2022-06-02T05:59:45Z");
        assert_eq!((card.location.as_str(), card.floor.as_deref()), ("Lobby · Sensor", Some("2")));
        assert_eq!(card.notes, ["Key at the desk"]);
        assert_eq!(card.measured.as_deref(), Some("ammonia: 270 ppb, 1.4 times the limit of 200 ppb"));
        assert_eq!((card.since.as_str(), card.duration.as_str()), ("Wed 13:40", "24 h"));
        assert_eq!(card.time_zone, "Asia/Singapore");
        assert_eq!(card.moment("2022-06-02T06:15:00Z".parse().unwrap()), "14:15");
    }

    #[test]
    fn names_are_one_short_line_without_direction_marks() {
        let card = |display: &str| card(&bad_smell_at(display), &RuleSet::pack(), "2022-06-01T05:59:45Z").location;
        assert_eq!(card("a\u{202e}b\r\nc"), "a b c");
        assert_eq!(card(&"x".repeat(10_000)), "x".repeat(120));
    }
}

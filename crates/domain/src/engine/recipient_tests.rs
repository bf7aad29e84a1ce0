//! Audiences and mutes: who gets which message, and when. All times are of days in November 2026, in UTC; 23 November is a
//! Monday.

use jiff::Timestamp;
use serde_json::json;

use super::fixtures::rules;
use super::{Evaluation, evaluate, next_due, respond, sweep};
use crate::alert::Message;
use crate::reading::Reading;
use crate::response::Response;
use crate::rules::RuleSet;
use crate::state::{OutboxEntry, ZoneState};

/// A team that is on duty by day, and one that always is.
const TEAMS: &str = r#"
block = "none"
[[rule]]
id = "silent"
enabled = false
[[rule]]
id = "soap-low"
resolved = true
[[audience]]
id = "day"
rules = ["soap-low", "bin-full"]
on_duty = "Mon-Sat 07:00-15:00"
[[audience]]
id = "all-day"
rules = ["soap-low"]
"#;

struct Zone {
    rules: RuleSet,
    state: ZoneState,
    sent: Vec<OutboxEntry>,
}

fn at(clock: &str) -> Timestamp {
    let (day, time) = clock.split_once(' ').unwrap();
    format!("2026-11-{day}T{time}:00Z").parse().unwrap()
}

impl Zone {
    fn new(text: &str) -> Self {
        Self { rules: rules(text), state: ZoneState::default(), sent: Vec::new() }
    }

    fn push(&mut self, device: &str, device_type: &str, value: f64, clock: &str) -> Vec<String> {
        let text = json!({
            "DevType": device_type, "DEVID": device, "InsID": "z", "PID": "p", "unixT": at(clock).as_millisecond(),
            "v": { "p": value, "b": value },
        });
        let text = text.to_string();
        let state = std::mem::take(&mut self.state);
        self.apply(evaluate(&self.rules, state, &[&Reading::read(&text).unwrap()], at(clock), at(clock)))
    }

    fn soap(&mut self, value: f64, clock: &str) -> Vec<String> {
        self.push("d", "SS", value, clock)
    }

    fn sweep(&mut self, clock: &str) -> Vec<String> {
        let state = std::mem::take(&mut self.state);
        self.apply(sweep(&self.rules, state, at(clock), true))
    }

    /// Stores the new state, whose alerts a sweep archives, and returns the messages.
    fn apply(&mut self, evaluation: Evaluation) -> Vec<String> {
        self.state = evaluation.state;
        self.state.lives.take_facts();
        self.sent.extend(evaluation.messages.clone());
        evaluation.messages.iter().map(shown).collect()
    }
}

/// "firing soap-low to day".
fn shown(entry: &OutboxEntry) -> String {
    let names = |alerts: Vec<&str>| alerts.join("+");
    let what = match &entry.message {
        Message::Firing { alerts, .. } => {
            format!("firing {}", names(alerts.iter().map(|one| one.rule.as_str()).collect()))
        }
        Message::Reminder { alert, .. } => format!("reminder {}", alert.rule),
        Message::Escalated { alert, .. } => format!("escalated {}", alert.rule),
        Message::Resolved { alert, .. } => format!("resolved {}", alert.rule),
        Message::Suppressed { reason, alerts, more } => {
            let listed = names(alerts.iter().map(|one| one.alert.rule.as_str()).collect());
            format!("{reason:?} {listed} {more}")
        }
        Message::Notice(notice) => format!("{notice:?}"),
    };
    if entry.to.is_empty() { what } else { format!("{what} to {}", entry.to.join(",")) }
}

const NOTHING: [&str; 0] = [];

#[test]
fn without_audiences_everybody_is_told() {
    let mut zone = Zone::new("");
    assert_eq!(zone.soap(4.0, "23 08:00"), ["firing soap-low"]);
}

#[test]
fn an_alert_goes_to_each_audience_that_matches() {
    let mut zone = Zone::new(TEAMS);
    assert_eq!(zone.soap(4.0, "23 08:00"), ["firing soap-low to all-day,day"]);
    assert_eq!(zone.push("b", "BIN", 4.0, "23 08:01"), ["firing bin-full to day"]);
    assert_eq!(zone.push("t", "TR", 4.0, "23 08:02"), ["firing toilet-paper-low"], "no audience matches: everybody");
}

#[test]
fn an_audience_off_duty_is_told_once_when_its_duty_begins_and_the_others_at_once() {
    let mut zone = Zone::new(TEAMS);
    assert_eq!(zone.soap(4.0, "23 15:00"), ["firing soap-low to all-day"]);
    assert_eq!(next_due(&zone.rules, &zone.state), Some(at("24 07:00")));
    assert_eq!(zone.sweep("24 06:59"), NOTHING);
    assert_eq!(zone.sweep("24 07:00"), ["firing soap-low to day"]);
    assert_eq!(zone.sweep("24 07:01"), NOTHING);
    assert_eq!(zone.sweep("25 07:00"), NOTHING);
    let [first, second] = &zone.sent[..] else { panic!("{:?}", zone.sent) };
    assert_ne!(first.id, second.id, "the outbox can hold both");
    assert_eq!(zone.soap(90.0, "25 08:00"), ["resolved soap-low to all-day,day"]);
}

#[test]
fn duty_begins_on_its_days_only() {
    let mut zone = Zone::new(TEAMS);
    // Saturday.
    assert_eq!(zone.push("b", "BIN", 4.0, "28 14:59"), ["firing bin-full to day"]);
    assert_eq!(zone.push("c", "BIN", 4.0, "28 15:00"), NOTHING);
    assert_eq!(zone.sweep("29 07:00"), NOTHING, "on Sunday");
    assert_eq!(zone.sweep("30 07:00"), ["firing bin-full to day"]);
}

#[test]
fn an_alert_that_is_resolved_before_the_duty_begins_is_not_sent_then() {
    let mut zone = Zone::new(TEAMS);
    assert_eq!(zone.soap(4.0, "23 15:00"), ["firing soap-low to all-day"]);
    assert_eq!(zone.soap(90.0, "23 16:00"), ["resolved soap-low to all-day"]);
    assert_eq!(zone.sweep("24 07:00"), NOTHING);
    // Nobody was told: no resolved notice either.
    let mut zone = Zone::new(&TEAMS.replace("rules = [\"soap-low\"]", "rules = [\"bin-full\"]"));
    assert_eq!(zone.soap(4.0, "23 15:00"), NOTHING);
    assert_eq!(zone.soap(90.0, "23 16:00"), NOTHING);
    assert_eq!(zone.sweep("24 07:00"), NOTHING);
}

#[test]
fn a_resolved_notice_waits_for_the_first_duty_if_nobody_is_on_duty() {
    let mut zone = Zone::new(&TEAMS.replace("id = \"all-day\"", "id = \"all-day\"\non_duty = \"06:00-15:00\""));
    assert_eq!(zone.soap(4.0, "23 14:59"), ["firing soap-low to all-day,day"]);
    assert_eq!(zone.soap(90.0, "23 15:30"), NOTHING);
    assert_eq!(zone.sweep("24 05:59"), NOTHING);
    assert_eq!(zone.sweep("24 06:00"), ["resolved soap-low to all-day"]);
    assert_eq!(zone.sweep("24 07:00"), NOTHING);
}

#[test]
fn reminders_go_to_those_who_are_on_duty_then() {
    let mut zone = Zone::new(&TEAMS.replace("resolved = true", "reminder = \"4h\""));
    assert_eq!(zone.soap(4.0, "23 12:00"), ["firing soap-low to all-day,day"]);
    assert_eq!(zone.sweep("23 16:00"), ["reminder soap-low to all-day"]);
    let mut zone =
        Zone::new(&TEAMS.replace("resolved = true", "reminder = \"4h\"").replace("[\"soap-low\"]", "[\"bin-full\"]"));
    assert_eq!(zone.soap(4.0, "23 12:00"), ["firing soap-low to day"]);
    assert_eq!(next_due(&zone.rules, &zone.state), Some(at("24 07:00")), "nobody is on duty in four hours");
    assert_eq!(zone.sweep("23 16:00"), NOTHING);
    assert_eq!(zone.sweep("24 07:00"), ["reminder soap-low to day"]);
}

#[test]
fn a_duty_that_begins_does_not_change_the_reminders_of_those_who_were_told() {
    let mut zone = Zone::new(&TEAMS.replace("resolved = true", "reminder = \"4h\""));
    assert_eq!(zone.soap(4.0, "23 05:00"), ["firing soap-low to all-day"]);
    assert_eq!(zone.sweep("23 07:00"), ["firing soap-low to day"]);
    assert_eq!(zone.sweep("23 08:59"), NOTHING);
    assert_eq!(zone.sweep("23 09:00"), ["reminder soap-low to all-day,day"]);
}

const CHAIN: &str = r#"
block = "none"
[[rule]]
id = "silent"
enabled = false
[[audience]]
id = "day"
rules = ["soap-low"]
on_duty = "07:00-15:00"
else = "evening"
[[audience]]
id = "evening"
severity = "critical"
on_duty = ["15:00-20:00", "21:00-22:00"]
else = "boss"
[[audience]]
id = "boss"
severity = "critical"
on_duty = "Mon-Fri 06:00-23:00"
"#;

#[test]
fn else_is_told_at_once_and_followed_until_somebody_is_on_duty() {
    let mut zone = Zone::new(CHAIN);
    assert_eq!(zone.push("1", "SS", 4.0, "23 14:59"), ["firing soap-low to day"]);
    assert_eq!(zone.push("2", "SS", 4.0, "23 15:00"), ["firing soap-low to evening"]);
    assert_eq!(zone.push("3", "SS", 4.0, "23 20:30"), ["firing soap-low to boss"]);
    assert_eq!(zone.push("4", "SS", 4.0, "23 21:00"), ["firing soap-low to evening"]);
    assert_eq!(zone.sweep("24 07:00"), NOTHING, "told by another is told");
    assert_eq!(zone.push("5", "SS", 4.0, "24 23:00"), NOTHING, "nobody along the chain");
    assert_eq!(zone.sweep("25 06:00"), NOTHING);
    assert_eq!(zone.sweep("25 07:00"), ["firing soap-low to day"]);
}

#[test]
fn alerts_of_one_reading_with_other_recipients_are_other_messages_and_do_not_block_each_other() {
    let text = format!(
        "{}[[rule]]\nid = \"again\"\ntitle = \"Again\"\ntypes = [\"SS\"]\nmetric = \"p\"\nbelow = 5\nseverity = \"high\"\n",
        TEAMS.replace("block = \"none\"", "block = \"15m\"")
    );
    let mut zone = Zone::new(&text);
    assert_eq!(zone.soap(4.0, "23 08:00"), ["firing again", "firing soap-low to all-day,day"]);
    // Both are blocked now; who is told is decided when the block ends.
    assert_eq!(zone.push("e", "SS", 4.0, "23 08:01"), NOTHING);
    assert_eq!(zone.sweep("23 08:15"), ["Block again 0", "Block soap-low 0 to all-day,day"]);
}

#[test]
fn a_blocked_alert_is_neither_lost_nor_repeated_if_a_duty_ends_or_begins_meanwhile() {
    let text = TEAMS.replace("block = \"none\"", "block = \"15m\"");
    let mut zone = Zone::new(&text);
    assert_eq!(zone.push("1", "SS", 4.0, "23 14:50"), ["firing soap-low to all-day,day"]);
    assert_eq!(zone.push("2", "SS", 4.0, "23 14:55"), NOTHING);
    assert_eq!(zone.sweep("23 15:05"), ["Block soap-low 0 to all-day"]);
    assert_eq!(zone.sweep("24 07:00"), ["firing soap-low to day"]);
    assert_eq!(zone.sweep("24 07:15"), NOTHING);
    // The duty of the one begins within the block of the other.
    let mut zone = Zone::new(&text);
    assert_eq!(zone.push("1", "SS", 4.0, "23 06:50"), ["firing soap-low to all-day"]);
    assert_eq!(zone.push("2", "SS", 4.0, "23 06:55"), NOTHING);
    assert_eq!(zone.sweep("23 07:00"), ["firing soap-low to day"], "of the first dispenser");
    assert_eq!(zone.sweep("23 07:05"), ["Block soap-low 0 to all-day,day"], "of the second one");
    assert_eq!(zone.sweep("24 07:00"), NOTHING);
}

#[test]
fn a_worse_alert_replaces_the_one_that_waits_for_a_duty() {
    let mut zone =
        Zone::new(&TEAMS.replace("[\"soap-low\", \"bin-full\"]", "[\"air-quality-lite\", \"ammonia-lite\"]"));
    let mut ammonia = |value: f64, clock: &str| {
        let text = json!({
            "DevType": "ODRDTR_BATT_V1", "DEVID": "a", "InsID": "z", "unixT": at(clock).as_millisecond(),
            "v": { "amm": value },
        });
        let text = text.to_string();
        let state = std::mem::take(&mut zone.state);
        let evaluation = evaluate(&zone.rules, state, &[&Reading::read(&text).unwrap()], at(clock), at(clock));
        zone.apply(evaluation)
    };
    assert_eq!(ammonia(250.0, "23 16:00"), NOTHING);
    assert_eq!(ammonia(550.0, "23 17:00"), NOTHING);
    assert_eq!(zone.sweep("24 07:00"), ["firing ammonia-lite to day"]);
    let Message::Firing { alerts, .. } = &zone.sent[0].message else { panic!("{:?}", zone.sent) };
    assert_eq!((alerts.len(), alerts[0].at), (1, at("23 17:00")));
}

#[test]
fn a_cleaning_ends_a_count_that_waits_for_a_duty() {
    let mut zone = Zone::new(&TEAMS.replace("\"bin-full\"", "\"high-usage\""));
    let used = |zone: &mut Zone, clock: &str| {
        let text = json!({
            "DevType": "UM", "DEVID": "u", "InsID": "z", "unixT": at(clock).as_millisecond(), "v": { "count": 40 },
        });
        let text = text.to_string();
        let state = std::mem::take(&mut zone.state);
        zone.apply(evaluate(&zone.rules, state, &[&Reading::read(&text).unwrap()], at(clock), at(clock)))
    };
    assert_eq!(used(&mut zone, "23 16:00"), NOTHING);
    let state = std::mem::take(&mut zone.state);
    zone.apply(respond(
        &zone.rules,
        state,
        &[&Response::reported("z", at("23 17:00"))],
        at("23 17:00"),
        at("23 17:00"),
    ));
    assert_eq!(zone.sweep("24 07:00"), NOTHING);
    assert_eq!(used(&mut zone, "24 16:00"), NOTHING);
    assert_eq!(zone.sweep("25 07:00"), ["firing high-usage to day"]);
}

#[test]
fn alerts_of_several_devices_that_wait_for_a_duty_are_one_list_for_each_audience() {
    let text = TEAMS.replace("id = \"all-day\"", "id = \"all-day\"\non_duty = \"07:00-15:00\"");
    let mut zone = Zone::new(&text);
    for number in 0..42 {
        zone.push(&number.to_string(), "SS", 4.0, "23 16:00");
    }
    assert_eq!(zone.sent.len(), 0);
    let sent = zone.sweep("24 07:00");
    // Of 84 suppressions, two for each device, 40 are named. Each list has the number of the other ones of its audience.
    let [one, other] = &sent[..] else { panic!("{sent:?}") };
    assert!(one.starts_with("Duty soap-low+") && one.ends_with(" 22 to all-day"), "{one}");
    assert!(other.starts_with("Duty soap-low+") && other.ends_with(" 22 to day"), "{other}");
}

#[test]
fn alerts_that_wait_for_one_audience_neither_hide_nor_count_that_of_another() {
    let mut zone = Zone::new(&TEAMS.replace("id = \"all-day\"", "id = \"all-day\"\non_duty = \"09:00-15:00\""));
    for number in 0..45 {
        zone.push(&number.to_string(), "BIN", 4.0, "23 16:00");
    }
    zone.soap(4.0, "23 16:00");
    let sent = zone.sweep("24 07:00");
    // Five bins and the soap.
    assert!(matches!(&sent[..], [one] if one.starts_with("Duty bin-full+") && one.ends_with(" 6 to day")), "{sent:?}");
    assert_eq!(zone.sweep("24 09:00"), ["firing soap-low to all-day"]);
    let Some(Message::Firing { blocked: 0, .. }) = zone.sent.last().map(|entry| &entry.message) else {
        panic!("{:?}", zone.sent.last())
    };
}

#[test]
fn if_the_rules_no_longer_have_the_audience_those_of_the_new_rules_are_told() {
    let mut zone = Zone::new(TEAMS);
    zone.push("b", "BIN", 4.0, "23 16:00");
    zone.rules = rules(&TEAMS.replace("id = \"day\"", "id = \"morning\""));
    assert_eq!(zone.sweep("24 07:00"), ["firing bin-full to morning"]);
    let mut zone = Zone::new(TEAMS);
    zone.push("b", "BIN", 4.0, "23 16:00");
    zone.rules = rules("");
    assert_eq!(zone.sweep("24 07:00"), ["firing bin-full"], "everybody");
}

const MUTE: &str = r#"
[[mute]]
zones = ["z"]
rules = ["soap-low", "bin-full"]
until = "2026-11-24"
reason = "renovation"
"#;

#[test]
fn a_muted_alert_is_sent_once_at_the_end_to_the_recipients_of_that_moment_if_it_still_fires() {
    let mut zone = Zone::new(&format!("{TEAMS}{MUTE}"));
    assert_eq!(zone.soap(4.0, "23 08:00"), NOTHING);
    assert_eq!(zone.push("b", "BIN", 4.0, "23 08:00"), NOTHING);
    assert_eq!(zone.push("t", "TR", 4.0, "23 08:00"), ["firing toilet-paper-low"], "another rule");
    assert_eq!(next_due(&zone.rules, &zone.state), Some(at("24 00:00")));
    assert_eq!(zone.sweep("23 23:59"), NOTHING);
    assert_eq!(zone.sweep("24 00:00"), ["firing soap-low to all-day"]);
    assert_eq!(zone.sweep("24 07:00"), ["Duty soap-low+bin-full 0 to day"]);
    assert_eq!(zone.sweep("25 00:00"), NOTHING);
}

#[test]
fn what_is_resolved_during_a_mute_is_not_sent() {
    let mut zone = Zone::new(&format!("{TEAMS}{MUTE}"));
    assert_eq!(zone.soap(4.0, "23 08:00"), NOTHING);
    assert_eq!(zone.soap(90.0, "23 09:00"), NOTHING, "no resolved notice of an alert that nobody got");
    assert_eq!(zone.sweep("24 00:00"), NOTHING);
    assert_eq!(zone.soap(4.0, "24 08:00"), ["firing soap-low to all-day,day"]);
}

#[test]
fn a_mute_ends_when_the_file_says_so_also_if_it_was_changed_meanwhile() {
    let mut zone = Zone::new(&format!("{TEAMS}{MUTE}"));
    zone.soap(4.0, "23 08:00");
    zone.rules = rules(&format!("{TEAMS}{}", MUTE.replace("2026-11-24", "2026-11-24 08:00")));
    assert_eq!(zone.sweep("24 00:00"), NOTHING, "it is longer now");
    assert_eq!(zone.sweep("24 07:59"), NOTHING);
    assert_eq!(zone.sweep("24 08:00"), ["firing soap-low to all-day,day"]);
}

#[test]
fn reminders_wait_for_the_end_of_a_mute() {
    let text = TEAMS.replace("resolved = true", "reminder = \"1h\"");
    let mut zone = Zone::new(&text);
    assert_eq!(zone.soap(4.0, "23 07:00"), ["firing soap-low to all-day,day"]);
    zone.rules = rules(&format!("{text}{MUTE}"));
    assert_eq!(zone.sweep("23 08:00"), NOTHING);
    assert_eq!(zone.sweep("24 00:00"), ["reminder soap-low to all-day"]);
}

#[test]
fn a_suppression_keeps_its_audience_in_the_stored_state() {
    let mut zone = Zone::new(TEAMS);
    zone.soap(4.0, "23 15:00");
    let stored = serde_json::to_string(&zone.state).unwrap();
    assert!(stored.contains(r#""reason":"duty""#) && stored.contains(r#""to":["day"]"#), "{stored}");
    assert_eq!(serde_json::from_str::<ZoneState>(&stored).unwrap(), zone.state);
}

#[test]
fn an_alert_that_waited_for_two_audiences_is_sent_once_to_the_one_that_both_lead_to() {
    let team = |id: &str| {
        format!("[[audience]]\nid = \"{id}\"\nrules = [\"soap-low\"]\non_duty = \"06:00-08:00\"\nelse = \"z\"\n")
    };
    let rule = "[[rule]]\nid = \"soap-low\"\nactive = \"08:00-00:00\"\n";
    let other = "[[audience]]\nid = \"z\"\nseverity = \"critical\"\non_duty = \"08:00-20:00\"\n";
    let mut zone = Zone::new(&format!("{rule}{}{}{other}", team("x"), team("y")));
    assert_eq!(zone.soap(4.0, "23 23:00"), NOTHING);
    assert_eq!(zone.sweep("24 06:00"), NOTHING);
    assert_eq!(zone.sweep("24 08:00"), ["firing soap-low to z"]);
    assert_eq!(zone.sweep("24 08:01"), NOTHING);
}

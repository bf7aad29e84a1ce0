//! Answers to one alert: what they end and what they leave.

use super::fixtures::{at, rules};
use super::followed_zone::{AMMONIA, FollowedZone, NOTHING};
use super::{respond, sweep};
use crate::alert::{AlertId, Message};
use crate::response::{Response, ResponseSource};
use crate::state::{Channel, Outbox, OutboxEntry, ZoneState};

const RESOLVED: &str = "[[rule]]\nid = \"soap-low\"\nresolved = true\n";

#[test]
fn done_ends_the_alert_of_its_rule_and_device_and_no_other() {
    let mut zone = FollowedZone::new(RESOLVED);
    zone.soap(4.0, "10:00");
    zone.push("UM", "count", 30.0, "10:01");
    zone.push("UM", "count", 20.0, "10:02");
    let messages = zone.done("soap-low", "10:10");
    assert!(matches!(&messages[..], [Message::Resolved { at: end, .. }] if *end == at("10:10")), "{messages:?}");
    assert_eq!(zone.open(), ["soap-low 10:00 reported 10:10", "high-usage 10:01"]);
    assert_eq!(zone.state.cleaned, None);
    zone.push("UM", "count", 10.0, "10:11");
    assert_eq!(zone.open().last().unwrap(), "high-usage 10:11", "its count went on");
    zone.soap(3.0, "10:12");
    assert_eq!(zone.ended(), ["soap-low 10:00 reported 10:10 contradicted 10:12"]);
    assert_eq!(zone.open().last().unwrap(), "soap-low 10:12");
}

#[test]
fn done_restarts_the_sum_of_its_device_and_readings_of_before_do_not_count() {
    let mut zone = FollowedZone::new(RESOLVED);
    zone.push("UM", "count", 30.0, "10:01");
    zone.push("UM", "count", 20.0, "10:02");
    zone.done("high-usage", "10:10");
    assert_eq!(zone.ended(), ["high-usage 10:01 reported 10:10 done 10:10"]);
    zone.push("UM", "count", 20.0, "10:11");
    zone.late("UM", "count", 20.0, "10:09", at("10:12"));
    assert!(zone.open().is_empty(), "neither the 20 of before nor the late 20 counts");
    zone.push("UM", "count", 10.0, "10:13");
    assert_eq!(zone.open(), ["high-usage 10:13"]);
}

#[test]
fn done_restarts_the_count_of_the_reasons_of_the_alert_and_no_other() {
    let rule = "[[rule]]\nid = \"wet\"\nkind = \"count\"\ntitle = \"Wet\"\ntypes = [\"UM\"]\nmetric = \"count\"\n\
                at_least = 2\ncount = 2\nwithin = \"1h\"\n";
    for (done, expected) in [(false, 1), (true, 0)] {
        let mut zone = FollowedZone::new(rule);
        ["10:00", "10:01", "10:02"].iter().for_each(|clock| zone.push("UM", "count", 2.0, clock));
        if done {
            zone.done("wet", "10:03");
        }
        let before = zone.open().len();
        zone.push("UM", "count", 2.0, "10:04");
        assert_eq!(zone.open().len() - before, expected);
    }
}

#[test]
fn people_say_that_a_battery_is_done_and_the_next_reading_can_contradict_it() {
    let mut zone = FollowedZone::new("[[rule]]\nid = \"battery-people-counter\"\n");
    zone.push("UM", "b", 2300.0, "10:00");
    zone.done("battery-people-counter", "10:10");
    assert_eq!(zone.open(), ["battery-people-counter 10:00 reported 10:10"]);
    zone.push("UM", "b", 2300.0, "10:20");
    assert_eq!(zone.ended(), ["battery-people-counter 10:00 reported 10:10 contradicted 10:20"]);
}

#[test]
fn only_a_reading_ends_a_silence_that_people_are_done_with() {
    let rules = rules("[[rule]]\nid = \"silent\"\nafter = \"4h\"\n");
    let mut zone = FollowedZone { rules, ..FollowedZone::new("") };
    zone.soap(50.0, "05:00");
    zone.sweep(at("10:00"));
    zone.done("silent", "10:30");
    assert_eq!(zone.open(), ["silent 10:00 reported 10:30"]);
    zone.soap(50.0, "11:00");
    assert_eq!(zone.ended(), ["silent 10:00 reported 10:30 measured 11:00 resolved 11:00"]);
}

#[test]
fn an_answer_to_an_alert_that_is_over_or_of_another_zone_changes_nothing_at_all() {
    let mut zone = FollowedZone::new(RESOLVED);
    zone.soap(4.0, "10:00");
    let alert = zone.state.lives.open()[0].alert;
    assert_eq!(zone.state.lives.find(alert).map(|life| life.rule.as_str()), Some("soap-low"));
    let answer = |alert: AlertId| Response { alert: Some(alert), ..Response::reported("z", at("10:10")) };
    zone.soap(50.0, "10:05");
    let other = AlertId::of_silence("soap-low", "d", at("10:00"));
    for (state, alert) in [(&zone.state, alert), (&zone.state, other), (&ZoneState::default(), alert)] {
        let evaluation = respond(&zone.rules, state.clone(), &[&answer(alert)], at("10:10"), at("10:10"));
        assert_eq!((&evaluation.state, evaluation.messages.len()), (state, 0));
    }
}

#[test]
fn a_repeated_answer_changes_nothing() {
    let mut zone = FollowedZone::new(RESOLVED);
    zone.push("UM", "count", 30.0, "10:01");
    zone.soap(4.0, "10:02");
    zone.done("soap-low", "10:10");
    let before = zone.state.clone();
    assert!(zone.done("soap-low", "10:10").is_empty());
    assert_eq!(zone.state, before);
    let source = ResponseSource::Reported;
    assert!(zone.facts.responses.iter().all(|known| known.response.source == source && known.response.by.is_some()));
}

/// Reminders each 10 minutes, and two steps; the second one goes to nobody before 18:30 in Singapore, which is 10:30.
const ESCALATED: &str = "[[rule]]\nid = \"soap-low\"\nreminder = \"10m\"\nseverity = \"low\"\n\
    escalate = [{ after = \"15m\", to = \"boss\" }, { after = \"20m\", to = \"late\" }]\n\
    [[audience]]\nid = \"day\"\n[[audience]]\nid = \"boss\"\nseverity = \"critical\"\n\
    [[audience]]\nid = \"late\"\nseverity = \"critical\"\non_duty = \"18:30-19:30\"\n";

fn escalated(change: impl Fn(&str) -> String) -> FollowedZone {
    let mut zone = FollowedZone::new(&change(ESCALATED));
    zone.soap(4.0, "10:00");
    zone
}

#[test]
fn nobody_answers_so_each_step_tells_its_audience_once_and_the_last_one_waits_for_its_duty() {
    let expected = [
        "10:10 reminder soap-low to day",
        "10:15 escalated soap-low to boss",
        "10:20 reminder soap-low to day",
        "10:30 reminder soap-low to day",
        "10:30 escalated soap-low to late",
        "10:40 reminder soap-low to day",
    ];
    let mut zone = escalated(str::to_owned);
    assert_eq!(zone.sweeps("10:01", "10:49"), expected);
    let steps = &zone.state.lives.open()[0].escalated;
    assert_eq!(steps.iter().map(|step| step.at).collect::<Vec<_>>(), [at("10:15"), at("10:30")]);
}

/// Escalates after 15 minutes to `late`, which is on duty from 10:30 on, and then to `boss`, who has this duty.
fn escalated_to_late(steps: &str, duty: &str) -> FollowedZone {
    let steps = format!("escalate = [{{ after = \"15m\", to = \"late\" }}, {steps}]");
    let (rule, rest) = ESCALATED.split_once("reminder").unwrap();
    let audiences = rest.split_once("]\n").unwrap().1.replace("id = \"boss\"\n", &format!("id = \"boss\"\n{duty}"));
    escalated(|_| format!("{rule}{steps}\n{audiences}"))
}

#[test]
fn nobody_is_on_duty_for_a_step_so_the_next_one_follows_at_once() {
    let mut zone = escalated_to_late("{ after = \"1h\", to = \"boss\" }, { after = \"90m\", to = \"day\" }", "");
    let expected = ["10:15 escalated soap-low to boss", "11:30 escalated soap-low to day"];
    assert_eq!(zone.sweeps("10:01", "12:30"), expected, "the last one at its own time");
    let told: Vec<usize> = zone.state.lives.open()[0].escalated.iter().map(|step| step.to.len()).collect();
    assert_eq!(told, [0, 1, 1]);
}

#[test]
fn nobody_is_on_duty_for_any_step_so_the_escalation_waits_for_the_first_duty() {
    let sent = |duty| escalated_to_late("{ after = \"20m\", to = \"boss\" }", duty).sweeps("10:01", "13:30");
    // 10:30 is 18:30 in Singapore.
    let expected = ["10:30 escalated soap-low to late", "13:00 escalated soap-low to boss"];
    assert_eq!(sent("on_duty = \"21:00-22:00\"\n"), expected);
    let expected = ["10:25 escalated soap-low to boss"];
    assert_eq!(sent("on_duty = \"18:25-22:00\"\n"), expected, "the first step is skipped");
}

#[test]
fn a_mute_and_inactive_hours_delay_an_escalation() {
    let mute = "[[mute]]\nuntil = \"2026-11-23 18:25\"\nreason = \"x\"\nrules = \"soap-low\"\n";
    let mut zone = escalated(str::to_owned);
    zone.rules = FollowedZone::new(&format!("{ESCALATED}{mute}")).rules;
    assert_eq!(zone.sweeps("10:01", "10:25"), ["10:25 reminder soap-low to day", "10:25 escalated soap-low to boss"]);
    let mut zone = escalated(|text| text.replace("severity = \"low\"", "active = \"17:00-18:05\""));
    assert_eq!(zone.sweeps("10:01", "11:30"), NOTHING);
}

#[test]
fn reminders_and_escalations_wait_while_somebody_has_the_alert_and_go_on_after_that() {
    let mut zone = escalated(str::to_owned);
    assert!(zone.take("soap-low", "10:05", "10:35").is_empty());
    assert_eq!(zone.state.lives.open()[0].holder(at("10:34")).map(|claim| claim.by.as_str()), Some("A"));
    assert_eq!(zone.state.lives.open()[0].holder(at("10:35")), None);
    let expected = [
        "10:35 reminder soap-low to day",
        "10:35 escalated soap-low to boss",
        "10:40 escalated soap-low to late",
        "10:45 reminder soap-low to day",
    ];
    assert_eq!(zone.sweeps("10:06", "10:49"), expected, "one reminder for the three that were due");
}

#[test]
fn who_is_done_or_has_begun_stops_escalations() {
    let mut zone = escalated(str::to_owned);
    zone.take("soap-low", "10:05", "10:35");
    zone.done("soap-low", "10:20");
    assert_eq!(zone.sweeps("10:21", "11:30"), NOTHING);
    let mut zone = escalated(|text| text.replace("reminder = \"10m\"\n", ""));
    zone.respond(ResponseSource::Recorded, Some("10:05"), None, "10:06");
    assert_eq!(zone.sweeps("10:07", "11:30"), NOTHING);
    let mut zone = escalated(str::to_owned);
    zone.soap(50.0, "10:09");
    assert_eq!(zone.sweeps("10:10", "11:30"), NOTHING, "the alert is over");
}

#[test]
fn a_done_that_the_sensor_contradicts_does_not_stop_escalations() {
    let text = format!("{AMMONIA}escalate = {{ after = \"15m\", to = \"boss\" }}\n[[audience]]\nid = \"boss\"\n");
    let mut zone = FollowedZone::new(&text);
    zone.ammonia(300.0, "10:00");
    zone.ammonia(600.0, "10:08");
    zone.respond(ResponseSource::Recorded, None, Some("10:05"), "10:09");
    assert_eq!(zone.sweeps("10:10", "10:30"), ["10:15 escalated ammonia-lite to boss"]);
}

#[test]
fn after_a_snooze_people_are_told_once_more_in_the_place_of_the_usual_reminder() {
    let mut zone = escalated(str::to_owned);
    zone.snooze("soap-low", "10:05", "10:22");
    let expected = [
        "10:22 reminder soap-low to day",
        "10:22 escalated soap-low to boss",
        "10:30 escalated soap-low to late",
        "10:32 reminder soap-low to day",
    ];
    assert_eq!(zone.sweeps("10:06", "10:39"), expected);
    // Without reminders, and for an alert of one moment.
    for (rule, device, metric, value) in [("soap-low", "SS", "p", 4.0), ("high-usage", "UM", "count", 30.0)] {
        let mut zone = FollowedZone::new("");
        zone.push(device, metric, value, "10:00");
        zone.snooze(rule, "10:05", "10:22");
        assert_eq!(zone.sweeps("10:06", "11:30"), [format!("10:22 reminder {rule}")]);
        zone.snooze(rule, "11:31", "11:40");
        zone.done(rule, "11:35");
        assert_eq!(zone.sweeps("11:36", "11:50"), NOTHING);
    }
}

#[test]
fn a_snooze_suppresses_further_alerts_that_are_not_more_severe() {
    let mut zone = FollowedZone::new(AMMONIA);
    zone.push("UM", "count", 30.0, "10:00");
    zone.snooze("high-usage", "10:05", "10:20");
    zone.push("UM", "count", 30.0, "10:10");
    assert_eq!(zone.open(), ["high-usage 10:00"]);
    let sent = zone.sweeps("10:11", "11:00");
    assert_eq!(sent, ["10:20 firing high-usage", "10:20 reminder high-usage"]);
    assert_eq!(zone.open(), ["high-usage 10:00", "high-usage 10:20"]);
    // Another rule is not snoozed, nor is a more severe alert, nor an alert after the end of the snoozed one.
    zone.ammonia(300.0, "11:05");
    zone.snooze("ammonia-lite", "11:06", "12:00");
    zone.ammonia(600.0, "11:07");
    assert_eq!(zone.open().last().unwrap(), "ammonia-lite 11:05");
    assert_eq!(zone.state.lives.open().last().unwrap().further.len(), 1, "people were told at once");
    zone.ammonia(100.0, "11:08");
    zone.ammonia(300.0, "11:09");
    assert_eq!(zone.open().last().unwrap(), "ammonia-lite 11:09");
}

#[test]
fn a_repeated_escalation_has_the_same_id() {
    let id = |clock: &str| {
        let mut zone = escalated(str::to_owned);
        let sent = zone.sweep(at(clock));
        sent.iter().find(|message| matches!(message, Message::Escalated { .. })).unwrap().id()
    };
    assert_eq!(id("10:15"), id("10:16"));
}

#[test]
fn done_drops_no_suppressed_complaint_about_another_reason() {
    let mute = "[[mute]]\nuntil = \"2026-11-23 11:00\"\nreason = \"x\"\nrules = \"bad-feedback\"\n";
    for (reasons, left) in [(&["Wet floor"][..], 1), (&["No soap", "Wet floor"], 1), (&[], 1), (&["No soap"], 0)] {
        let mut zone = FollowedZone::new("");
        zone.complain(&["No soap"], "10:00");
        zone.rules = FollowedZone::new(mute).rules;
        assert!(zone.complain(reasons, "10:05").is_empty(), "it is muted");
        zone.done("bad-feedback", "10:10");
        assert_eq!(zone.state.suppressed.waiting(), left, "{reasons:?}");
    }
}

#[test]
fn a_snoozed_complaint_suppresses_none_about_another_reason() {
    for (reasons, told) in [(&["Wet floor"][..], 1), (&["No soap", "Wet floor"], 1), (&[], 1), (&["No soap"], 0)] {
        let mut zone = FollowedZone::new("");
        zone.complain(&["No soap"], "10:00");
        zone.snooze("bad-feedback", "10:02", "18:00");
        assert_eq!(zone.complain(reasons, "10:05").len(), told, "{reasons:?}");
    }
    let mut zone = FollowedZone::new("");
    zone.complain(&[], "10:00");
    zone.snooze("bad-feedback", "10:02", "18:00");
    assert!(zone.complain(&[], "10:05").is_empty(), "both have no reason");
}

/// An escalation and a snooze, or an answer that the team takes it, and then a reading.
fn ammonia_after(answer: impl FnOnce(&mut FollowedZone), value: f64) -> Vec<String> {
    let text = "escalate = { after = \"15m\", to = \"boss\" }\n[[audience]]\nid = \"boss\"\nseverity = \"critical\"\n";
    let mut zone = FollowedZone::new(&format!("{AMMONIA}{text}"));
    zone.ammonia(300.0, "10:00");
    answer(&mut zone);
    zone.ammonia(value, "10:05");
    zone.sweeps("10:06", "11:30")
}

#[test]
fn a_snooze_ends_when_its_alert_becomes_more_severe() {
    let snooze = |zone: &mut FollowedZone| drop(zone.snooze("ammonia-lite", "10:01", "11:00"));
    assert_eq!(ammonia_after(snooze, 600.0), ["10:15 escalated ammonia-lite to boss"]);
    let after = ["11:00 reminder ammonia-lite", "11:00 escalated ammonia-lite to boss"];
    assert_eq!(ammonia_after(snooze, 310.0), after, "it is as severe as before");
    let take = |zone: &mut FollowedZone| drop(zone.take("ammonia-lite", "10:01", "11:00"));
    assert_eq!(ammonia_after(take, 600.0), after[1..], "somebody still has it");
}

#[test]
fn after_a_snooze_an_audience_that_is_told_for_the_first_time_gets_no_reminder_as_well() {
    let text = "[[rule]]\nid = \"soap-low\"\n[[audience]]\nid = \"day\"\n[[audience]]\nid = \"late\"\n";
    // 10:30 is 18:30 in Singapore.
    let duty = "on_duty = \"18:30-19:30\"\n";
    let told_before = vec!["10:40 reminder soap-low to day,late"];
    let told_now = vec!["10:40 firing soap-low to late", "10:40 reminder soap-low to day"];
    for (duty, expected) in [("", told_before), (duty, told_now)] {
        let mut zone = FollowedZone::new(&format!("{text}{duty}"));
        zone.soap(4.0, "10:00");
        zone.snooze("soap-low", "10:05", "10:40");
        assert_eq!(zone.sweeps("10:06", "11:30"), expected);
    }
}

/// The steps of an escalation whose messages are in the outbox after `change`: at 10:15, nobody had answered.
fn escalated_then(attempts: usize, change: impl FnOnce(&mut FollowedZone)) -> (FollowedZone, Vec<usize>) {
    let mut zone = escalated(str::to_owned);
    let mut evaluation = sweep(&zone.rules, zone.state.clone(), at("10:15"), true);
    let ids = evaluation.state.outbox.add(evaluation.messages, &[Channel::Sns, Channel::Log]).into_iter().collect();
    (0..attempts).for_each(|_| drop(evaluation.state.outbox.lease(Channel::Log, &ids, at("10:15"))));
    zone.commit(evaluation.state);
    change(&mut zone);
    let step = |entry: &OutboxEntry| match entry.message {
        Message::Escalated { step, .. } => Some(step),
        _ => None,
    };
    let steps = zone.state.outbox.entries().iter().filter_map(step).collect();
    (zone, steps)
}

#[test]
fn an_escalation_is_not_sent_after_an_answer() {
    let take = |zone: &mut FollowedZone| drop(zone.take("soap-low", "10:16", "10:46"));
    let done = |zone: &mut FollowedZone| drop(zone.done("soap-low", "10:16"));
    let resolve = |zone: &mut FollowedZone| zone.soap(50.0, "10:16");
    let withdraw = |zone: &mut FollowedZone| {
        zone.rules = rules("[[rule]]\nid = \"soap-low\"\nenabled = false\n");
        zone.sweep(at("10:16"));
    };
    for (attempts, left) in [(0, [0; 0].as_slice()), (1, &[0])] {
        assert_eq!(escalated_then(attempts, take).1, left, "a channel may have sent it");
        assert_eq!(escalated_then(attempts, done).1, left);
        assert_eq!(escalated_then(attempts, resolve).1, left);
        assert_eq!(escalated_then(attempts, withdraw).1, left);
    }
    let others = |zone: &mut FollowedZone| {
        zone.snooze("soap-low", "10:16", "10:20");
        zone.push("UM", "count", 30.0, "10:17");
        zone.done("high-usage", "10:18");
        zone.sweep(at("10:18"));
    };
    assert_eq!(escalated_then(0, others).1, [0], "nobody has it");
}

#[test]
fn a_revoked_escalation_is_done_after_the_time_for_which_people_took_the_alert() {
    let again = |attempts| {
        let take = |zone: &mut FollowedZone| drop(zone.take("soap-low", "10:16", "10:46"));
        let mut zone = escalated_then(attempts, take).0;
        zone.state.outbox = Outbox::default();
        zone.sweeps("10:17", "11:00").into_iter().filter(|sent| sent.contains("escalated")).collect::<Vec<_>>()
    };
    assert_eq!(again(0), ["10:46 escalated soap-low to boss", "10:51 escalated soap-low to late"]);
    assert_eq!(again(1), ["10:46 escalated soap-low to late"]);
}

/// An alert that became more severe at 10:08 is open, although somebody said that it was done at 10:05.
fn contradicted() -> FollowedZone {
    let text = format!("{AMMONIA}escalate = {{ after = \"30m\", to = \"boss\" }}\n[[audience]]\nid = \"boss\"\n");
    let mut zone = FollowedZone::new(&text);
    zone.ammonia(300.0, "10:00");
    zone.ammonia(600.0, "10:08");
    zone.respond(ResponseSource::Recorded, None, Some("10:05"), "10:09");
    assert!(!zone.state.lives.open()[0].is_done());
    zone
}

#[test]
fn who_is_done_after_a_contradiction_stops_escalations_and_who_was_before_does_not() {
    for (done, expected) in [("10:12", &[][..]), ("10:07", &["10:30 escalated ammonia-lite to boss"])] {
        let mut zone = contradicted();
        zone.respond(ResponseSource::Recorded, None, Some(done), "10:12");
        assert_eq!(zone.sweeps("10:13", "11:30"), expected, "{done}");
        assert_eq!(zone.state.lives.open()[0].is_done(), expected.is_empty());
        assert_eq!(zone.state.lives.open()[0].first_done(), Some((at("10:05"), ResponseSource::Recorded)));
    }
}

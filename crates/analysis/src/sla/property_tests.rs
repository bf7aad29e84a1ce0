//! Reports of random alerts, responses and answers agree with a second, naive computation.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::TimeSummary;
use super::tests::{at, life, minutes, of, received};
use domain::alert::life::{AlertLife, Contradiction, EndReason, LifeEnd};
use domain::digest::Digest;
use domain::response::{Hold, Response, ResponseSource};
use domain::rules::Kind;

/// Responses in three zones, of which one can be in another project.
fn any_response() -> impl Strategy<Value = Response> {
    let time = || prop::option::of(-60..600_i64);
    let source = prop_oneof![Just(ResponseSource::Reported), Just(ResponseSource::Recorded)];
    (0..3_usize, 0..3_usize, source, time(), 0..600_i64).prop_map(|(zone, project, source, started, done)| Response {
        project: [None, Some("tower".to_owned()), Some("mall".to_owned())][project].clone(),
        started: started.map(at),
        // Every third one is of people who have begun only.
        done: (started.is_none() || done % 3 > 0).then(|| at(done)),
        ..Response::new(["lobby", "gym", "hall"][zone], source)
    })
}

/// What one person said about the alert with an index: they take it, snooze it, or are done.
fn any_answer() -> impl Strategy<Value = (prop::sample::Index, Response)> {
    let name = prop_oneof![Just("AB"), Just("CD")];
    (any::<prop::sample::Index>(), 0..3_usize, -60..600_i64, 1..90_i64, name).prop_map(
        |(index, action, minute, length, name)| {
            let hold = Some(Hold { at: at(minute), until: at(minute + length) });
            let response = Response { by: Some(name.to_owned()), ..Response::new("", ResponseSource::Reported) };
            let response = match action {
                0 => Response { taken: hold, ..response },
                1 => Response { snoozed: hold, ..response },
                _ => Response { done: Some(at(minute)), ..response },
            };
            (index, response)
        },
    )
}

fn any_alert() -> impl Strategy<Value = AlertLife> {
    let kind = prop_oneof![Just(Kind::Threshold), Just(Kind::Silence), Just(Kind::Count)];
    let target = || prop::option::of(1..200_i64);
    let end = prop::option::of((0..400_i64, 0..3_usize));
    (kind, any::<bool>(), 0..400_i64, 0..30_i64, 0..2_usize, target(), target(), any::<bool>(), end).prop_map(
        |(kind, answerable, at_minute, wait, zone, respond, clean, is_active, end)| {
            let more = json!({ "kind": kind, "answerable": answerable, "at": at(at_minute) });
            let mut life = life(0, at_minute + wait, &more);
            life.location.zone = Some(["lobby", "gym"][zone].into());
            life.targets.respond_within = respond.map(minutes);
            life.targets.clean_within = clean.map(minutes);
            life.targets.active = is_active.then(|| serde_json::from_value(json!("11:00-13:00")).unwrap());
            if let Some((after, reason)) = end {
                let reason = [EndReason::Resolved, EndReason::Expired, EndReason::Withdrawn][reason];
                let at = life.raised + minutes(after);
                life.end = Some(LifeEnd { at, reason });
                if reason == EndReason::Expired {
                    let breach = None;
                    life.contradiction = Some(Contradiction { at: life.raised + minutes(after / 2), breach });
                }
                if reason == EndReason::Resolved {
                    life.done.insert(ResponseSource::Measured, at);
                }
            }
            life
        },
    )
}

/// Minutes from `from` to `to`, counted one by one. All times of these tests are whole minutes.
fn naive_minutes(life: &AlertLife, to: Timestamp) -> i64 {
    let (mut now, mut count) = (life.raised, 0);
    while now < to {
        let local = life.location.local_zone.local_time(now);
        count += i64::from(life.targets.active.is_none() || (11..13).contains(&local.hour()));
        now += minutes(1);
    }
    count
}

/// The summary of a clock, computed in another way.
fn naive_summary(alerts: &[&AlertLife], responses: &[Response], is_resolution: bool) -> TimeSummary {
    let mut summary = TimeSummary::default();
    let mut answered = Vec::new();
    for life in alerts {
        let mut answers = Vec::new();
        answers.extend(life.done.get(&ResponseSource::Measured));
        for response in responses {
            let same_zone = life.location.zone.as_deref() == Some(&response.zone)
                && response.project.as_deref().is_none_or(|project| project == "tower");
            let began =
                [response.started, response.taken.map(|hold| hold.at)].map(|time| time.filter(|_| !is_resolution));
            let times = [response.done].into_iter().chain(began).flatten();
            let is_about = response.alert.map_or(same_zone && life.answerable, |alert| alert == life.alert);
            let is_during = |time: &Timestamp| *time >= life.at && life.end.is_none_or(|end| *time <= end.at);
            answers.extend(times.filter(|time| is_about && is_during(time)));
        }
        answers.sort();
        let took = naive_minutes(life, *answers.first().unwrap_or(&at(600)));
        let target = if is_resolution { life.targets.clean_within } else { life.targets.respond_within };
        match answers.is_empty() {
            false => answered.push(took * 60),
            true if life.end.is_none() => summary.open += 1,
            true => summary.unanswered += 1,
        }
        if let Some(target) = target {
            let is_met = took <= target.as_mins();
            summary.judged += usize::from(!is_met || !answers.is_empty());
            summary.within += usize::from(is_met && !answers.is_empty());
        }
    }
    answered.sort_unstable();
    summary.answered = answered.len();
    // The first of which as many as wanted are at most as long.
    let rank = |tenths: usize| {
        let covers =
            |time: &&i64| 10 * answered.iter().filter(|other| other <= time).count() >= tenths * answered.len();
        answered.iter().find(covers).copied()
    };
    TimeSummary { median_seconds: rank(5), p90_seconds: rank(9), ..summary }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_history_gives_the_numbers_of_a_naive_computation_in_any_order(
        alerts in prop::collection::vec(any_alert(), 0..12),
        responses in prop::collection::vec(any_response(), 0..12),
        answers in prop::collection::vec(any_answer(), 0..12),
        order in any::<prop::sample::Index>(),
        late in 0..100_000_i64,
    ) {
        let mut alerts = alerts;
        for (index, life) in alerts.iter_mut().enumerate() {
            life.alert = serde_json::from_value(json!(Digest::of(&index.to_be_bytes()))).unwrap();
        }
        let mut responses = responses;
        responses.extend(answers.iter().filter(|_| !alerts.is_empty()).map(|(index, answer)| {
            let life = index.get(&alerts);
            let zone = life.location.zone.clone().unwrap();
            Response { zone, alert: Some(life.alert), project: Some("tower".to_owned()), ..answer.clone() }
        }));
        let received: Vec<_> = responses.iter().cloned().map(received).collect();
        let found = of(&alerts, &received);
        let counted: Vec<_> =
            alerts.iter().filter(|life| life.end.is_none_or(|end| end.reason != EndReason::Withdrawn)).collect();
        prop_assert_eq!(found.withdrawn, alerts.len() - counted.len());
        prop_assert_eq!(found.all.reaction, naive_summary(&counted, &responses, false));
        prop_assert_eq!(found.all.resolution, naive_summary(&counted, &responses, true));
        for zone in ["lobby", "gym"] {
            let alerts: Vec<_> =
                counted.iter().copied().filter(|life| life.location.zone.as_deref() == Some(zone)).collect();
            let groups = found.tables.iter().find(|table| table.by == "zone").map_or(&[][..], |table| &table.groups);
            let times = groups.iter().find(|group| group.id == zone).map(|group| group.times.resolution);
            prop_assert_eq!(times.unwrap_or_default(), naive_summary(&alerts, &responses, true));
        }
        let worst: Vec<_> = found.worst.iter().map(|index| found.alerts[*index].resolution.seconds).collect();
        let mut longest: Vec<_> = found.alerts.iter().map(|alert| alert.resolution.seconds).collect();
        longest.sort_unstable_by(|one, other| other.cmp(one));
        longest.truncate(10);
        prop_assert_eq!(worst, longest);
        // In another order, repeated, and received later.
        let mut again = [&received[..], &received[..]].concat();
        again.iter_mut().for_each(|response| response.received += minutes(late));
        let middle = order.index(again.len() + 1);
        again.rotate_left(middle);
        again.reverse();
        alerts.reverse();
        prop_assert_eq!(of(&alerts, &again), found);
    }
}

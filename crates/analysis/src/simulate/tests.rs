//! The simulated building is plausible, and its readings have the vendor's format.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde_json::Value;

use super::*;
use domain::alert::Message;
use domain::batch::Items;
use domain::device::DEVICE_TYPES;
use domain::engine::{evaluate, respond};
use domain::reading::Reading;
use domain::rules::RuleSet;
use domain::state::ZoneState;

fn plan(devices: usize, days: i64, seed: u64) -> Plan {
    // A Monday.
    let from: ZonedDateTime = "2026-10-05T00:00[Asia/Singapore]".parse().unwrap();
    Plan { devices, to: from.timestamp() + SignedDuration::from_hours(24 * days), from, seed }
}

fn minute() -> SignedDuration {
    SignedDuration::from_mins(1)
}

fn sample(device_type: &str) -> Value {
    let path = format!("{}/../../tests/data/samples/{device_type}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The members of an object with their JSON types.
fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Object(members) => {
            // The names of reasons are not part of the format.
            for (name, value) in members.iter().filter(|_| !path.ends_with("reasons")) {
                shape(value, &format!("{path}.{name}"), into);
            }
            "object"
        }
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "flag",
        Value::Null => "null",
    };
    into.insert(format!("{path}: {kind}"));
}

/// The values of one metric of one device, in order.
fn series(events: &[SimulatedEvent], name: &str, metric: &str) -> Vec<(Timestamp, f64)> {
    let likely = events.iter().filter(|event| event.text.contains(name));
    let readings = likely.map(|event| Reading::read(&event.text).unwrap());
    let of_device = readings.filter(|reading| reading.source.display.as_deref() == Some(name));
    of_device.filter_map(|reading| Some((reading.time?, reading.metric(metric)?.value))).collect()
}

#[test]
fn readings_have_the_members_and_types_of_the_vendors_examples() {
    let mut unseen: BTreeSet<_> = DEVICE_TYPES.iter().map(|device_type| device_type.name).collect();
    for event in Fleet::new(&plan(16, 2, 1)).filter(|event| event.is_reading) {
        let reading = Reading::read(&event.text).unwrap();
        let name = reading.device_type().unwrap().name;
        if unseen.remove(name) {
            let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
            shape(&serde_json::from_str(&event.text).unwrap(), "", &mut ours);
            shape(&sample(name), "", &mut theirs);
            assert_eq!(ours, theirs, "{name}");
        }
    }
    assert!(unseen.is_empty(), "{unseen:?}");
}

#[test]
fn numbers_have_the_vendors_format() {
    let events: Vec<_> = Fleet::new(&plan(16, 1, 1)).collect();
    let of = |kind: &str| events.iter().find(|event| event.text.contains(&format!("{kind}\""))).unwrap().text.clone();
    assert!(of("#PPLCTR").contains(".0,\"out_count\":"));
    assert!(of("\"ODRDTR").contains("\"rssi\":\"-"));
    assert!(of("#UM").contains("\"b\":\""));
    let seconds =
        |text: &str| serde_json::from_str::<Value>(text).unwrap()["unixT"].as_i64().unwrap() < 100_000_000_000;
    assert!(seconds(&of("#BIN")) && !seconds(&of("#TH")));
}

#[test]
fn every_reading_has_its_time_and_plausible_values() {
    for event in Fleet::new(&plan(25, 4, 1)) {
        let reading = Reading::read(&event.text).unwrap();
        let off = reading.time.unwrap().as_second() - event.at.as_second();
        assert_eq!(off, 0, "{}", event.text);
        if !event.is_reading {
            assert!(reading.response.is_some(), "{}", event.text);
            continue;
        }
        for metric in reading.device_type().unwrap().metrics {
            let Some(quantity) = reading.metric(metric.key) else { continue };
            let plausible = match metric.key {
                "p" | "batt" | "AreaP" | "rh" | "h" | "humidity" => 0.0..=100.0,
                "count" | "out_count" => 0.0..=60.0,
                "rating" | "s" => 1.0..=5.0,
                "temp" | "t" | "temperature" => 18.0..=36.0,
                "co2" => 380.0..=3000.0,
                "b" => 2_300.0..=3_450.0,
                "pressure" => 990.0..=1030.0,
                "aqi" => 1.0..=500.0,
                "Xt" | "Yt" | "Zt" => -100.0..=30.0,
                "occupied" | "n" | "pir_trigger" | "value" => 0.0..=1.0,
                _ => -100.0..=1000.0,
            };
            assert!(plausible.contains(&quantity.value), "{} {}", metric.key, quantity.value);
        }
    }
}

#[test]
fn all_members_with_a_time_agree() {
    for event in Fleet::new(&plan(16, 1, 1)).filter(|event| event.is_reading) {
        let reading: Value = serde_json::from_str(&event.text).unwrap();
        let (iso, offset) = domain::time::from_iso(reading["time"].as_str().unwrap()).unwrap();
        let local = domain::time::from_local(reading["t"].as_str().unwrap(), "Asia/Singapore").unwrap();
        assert_eq!((iso, offset.seconds(), iso.as_second()), (local, 8 * 3600, event.at.as_second()));
        let wall = iso.in_tz("Asia/Singapore").unwrap();
        let parts = wall.strftime("%w %m %d %H %M").to_string();
        let words = ["dow", "month", "dom", "hour", "minute"].map(|name| reading[name].as_str().unwrap());
        assert_eq!(words.join(" "), parts);
    }
}

#[test]
fn the_first_sixteen_devices_are_of_all_types_and_named_by_their_location() {
    let mut names = BTreeMap::new();
    for event in Fleet::new(&plan(16, 2, 1)).filter(|event| event.is_reading) {
        let reading = Reading::read(&event.text).unwrap();
        names.insert(reading.device_type().unwrap().name, reading.source.display.unwrap().into_owned());
    }
    assert_eq!((names.len(), names["ODRDTR_BATT_V1"].as_str()), (16, "Level 1 Male Washroom Ammonia"));
}

#[test]
fn a_site_has_the_planned_number_of_devices_with_unique_ids() {
    for devices in [1, 16, 120] {
        let readings = Fleet::new(&plan(devices, 2, 1)).filter(|event| event.is_reading);
        let ids: BTreeSet<String> =
            readings.map(|event| event.text.split("\"DEVID\":").nth(1).unwrap()[..34].to_owned()).collect();
        assert_eq!(ids.len(), devices);
    }
    assert_eq!([1, 125, 126, 3_000].map(|devices| Fleet::new(&plan(devices, 1, 1)).buildings()), [1, 1, 2, 24]);
}

#[test]
fn events_come_in_order_of_time_and_within_the_plan() {
    let plan = plan(200, 1, 1);
    let times: Vec<_> = Fleet::new(&plan).map(|event| event.at).collect();
    assert!(times.is_sorted());
    assert!(times[0] >= plan.from.timestamp() && times[times.len() - 1] < plan.to);
    assert!(times.len() > 20_000, "{}", times.len());
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_gives_others() {
    let pushes = |seed| Pushes::new(&plan(20, 1, seed), minute(), "all".parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(pushes(1), pushes(1));
    let bodies = |seed| pushes(seed).into_iter().map(|push| push.body).collect::<BTreeSet<_>>();
    assert!(bodies(1).is_disjoint(&bodies(2)));
}

#[test]
fn noon_is_busier_than_night_and_a_weekday_than_a_weekend() {
    let (mut noon, mut night, mut weekday, mut weekend) = (0.0, 0.0, 0.0, 0.0);
    let events: Vec<_> = Fleet::new(&plan(16, 7, 1)).collect();
    for (at, count) in series(&events, "Level 1 Male Washroom Usage", "count") {
        let local = at.in_tz("Asia/Singapore").unwrap();
        match local.hour() {
            11..14 => noon += count,
            1..4 => night += count,
            _ => {}
        }
        if local.day() < 10 { weekday += count / 5.0 } else { weekend += count / 2.0 }
    }
    assert!(noon > 5.0 * (night + 1.0), "{noon} {night}");
    assert!(weekday > 1.5 * weekend && weekend > 0.0, "{weekday} {weekend}");
}

#[test]
fn soap_runs_down_until_it_is_refilled() {
    let events: Vec<_> = Fleet::new(&plan(16, 28, 1)).collect();
    let soap = series(&events, "Level 1 Male Washroom Soap", "p");
    let rises: Vec<_> = soap.windows(2).filter(|pair| pair[1].1 > pair[0].1).collect();
    assert!((2..20).contains(&rises.len()), "{}", rises.len());
    assert!(rises.iter().all(|pair| pair[1].1 >= 95.0 && pair[0].1 < 30.0), "{rises:?}");
}

#[test]
fn a_washroom_smells_less_after_a_cleaning() {
    let events: Vec<_> = Fleet::new(&plan(16, 7, 1)).collect();
    let ammonia = series(&events, "Level 1 Male Washroom Ammonia", "amm");
    let zone = |text: &str| Reading::read(text).unwrap().source.zone.unwrap().into_owned();
    let washroom = events.iter().find(|event| event.text.contains("Level 1 Male Washroom Ammonia")).unwrap();
    let events = events.iter().filter(|event| !event.is_reading);
    let cleanings = events.filter_map(|event| Reading::read(&event.text).unwrap().response);
    let (mut less, mut all) = (0, 0);
    for cleaning in cleanings.filter(|cleaning| cleaning.zone == zone(&washroom.text)) {
        let around = |from: i64, to: i64| {
            let values = ammonia
                .iter()
                .filter(|(at, _)| (from..to).contains(&(at.as_second() - cleaning.done.unwrap().as_second())));
            values.map(|(_, value)| *value).reduce(f64::max)
        };
        if let (Some(before), Some(after)) = (around(-900, 0), around(0, 900)) {
            all += 1;
            less += u32::from(after < before);
        }
    }
    assert!(all > 20 && less * 10 > all * 7, "{less} of {all}");
}

#[test]
fn cubicles_and_tables_are_occupied_by_day_and_carbon_dioxide_rises() {
    let events: Vec<_> = Fleet::new(&plan(16, 5, 1)).collect();
    let mean = |name, metric, hours: std::ops::Range<i8>| {
        let all = series(&events, name, metric).into_iter();
        let local = all.filter(|(at, _)| hours.contains(&at.in_tz("Asia/Singapore").unwrap().hour()));
        let values: Vec<_> = local.map(|(_, value)| value).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    for location in
        ["Level 1 Male Washroom Cubicle 1", "Level 1 Female Washroom Cubicle 1", "Level 1 Meeting Room Table"]
    {
        let (day, night) = (mean(location, "occupied", 10..17), mean(location, "occupied", 1..5));
        assert!(day > 0.2 && night < 0.1, "{location}: {day} by day, {night} by night");
    }
    let air = "Level 1 Meeting Room Air";
    assert!(mean(air, "co2", 10..17) > mean(air, "co2", 1..5) + 100.0);
}

#[test]
fn devices_sometimes_send_no_data_for_hours() {
    let mut last: BTreeMap<String, Timestamp> = BTreeMap::new();
    let (mut silences, mut readings) = (0, 0);
    // Soap dispensers report every quarter of an hour.
    for event in Fleet::new(&plan(50, 28, 1)).filter(|event| event.text.contains("#SS\"")) {
        let device = event.text.split("DEVID").nth(1).unwrap()[..40].to_owned();
        let before = last.insert(device, event.at).unwrap_or(event.at);
        silences += u32::from(event.at.duration_since(before).as_mins() > 59);
        readings += 1;
    }
    assert!((1..12).contains(&silences), "{silences} silences in {readings} readings of {} devices", last.len());
}

#[test]
fn after_an_outage_a_gateway_sends_one_large_push_of_late_readings() {
    let lags: Vec<_> = Pushes::new(&plan(25, 28, 1), minute(), Faults::default())
        .filter_map(|push| {
            let items = Items::split(&push.body).unwrap();
            let readings = items.read().readings;
            let first = readings.iter().find(|reading| reading.response.is_none())?;
            Some((push.at.as_second() - first.time.unwrap().as_second(), readings.len()))
        })
        .collect();
    let late: Vec<_> = lags.iter().filter(|(lag, _)| *lag > 10 * 60).collect();
    assert!((1..10).contains(&late.len()), "{late:?}");
    assert!(late.iter().all(|(_, readings)| *readings > 25), "{late:?}");
    assert!(lags.iter().filter(|(lag, _)| *lag <= 63).count() + late.len() == lags.len(), "all others at once");
}

#[test]
fn a_week_raises_a_plausible_number_of_alerts() {
    let rules = RuleSet::pack();
    let mut zones: BTreeMap<String, ZoneState> = BTreeMap::new();
    let (mut raised, mut rules_raised, devices) = (0, BTreeMap::<String, usize>::new(), 50);
    for event in Fleet::new(&plan(devices, 7, 1)) {
        let reading = Reading::read(&event.text).unwrap();
        let zone = reading.response.as_ref().map(|response| response.zone.clone());
        let zone = zone.unwrap_or_else(|| reading.source.zone.clone().unwrap().into_owned());
        let state = zones.entry(zone).or_default();
        let evaluation = match &reading.response {
            Some(response) => respond(&rules, state.clone(), &[response], event.at, event.at),
            None => evaluate(&rules, state.clone(), &[&reading], event.at, event.at),
        };
        raised += evaluation.stats.alerts;
        *state = evaluation.state;
        for entry in &evaluation.messages {
            let Message::Firing { alerts, .. } = &entry.message else { continue };
            alerts.iter().for_each(|alert| *rules_raised.entry(alert.rule.to_string()).or_default() += 1);
        }
    }
    assert!(raised >= devices && raised <= devices * 4, "{rules_raised:?}");
    assert!(rules_raised.len() >= 5, "{rules_raised:?}");
}

#[test]
fn without_faults_each_reading_is_pushed_once_and_well_formed() {
    let mut texts: Vec<String> = Vec::new();
    for push in Pushes::new(&plan(16, 1, 1), minute(), Faults::default()) {
        let items = Items::split(&push.body).unwrap();
        let batch = items.read();
        assert!(batch.rejections.is_empty());
        texts.extend(batch.readings.iter().map(|reading| reading.text.to_owned()));
    }
    let mut events: Vec<_> = Fleet::new(&plan(16, 1, 1)).map(|event| event.text.to_string()).collect();
    texts.sort();
    events.sort();
    assert_eq!(texts, events);
}

#[test]
fn each_fault_has_its_effect_and_loses_no_reading() {
    let effects = |faults: &str| {
        let mut readings: BTreeMap<String, usize> = BTreeMap::new();
        let (mut lag, mut bodies, mut bad, mut no_batch) = (0, BTreeMap::new(), 0, 0);
        let mut is_ordered = true;
        for push in Pushes::new(&plan(16, 1, 1), minute(), faults.parse().unwrap()) {
            *bodies.entry(push.body.clone()).or_insert(0) += 1;
            let Ok(items) = Items::split(&push.body) else {
                no_batch += 1;
                continue;
            };
            let batch = items.read();
            bad += batch.rejections.len();
            let times: Vec<_> = batch.readings.iter().filter_map(|reading| reading.time).collect();
            // In whole seconds: some types report no fraction.
            is_ordered &= times.is_sorted_by_key(|at| at.as_second());
            for reading in &batch.readings {
                *readings.entry(reading.text.to_owned()).or_default() += 1;
            }
            lag = times.iter().map(|at| push.at.as_second() - at.as_second()).chain([lag]).max().unwrap();
        }
        let copies = readings.values().filter(|count| **count > 1).count();
        let repeated = bodies.values().filter(|count| **count > 1).count();
        FaultEffects {
            readings: readings.len(),
            pushes_repeat: repeated > 0,
            readings_repeat: copies > 0,
            hours_late: lag > 2 * 3600,
            is_ordered,
            is_bad: bad > 0 && no_batch > 0,
        }
    };
    let all = Fleet::new(&plan(16, 1, 1)).count();
    let none = FaultEffects { readings: all, is_ordered: true, ..FaultEffects::default() };
    assert_eq!(effects("duplicates"), FaultEffects { pushes_repeat: true, readings_repeat: true, ..none });
    assert_eq!(effects("late"), FaultEffects { hours_late: true, ..none });
    assert_eq!(effects("reordered"), FaultEffects { is_ordered: false, ..none });
    let rebatch = effects("rebatch");
    assert!(rebatch.readings == all && rebatch.readings_repeat && !rebatch.is_bad);
    let bad = effects("bad");
    assert!(bad.readings >= all && bad.is_bad && !bad.pushes_repeat && !bad.hours_late);
}

/// The effects of faults on the pushes of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FaultEffects {
    readings: usize,
    pushes_repeat: bool,
    readings_repeat: bool,
    hours_late: bool,
    is_ordered: bool,
    is_bad: bool,
}

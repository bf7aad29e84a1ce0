//! The vendor's own examples, one for each device type: every metric with its value and unit.

use smartclean_push::domain::batch::Items;
use smartclean_push::domain::device::{DEVICE_TYPES, Unit};
use smartclean_push::domain::reading::Reading;

use crate::readings::samples;

/// Type, metric, value, unit: every metric that the example of its type carries.
const METRICS: &[(&str, &str, f64, Unit)] = &[
    ("BIN", "p", 46.0, Unit::Percent),
    ("BIN", "d", 159.0, Unit::Millimetre),
    ("FD", "rating", 1.0, Unit::One),
    ("FD", "s", 3.0, Unit::One),
    ("FD", "n", 1.0, Unit::Flag),
    ("OCCDESK", "occupied", 0.0, Unit::Flag),
    ("OCCMINEW", "occupied", 0.0, Unit::Flag),
    ("OCCMINEW", "batt", 95.0, Unit::Percent),
    ("OCCMINEW", "rssi", -78.0, Unit::DecibelMilliwatt),
    ("OCCSCM", "occupied", 1.0, Unit::Flag),
    ("ODRDTR", "amm", 2.481_529, Unit::Ppm),
    ("ODRDTR", "amm_zscore", -0.319_278, Unit::One),
    ("ODRDTR", "amm_expected", 2.483_74, Unit::Ppm),
    ("ODRDTR", "alc", 0.168_391, Unit::Ppm),
    ("ODRDTR", "alc_zscore", -0.005_464, Unit::One),
    ("ODRDTR", "alc_expected", 0.168_401, Unit::Ppm),
    ("ODRDTR", "no2", 0.725_579, Unit::Ppm),
    ("ODRDTR", "no2_zscore", 0.177_453, Unit::One),
    ("ODRDTR", "no2_expected", 0.725_154, Unit::Ppm),
    ("ODRDTR", "rssi", -68.0, Unit::DecibelMilliwatt),
    ("ODRDTR_10_IN_1", "co2", 918.0, Unit::Ppm),
    ("ODRDTR_10_IN_1", "hcho", 0.04, Unit::MilligramsPerCubicMetre),
    ("ODRDTR_10_IN_1", "tvoc", 0.64, Unit::MilligramsPerCubicMetre),
    ("ODRDTR_10_IN_1", "pm_2.5", 18.0, Unit::MicrogramsPerCubicMetre),
    ("ODRDTR_10_IN_1", "pm_10", 19.0, Unit::MicrogramsPerCubicMetre),
    ("ODRDTR_10_IN_1", "pressure", 1004.0, Unit::Hectopascal),
    ("ODRDTR_10_IN_1", "temperature", 27.4, Unit::Celsius),
    ("ODRDTR_10_IN_1", "humidity", 69.5, Unit::Percent),
    ("ODRDTR_10_IN_1", "light_level", 3.0, Unit::One),
    ("ODRDTR_10_IN_1", "pir_trigger", 0.0, Unit::Flag),
    ("ODRDTR_BATT_V1", "amm", 88.0, Unit::Ppb),
    ("ODRDTR_BATT_V1", "aqi", 103.0, Unit::One),
    ("ODRDTR_BATT_V1", "rh", 73.0, Unit::Percent),
    ("ODRDTR_BATT_V1", "temp", 30.4, Unit::Celsius),
    ("PPLCTR", "count", 2.0, Unit::One),
    ("PPLCTR", "out_count", 1.0, Unit::One),
    ("PT", "p", 46.0, Unit::Percent),
    ("PT", "d", 159.0, Unit::Millimetre),
    ("SS", "p", 46.0, Unit::Percent),
    ("SS", "d", 159.0, Unit::Millimetre),
    ("TH", "t", 24.7, Unit::Celsius),
    ("TH", "h", 13.4, Unit::Percent),
    ("TILT", "Xt", -87.51, Unit::Degree),
    ("TILT", "Yt", -2.04, Unit::Degree),
    ("TILT", "Zt", 1.42, Unit::Degree),
    ("TILT", "v", 100.0, Unit::Percent),
    ("TR", "p", 46.0, Unit::Percent),
    ("TR", "d", 159.0, Unit::Millimetre),
    ("UM", "count", 1.0, Unit::One),
    ("UM", "b", 3000.0, Unit::Millivolt),
    ("WD", "value", 1.0, Unit::Flag),
    ("WD", "AreaP", 5.5, Unit::Percent),
];

#[test]
fn every_metric_of_every_sample_reads_with_its_value_and_unit() {
    let mut read = Vec::new();
    for (name, text) in samples() {
        let reading = Reading::read(&text).unwrap();
        assert_eq!(reading.source.device_type, name);
        for metric in reading.device_type().unwrap().metrics {
            if let Some(quantity) = reading.metric(metric.key) {
                assert_eq!(quantity.label, metric.label);
                read.push((name.clone(), metric.key, quantity.value, quantity.unit));
            }
        }
    }
    let expected: Vec<_> =
        METRICS.iter().map(|&(name, key, value, unit)| (name.to_owned(), key, value, unit)).collect();
    let sorted = |mut rows: Vec<(String, &'static str, f64, Unit)>| {
        rows.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        rows
    };
    assert_eq!(sorted(read), sorted(expected));
}

#[test]
fn every_documented_type_has_a_sample() {
    let names: Vec<_> = samples().into_iter().map(|(name, _)| name).collect();
    for device_type in &DEVICE_TYPES {
        assert!(names.iter().any(|name| name == device_type.name), "{}", device_type.name);
    }
}

#[test]
fn every_sample_names_its_moment_place_and_device() {
    for (name, text) in samples() {
        let reading = Reading::read(&text).unwrap();
        let source = &reading.source;
        assert!(reading.time.is_some(), "{name}");
        for field in [&source.device, &source.display, &source.zone, &source.project, &source.region] {
            assert!(field.is_some(), "{name}");
        }
        // `unixT` in seconds or milliseconds agrees with `time`, which the same object carries.
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        let (iso, _) = smartclean_push::domain::time::from_iso(object["time"].as_str().unwrap()).unwrap();
        assert_eq!(reading.time.unwrap().as_second(), iso.as_second(), "{name}");
    }
}

#[test]
fn all_samples_in_one_push_are_accepted_to_the_letter() {
    let texts: Vec<String> = samples().into_iter().map(|(_, text)| text).collect();
    let body = serde_json::to_vec(&texts).unwrap();
    let items = Items::split(&body).unwrap();
    let batch = items.read();
    assert!(batch.rejections.is_empty());
    let read: Vec<_> = batch.readings.iter().map(|reading| reading.text.to_owned()).collect();
    let lines: Vec<_> = texts.iter().map(|text| text.replace('\n', " ")).collect();
    assert_eq!(read, lines);
}

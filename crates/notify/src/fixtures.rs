//! Alerts for tests.

use super::render::Renderer;
use super::rendered::Rendered;
use domain::alert::{Alert, AlertId, Message, Trigger};
use domain::breach::{Breach, Comparison};
use domain::device::DeviceType;
use domain::digest::Digest;
use domain::location::Location;
use domain::reading::Reading;
use domain::severity::Severity;
use domain::time::LocalZone;

/// The time of the vendor's ODRDTR_BATT_V1 example: 13:59:45 in Singapore.
pub(super) const AT: &str = "2022-06-01T05:59:45.904Z";

/// The message in English.
pub(super) fn render(message: &Message) -> Rendered {
    Renderer::default().render(message)
}

/// A device in Singapore with every field.
pub(super) fn location(device_type: &str, display: &str) -> Location {
    Location {
        display: Some(display.to_owned()),
        device: Some("device01".to_owned()),
        device_type: device_type.to_owned(),
        zone: Some("zone01".to_owned()),
        zone_name: None,
        project: Some("project01".to_owned()),
        property: Some("property01".to_owned()),
        local_zone: LocalZone { region: Some("Asia/Singapore".to_owned()), offset_seconds: Some(8 * 3600) },
    }
}

/// A breach with the label and unit of the device table.
pub(super) fn breach(device_type: &str, metric: &str, value: f64, comparison: Comparison, limit: f64) -> Breach {
    let documented = DeviceType::named(device_type).unwrap().metric(metric).unwrap();
    let (label, unit) = (documented.label.to_owned(), documented.unit);
    Breach { metric: metric.to_owned(), label, value, unit, comparison, limit }
}

pub(super) fn alert(rule: &str, title: &str, severity: Severity, location: &Location, breaches: Vec<Breach>) -> Alert {
    Alert {
        id: AlertId::of(rule, &Reading::read("{}").unwrap()),
        rule: rule.to_owned(),
        title: title.to_owned(),
        template: None,
        action: None,
        severity,
        breaches,
        trigger: Trigger::Immediate,
        reasons: Vec::new(),
        at: AT.parse().unwrap(),
        reading: Digest::of(b"{}"),
        location: location.clone(),
    }
}

/// Ammonia at 270 ppb with a limit of 200.
pub(super) fn bad_smell(location: &Location) -> Alert {
    let breaches = vec![breach("ODRDTR_BATT_V1", "amm", 270.0, Comparison::AtLeast, 200.0)];
    alert("ammonia-lite", "Bad smell", Severity::Medium, location, breaches)
}

/// [`bad_smell`] at a location of this name.
pub(super) fn bad_smell_at(display: &str) -> Alert {
    bad_smell(&location("ODRDTR_BATT_V1", display))
}

/// High carbon dioxide and fine dust in one reading.
pub(super) fn stale_and_dusty_air(display: &str) -> Vec<Alert> {
    let location = location("ODRDTR_10_IN_1", display);
    let of = |metric, value, limit| vec![breach("ODRDTR_10_IN_1", metric, value, Comparison::AtLeast, limit)];
    vec![
        alert("carbon-dioxide", "Stale air", Severity::High, &location, of("co2", 2610.0, 2500.0)),
        alert("fine-dust", "Fine dust", Severity::Medium, &location, of("pm_2.5", 41.5, 35.0)),
    ]
}

/// The worst rating, with reasons.
pub(super) fn bad_feedback(display: &str, reasons: &[&str]) -> Alert {
    let breaches = vec![breach("FD", "rating", 5.0, Comparison::AtLeast, 4.0)];
    Alert {
        reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
        ..alert("bad-feedback", "Bad feedback", Severity::Medium, &location("FD", display), breaches)
    }
}

/// Water on the floor: both conditions of the rule.
pub(super) fn spill(display: &str) -> Alert {
    let breaches = vec![
        breach("WD", "value", 1.0, Comparison::AtLeast, 1.0),
        breach("WD", "AreaP", 12.0, Comparison::AtLeast, 5.0),
    ];
    alert("spill", "Wet floor", Severity::High, &location("WD", display), breaches)
}

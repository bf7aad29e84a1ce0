//! Tests of the whole page.

use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::fixtures::{alert, building, device, findings, location, start};
use super::{LARGEST_PAGE, STYLE, page};
use crate::backtest::findings::{Distribution, Findings, OddTimes, Outliers, RuleLimit, RuleResults, Span};
use domain::breach::Comparison;
use domain::device::Unit;
use domain::digest::Digest;
use domain::location::Location;
use domain::severity::Severity;

fn created() -> Timestamp {
    "2026-03-31T08:00:00Z".parse().unwrap()
}

fn whole(findings: &Findings) -> String {
    let page = page(findings, created());
    assert_well_formed(&page);
    page
}

/// Every element is closed by its own end, attributes are quoted, and no stray mark is left.
fn assert_well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let (before, after) = page.split_once("<style>").unwrap();
    let (_, after) = after.split_once("</style>").unwrap();
    for text in [before.strip_prefix("<!DOCTYPE html>").unwrap(), after] {
        let mut rest = text;
        while let Some((words, behind)) = rest.split_once('<') {
            assert_words(words);
            let (tag, behind) = behind.split_once('>').expect("a tag that ends");
            rest = behind;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closed near {}", &behind.chars().take(80).collect::<String>());
                continue;
            }
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag.split_whitespace().next().unwrap();
            if !tag.ends_with('/') && name != "meta" {
                open.push(name);
            }
        }
        assert_words(rest);
    }
    assert!(open.is_empty(), "{open:?}");
}

/// No text has a mark that is not escaped, nor a character that XML does not know.
fn assert_words(words: &str) {
    assert!(!words.contains('>'), "{words}");
    let known = ["&lt;", "&gt;", "&amp;", "&quot;", "&#39;", "&apos;"];
    for (at, _) in words.match_indices('&') {
        assert!(known.iter().any(|entity| words[at..].starts_with(entity)), "{words}");
    }
    assert!(!words.chars().any(|character| character.is_control() && character != '\n'), "{words:?}");
}

fn of_zone(name: &str, hours: &[i64]) -> Findings {
    let location = location("ODRDTR_BATT_V1", name, "zone01");
    let values = (0..168).map(|hour| (50.0, 100.0 + f64::from(hour))).collect();
    let alerts = hours.iter().map(|hour| alert("ammonia-lite", 0, *hour, Some(("amm", 270.0, 200.0, Unit::Ppb))));
    findings(vec![device(location, "amm", Unit::Ppb, values)], alerts.collect())
}

/// Keeps a page in the build's folder, for a person or a browser (tests/e2e/test_report.py).
fn keep(name: &str, page: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), page).unwrap();
}

#[test]
fn a_page_names_readings_with_odd_times_and_avoidable_alerts() {
    let mut found = of_zone("Washroom", &[1, 2]);
    let none = whole(&found);
    assert!(!none.contains("before the first push") && !none.contains("message of a cleaning"));
    let oldest = "2016-02-29T00:00:00Z".parse().unwrap();
    let odd = OddTimes { count: 1, oldest, newest: oldest, reading: Digest::of(b"{}"), device: 0 };
    found.outliers = Outliers { before: Some(odd), ahead: None };
    found.rules.avoidable = 1;
    let page = whole(&found);
    let note = "1 readings from before the first push, which are judged and shown nowhere: 2016-02-29 00:00 UTC; \
                Washroom (ODRDTR_BATT_V1-Washroom) sent 44136fa355b3678a1146ad16f7e8649e";
    assert!(page.contains(note), "{page}");
    assert!(page.contains("An earlier message of a cleaning would have avoided or put off 1 of 2 alerts."), "{page}");
}

#[test]
fn a_page_is_well_formed_with_and_without_a_comparison() {
    keep("report.html", &whole(&building(70)));
    keep("report-small.html", &whole(&Findings { against: None, difference: None, ..building(3) }));
    keep("report-empty.html", &whole(&Findings::default()));
}

#[test]
fn a_page_of_a_thousand_alerting_devices_is_small_and_complete() {
    let mut findings = building(1_000);
    findings.rules.alerts.extend((0..1_000).map(|device| alert("silence", device, 99, None)));
    let page = whole(&findings);
    keep("report-large.html", &page);
    assert!(page.matches("<svg").count() >= 1_000);
    assert!(page.len() < LARGEST_PAGE * 3 / 5, "{}", page.len());
    assert!(!page.contains("left out here"));
}

#[test]
fn a_page_of_ten_thousand_devices_is_below_the_limit() {
    let page = whole(&building(10_000));
    keep("report-largest.html", &page);
    assert!(page.len() < LARGEST_PAGE, "{}", page.len());
}

#[test]
fn long_names_do_not_make_a_page_too_large() {
    let mut findings = building(3_000);
    for device in &mut findings.devices {
        let long = "<&\"\u{1f6bb}".repeat(30);
        device.location.zone = Some(long.clone());
        device.location.display = Some(long);
    }
    let page = whole(&findings);
    assert!(page.len() < LARGEST_PAGE, "{}", page.len());
}

#[test]
fn names_cannot_become_markup() {
    let hostile = "\"><script>alert(1)</script>'&\u{202e}\u{0}\u{1b}";
    let mut findings = building(12);
    let device = findings.devices[0].location.clone();
    let location = Location {
        display: Some(hostile.to_owned()),
        device: Some(hostile.to_owned()),
        device_type: hostile.to_owned(),
        zone: Some(hostile.to_owned()),
        project: Some(hostile.to_owned()),
        property: Some(hostile.to_owned()),
        ..device
    };
    for device in &mut findings.devices {
        device.location = location.clone();
        for series in &mut device.series {
            (series.metric, series.label) = (hostile.into(), hostile.to_owned());
        }
    }
    for verdict in [&mut findings.rules, findings.against.as_mut().unwrap()] {
        verdict.name = hostile.to_owned();
        for alert in &mut verdict.alerts {
            (alert.rule, alert.title) = (hostile.into(), hostile.into());
            alert.breach.as_mut().unwrap().metric = hostile.into();
        }
    }
    for distribution in &mut findings.distributions {
        (distribution.label, distribution.device_type) = (hostile.to_owned(), hostile.into());
    }
    let page = whole(&findings);
    assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{0}'));
    assert!(page.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn a_page_requests_nothing_from_a_network() {
    let page = page(&building(60), created());
    for outside in ["http:", "https:", "src=", "url(", "@import", "<script", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let tags = page.split('<').filter_map(|piece| piece.split_once('>'));
    assert!(tags.clone().count() > 1_000 && tags.clone().all(|(tag, _)| !tag.contains(" on")), "no event handler");
    assert!(page.match_indices("href=").all(|(at, _)| page[at..].starts_with("href=\"#")));
    assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'"));
}

#[test]
fn the_table_of_contents_links_to_sections() {
    let page = page(&building(60), created());
    let targets: Vec<&str> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(targets, ["difference", "alerts", "hours", "values", "sensors"]);
    assert!(targets.iter().all(|id| page.contains(&format!("<section id=\"{id}\">"))));
}

#[test]
fn each_severity_has_its_colour() {
    for severity in Severity::ALL {
        assert!(STYLE.contains(&format!("\n.{severity} {{ --key: #")), "{severity}");
    }
}

#[test]
fn the_worst_device_comes_first_and_the_quiet_one_is_folded() {
    let named = |name: &str| device(location("TH", name, "zone01"), "t", Unit::Celsius, vec![(1.0, 2.0); 24]);
    let hot = |device, hour| alert("heat", device, hour, Some(("t", 41.0, 40.0, Unit::Celsius)));
    let mut urgent = hot(3, 5);
    urgent.severity = Severity::Critical;
    let devices = vec![named("Quiet"), named("One"), named("Three"), named("Urgent")];
    let alerts = vec![hot(1, 1), hot(2, 2), hot(2, 3), hot(2, 4), urgent];
    let page = whole(&findings(devices, alerts));
    let at = |name: &str| page.find(&format!("<article class=\"device\"><h3><bdi>{name}</bdi>"));
    assert!(at("Three") < at("Urgent") && at("Urgent") < at("One") && at("Three").is_some());
    assert_eq!(at("Quiet"), None);
    assert!(page.contains("<summary>1 sensor more, 1 without an alert</summary>") && page.contains("<bdi>Quiet</bdi>"));
}

#[test]
fn forty_devices_are_shown_and_the_forty_first_is_folded() {
    let shown = |devices: usize| {
        let named = |index| device(location("TH", &format!("T{index}"), "z"), "t", Unit::Celsius, vec![(1.0, 2.0)]);
        let alerts =
            (0..devices).map(|index| alert("heat", index, 1, Some(("t", 41.0, 40.0, Unit::Celsius)))).collect();
        let page = whole(&findings((0..devices).map(named).collect(), alerts));
        (page.matches("<article class=\"device\">").count(), page.contains("1 sensor more, 0 without an alert"))
    };
    assert_eq!(shown(40), (40, false));
    assert_eq!(shown(41), (40, true));
}

#[test]
fn a_comparison_has_its_section_and_is_absent_otherwise() {
    let mut compared = of_zone("Washroom 3", &[10]);
    compared.against = Some(RuleResults {
        name: "built-in".to_owned(),
        alerts: of_zone("", &[10, 50, 90, 130]).rules.alerts,
        ..RuleResults::default()
    });
    compared.difference =
        Some(crate::backtest::findings::Difference { same: 1, moved: 0, gained: Vec::new(), missed: vec![1, 2, 3] });
    let page = whole(&compared);
    assert!(page.contains("Alerts: 4 → 1.") && page.contains("3 would be missed, 0 would be new"));
    assert!(page.contains("<h3>3 alerts would be missed</h3>") && page.contains("ammonia 270 ppb (limit 200)"));
    // 50 hours after Monday midnight in Singapore.
    assert!(page.contains("Wed 4 Mar 2026, 02:00"));
    let alone = whole(&of_zone("Washroom 3", &[10]));
    assert!(!alone.contains("What would change") && !alone.contains("would be missed") && !alone.contains('→'));
}

#[test]
fn a_limit_near_the_values_is_drawn_and_a_far_one_is_words_alone() {
    let with_limit = |limit: f64| {
        let mut findings = of_zone("Washroom 3", &[10]);
        let limits =
            vec![RuleLimit { rule: "worse".into(), severity: Severity::High, comparison: Comparison::AtLeast, limit }];
        findings.devices[0].series[0].limits.clone_from(&limits);
        findings.distributions.push(Distribution {
            device_type: "ODRDTR_BATT_V1".into(),
            metric: "amm".into(),
            label: "ammonia".to_owned(),
            unit: Unit::Ppb,
            count: 2,
            least: 50.0,
            greatest: 268.0,
            width: 10.0,
            bins: vec![(50.0, 1), (260.0, 1)],
            limits,
        });
        whole(&findings)
    };
    // A line in the chart of the device, and bands beyond the limit among those of all values.
    let lines = |page: &str| page.matches("<line class=\"high\"").count();
    let bands = |page: &str| page.matches("<tr class=\"high\"").count();
    let near = with_limit(470.0);
    assert_eq!((lines(&near), bands(&near), near.matches("</span> 470 ppb").count()), (1, 1, 2));
    assert!(!near.contains("beyond this chart"));
    let far = with_limit(5_000.0);
    assert_eq!((lines(&far), bands(&far)), (0, 0));
    assert_eq!(far.matches("</span> 5000 ppb (beyond this chart)").count(), 2);
}

/// The cell of the map of hours.
fn hour(page: &str, day: &str, hour: usize) -> String {
    let (_, row) = page.split_once(&format!("<th scope=\"row\">{day}</th>")).unwrap();
    let cell = row.split("<td").nth(hour + 1).unwrap();
    cell.split_once('>').unwrap().1.split_once('<').unwrap().0.to_owned()
}

#[test]
fn hours_and_days_are_in_the_time_zone_of_the_sensor() {
    // Sunday 23:30 UTC is Monday 07:30 in Singapore.
    let mut findings = of_zone("Washroom 3", &[0]);
    findings.rules.alerts[0].at = "2026-03-08T23:30:00Z".parse().unwrap();
    let singapore = whole(&findings);
    assert_eq!((&*hour(&singapore, "Mon", 7), &*hour(&singapore, "Sun", 23)), ("1", ""));
    findings.devices[0].location.local_zone = domain::time::LocalZone::default();
    let utc = whole(&findings);
    assert_eq!((&*hour(&utc, "Mon", 7), &*hour(&utc, "Sun", 23)), ("", "1"));
    assert!(utc.contains("(UTC)"));
}

#[test]
fn a_history_without_readings_or_alerts_has_a_page() {
    let nothing = whole(&Findings::default());
    assert!(nothing.contains("No reading was judged") && !nothing.contains("<nav") && !nothing.contains("<section"));
    let quiet = whole(&of_zone("Washroom 3", &[]));
    assert!(quiet.contains("No reading would have raised an alert.") && !quiet.contains("id=\"hours\""));
    let mut single = findings(
        vec![device(Location::default(), "amm", Unit::Ppb, vec![(5.0, 5.0)])],
        vec![alert("silence", 0, 0, None), alert("silence", 0, 1, None)],
    );
    single.span = Some(Span { first: start(), last: start() });
    let page = whole(&single);
    assert!(page.contains("a device without a name") && page.contains("no data"));
}

#[test]
fn any_values_make_a_page() {
    let odd = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, -1e9, 0.0, 1e-30];
    let values = odd.iter().map(|value| (*value, *value)).collect();
    let mut found = findings(
        vec![device(location("ACME#X", "Odd", "zone"), "q", Unit::One, values)],
        vec![
            alert("odd", 0, 1, Some(("q", f64::MAX, f64::MIN, Unit::One))),
            alert("odd", 0, 2, Some(("q", f64::NAN, f64::INFINITY, Unit::One))),
        ],
    );
    let limit = |limit| RuleLimit { rule: "odd".into(), severity: Severity::Low, comparison: Comparison::Above, limit };
    for width in [0.0, f64::NAN, 1.0, 1e300] {
        found.distributions.push(Distribution {
            device_type: "ACME#X".into(),
            metric: "q".into(),
            label: String::new(),
            unit: Unit::One,
            count: 3,
            least: -1e308,
            greatest: 1e308,
            width,
            bins: vec![(-1e308, 1), (0.0, 1), (1e308, 1)],
            limits: vec![limit(f64::NAN), limit(1e307), limit(0.0)],
        });
    }
    found.span = Some(Span { first: start(), last: start() + SignedDuration::from_hours(1_000_000 / 24) });
    let page = whole(&found);
    assert!(page.contains("<bdi>Odd</bdi>"));
}

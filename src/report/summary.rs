//! The top of the page: what was judged, what came of it, and what could be better, in plain words.

use std::collections::HashMap;

use jiff::Timestamp;

use super::html::{name, text};
use super::view::{View, type_title};
use super::words::{capitalised, count, counted, date, length, moment, plural, rate, zone_name};
use crate::backtest::findings::{AlertFact, Curve, CurvePoint, Outliers, Verdict};
use crate::domain::alert::amount;
use crate::domain::device::Unit;

/// Most suggestions in the summary; every one stands at its curve.
const MOST_SUGGESTIONS: usize = 12;

/// The heading, the figures and the sentences.
pub(super) fn summary(view: &View<'_>, made: Timestamp) -> String {
    let findings = view.findings;
    let rules = text(rules_name(&findings.rules));
    let title = match &findings.against {
        Some(against) => format!("{rules} <small>compared with</small> {}", text(rules_name(against))),
        None => rules,
    };
    format!(
        "<header><p class=\"kicker\">Backtest of alert rules</p><h1>{title}</h1><p class=\"lead\">{}</p></header>{}{}{}<p class=\"note\">Made {}.</p>",
        period(view),
        tiles(view),
        sentences(view),
        suggestions(view),
        moment(view.usual_place(), made),
    )
}

/// What the page is called.
pub(super) fn rules_name(verdict: &Verdict) -> &str {
    if verdict.name.trim().is_empty() { "Rules" } else { &verdict.name }
}

fn period(view: &View<'_>) -> String {
    let Some(span) = view.findings.span else {
        return "No reading was judged, so there is nothing to tell.".to_owned();
    };
    let usual = view.usual_place();
    let elsewhere = view.findings.devices.iter().any(|device| device.place.local_zone != usual.local_zone);
    let also = if elsewhere { "; where a sensor’s own clock differs, its times go by that" } else { "" };
    format!(
        "{} to {}: {} of readings. Times are local ({}){also}.",
        date(usual, span.first),
        date(usual, span.last),
        length(span.last.duration_since(span.first)),
        text(&zone_name(usual)),
    )
}

fn tiles(view: &View<'_>) -> String {
    let findings = view.findings;
    let alerting = view.by_device.iter().filter(|alerts| !alerts.is_empty()).count();
    let weeks = findings.span.map_or(1.0, |span| span.weeks());
    #[expect(clippy::cast_precision_loss, reason = "a count of alerts is far below 2^52")]
    let a_week = |alerts: usize| rate(alerts as f64 / weeks);
    let both = |of: &dyn Fn(&Verdict) -> String| match &findings.against {
        Some(against) => format!("{} <span class=\"to\">→</span> {}", of(against), of(&findings.rules)),
        None => of(&findings.rules),
    };
    let tile = |label: &str, figure: String, below: String| {
        format!("<div><dt>{label}</dt><dd>{figure}<small>{below}</small></dd></div>")
    };
    let readings = count(findings.readings.judged);
    let mut all = tile("Alerts", both(&|one| counted(one.alerts.len())), held_back(&findings.rules));
    all += &tile("Alerts a week", both(&|one| a_week(one.alerts.len())), String::new());
    all += &tile("Messages sent", both(&|one| count(one.messages)), "one can name several alerts".to_owned());
    let quiet = format!("{} without an alert", counted(findings.devices.len() - alerting));
    all += &tile("Sensors", counted(findings.devices.len()), quiet);
    all += &tile("Readings judged", readings, left_aside(view));
    format!("<dl class=\"tiles\">{all}</dl>")
}

fn held_back(verdict: &Verdict) -> String {
    let blocked = verdict.alerts.iter().filter(|alert| alert.blocked).count();
    match (blocked, verdict.counted) {
        (0, 0) => String::new(),
        (0, only_counted) => format!("and {} blocked", count(only_counted)),
        (held, 0) => format!("{} of them held back by a block", counted(held)),
        (held, only_counted) => format!("{} held back, and {} blocked", counted(held), count(only_counted)),
    }
}

fn left_aside(view: &View<'_>) -> String {
    let readings = view.findings.readings;
    let aside = [
        (readings.duplicates, "repeated"),
        (readings.stale, "too old when they came"),
        (readings.implausible, "values that no such sensor can measure"),
        (readings.late, "out of order"),
        (view.findings.outliers.before.map_or(0, |odd| odd.count), "from before the first push"),
        (view.findings.outliers.ahead.map_or(0, |odd| odd.count), "from the future"),
        (readings.undated, "without a time"),
        (readings.unreadable, "unreadable"),
    ];
    let named: Vec<String> = aside
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", count(*number)))
        .collect();
    if named.is_empty() { String::new() } else { format!("left aside: {}", named.join(", ")) }
}

fn sentences(view: &View<'_>) -> String {
    let findings = view.findings;
    let mut said = Vec::new();
    if let (Some(against), Some(difference)) = (&findings.against, &findings.difference) {
        said.push(format!(
            "<strong>Alerts: {} → {}.</strong> {} would be missed, {} would be new; {} stay as they are, {} come at another time.",
            counted(against.alerts.len()),
            counted(findings.rules.alerts.len()),
            counted(difference.missed.len()),
            counted(difference.gained.len()),
            counted(difference.same),
            counted(difference.moved),
        ));
    }
    said.extend(busiest_rule(view, &findings.rules.alerts));
    said.extend(avoidable(&findings.rules));
    said.extend(outliers(view));
    said.extend(busiest_device(view));
    if findings.rules.alerts.is_empty() && findings.readings.judged > 0 {
        said.push("No reading would have raised an alert.".to_owned());
    }
    said.iter().map(|sentence| format!("<p>{sentence}</p>")).collect()
}

/// "An earlier message of a cleaning would have avoided or put off 3 of 41 alerts."
fn avoidable(verdict: &Verdict) -> Option<String> {
    (verdict.avoidable > 0).then(|| {
        format!(
            "An earlier message of a cleaning would have avoided or put off {} of {}.",
            count(verdict.avoidable),
            plural(verdict.alerts.len(), "alert"),
        )
    })
}

/// "The time of 1 reading cannot be right, such as 29 February 2016 from Washroom 3 (id 24E1…)."
fn outliers(view: &View<'_>) -> Option<String> {
    let Outliers { before, ahead } = view.findings.outliers;
    let odd = before.or(ahead)?;
    let number = [before, ahead].into_iter().flatten().map(|odd| odd.count).sum::<u64>();
    let place = view.place(odd.device);
    let readings = if number == 1 { "1 reading".to_owned() } else { format!("{} readings", count(number)) };
    Some(format!(
        "The time of {readings} cannot be right, such as {} from <strong>{}</strong> (id {}). The period above leaves them out.",
        date(place, odd.oldest),
        name(&place.name()),
        text(place.device.as_deref().unwrap_or("unknown")),
    ))
}

/// "Most come from Bad smell: 31 of 41."
fn busiest_rule(view: &View<'_>, alerts: &[AlertFact]) -> Option<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for alert in alerts {
        *counts.entry(&alert.rule).or_default() += 1;
    }
    let (rule, most) = counts.iter().max_by(|one, other| one.1.cmp(other.1).then(other.0.cmp(one.0)))?;
    let title = text(&view.title(rule));
    Some(if alerts.len() == 1 {
        format!("It comes from <strong>{title}</strong>.")
    } else if counts.len() == 1 {
        format!("All of them come from one rule: <strong>{title}</strong>.")
    } else {
        format!(
            "The rule that makes most is <strong>{title}</strong>: {} of {}.",
            counted(*most),
            plural(alerts.len(), "alert")
        )
    })
}

/// "The sensor with most is Washroom 3: 17."
fn busiest_device(view: &View<'_>) -> Option<String> {
    let (device, alerts) =
        view.by_device.iter().enumerate().max_by_key(|(index, alerts)| (alerts.len(), usize::MAX - index))?;
    (alerts.len() > 1 && view.by_device.len() > 1).then(|| {
        format!(
            "The sensor with most is <strong>{}</strong>: {}.",
            name(&view.place(device).name()),
            counted(alerts.len())
        )
    })
}

fn suggestions(view: &View<'_>) -> String {
    let all: Vec<String> = view.findings.curves.iter().filter_map(suggestion).collect();
    if all.is_empty() {
        return String::new();
    }
    let shown: String = all.iter().take(MOST_SUGGESTIONS).map(|sentence| format!("<li>{sentence}</li>")).collect();
    let more = match all.len().saturating_sub(MOST_SUGGESTIONS) {
        0 => String::new(),
        more => format!("<p class=\"note\">{more} more stand with their limits below.</p>"),
    };
    format!("<aside id=\"suggestions\"><h2>Suggestions</h2><ul>{shown}</ul>{more}</aside>")
}

/// "Ammonia (air quality sensor lite): at 250 ppb instead of 200 it would be 3 alerts a week instead of 17."
pub(super) fn suggestion(curve: &Curve) -> Option<String> {
    let suggested = curve.suggestion?;
    let label = text(&capitalised(&curve.label));
    let kind = text(type_title(&curve.device_type));
    let words = instead(&suggested, in_force(curve), curve);
    Some(format!("<strong>{label}</strong> ({kind}): {words}"))
}

/// "at 250 ppb instead of 200 it would be 3 alerts a week instead of 17."
fn instead(suggested: &CurvePoint, now: Option<&CurvePoint>, curve: &Curve) -> String {
    let than = now.map_or_else(String::new, |now| format!(" instead of {}", rate(now.a_week)));
    let alerts = if rate(suggested.a_week) == "1" { "alert" } else { "alerts" };
    format!(
        "at <strong>{}</strong> instead of {} it would be <strong>{}</strong> {alerts} a week{than}.",
        text(&amount(suggested.limit, curve.unit)),
        amount(curve.limit, Unit::One),
        rate(suggested.a_week),
    )
}

/// The point of the limit that is in force.
pub(super) fn in_force(curve: &Curve) -> Option<&CurvePoint> {
    nearest(&curve.points, curve.limit)
}

/// The point whose limit is nearest.
pub(super) fn nearest(points: &[CurvePoint], limit: f64) -> Option<&CurvePoint> {
    let distance = |point: &CurvePoint| (point.limit - limit).abs();
    points.iter().min_by(|one, other| distance(one).total_cmp(&distance(other)))
}

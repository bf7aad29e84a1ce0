//! The text of an email. Plain text, because SNS sends nothing else; no columns, because most mail programs use a proportional
//! font.

use super::facts::{AlertPhase, Facts, deduplicated};
use super::sentence::times;
use super::text::{Charset, counted, date_and_time, flag, graphemes, ids, quantity, value_and_limit, with_decimals};
use super::time::elapsed;
use domain::alert::{Alert, Trigger};
use domain::breach::{Breach, Comparison};
use domain::device::Unit;

/// Longest line, in graphemes (RFC 5322, section 2.1.1, recommends 78 characters). A longer word stays whole.
const WIDTH: usize = 78;
/// The ratio of value to limit from which the email shows it; below, the value is "just over".
const LEAST_RATIO: f64 = 1.05;

impl Facts {
    /// The text of an email: the sentence; location and time; each alert with values, distance from the limit and duration;
    /// the ids; the rules. Lists at most `max` alerts, and `max` values and reasons of each. The others are counted.
    pub(super) fn email(&self, sentence: &str, max: usize) -> String {
        let first = self.first();
        let mut header = vec![
            format!("Where: {}", self.location),
            format!("When: {}", date_and_time(&first.location, self.at())),
            format!("Device: {}", first.location.device_title()),
        ];
        if self.phase != AlertPhase::Firing {
            header.insert(2, format!("Raised: {}", date_and_time(&first.location, first.at)));
        }
        let mut blocks = vec![header];
        blocks.extend(self.alerts.iter().take(max).map(|alert| self.alert_block(alert, max)));
        if self.alerts.len() > max {
            blocks.push(vec![format!("And {} more.", self.alerts.len() - max)]);
        }
        if self.blocked > 0 {
            let (alerts, were) = (counted(self.blocked, "more alert"), if self.blocked == 1 { "was" } else { "were" });
            blocks.push(vec![format!("{alerts} of this zone {were} blocked before it.")]);
        }
        blocks.push(self.ids(max));
        // The sentence is not wrapped: it is the same line in every text.
        format!("{sentence}\n\n{}\n\n{}\n", laid_out(&blocks), wrapped(&self.rules(max), ""))
    }

    fn alert_block(&self, alert: &Alert, max: usize) -> Vec<String> {
        let mut lines = vec![format!("{} ({})", alert.title, alert.severity)];
        if alert.at != self.first().at {
            lines.push(format!("- at {}", self.moment(alert.at)));
        }
        lines.extend(alert.breaches.iter().take(max).map(|breach| format!("- {}", measured(breach))));
        lines.extend(and_more(alert.breaches.len(), max));
        lines.extend(self.trigger(alert).map(|trigger| format!("- {trigger}")));
        lines.extend(alert.reasons.iter().take(max).map(|reason| format!("- reason: {reason}")));
        lines.extend(and_more(alert.reasons.len(), max));
        lines
    }

    /// The duration: "for 19 min, since 13:40". In follow-ups, up to the time of the message.
    fn trigger(&self, alert: &Alert) -> Option<String> {
        let duration = |since| format!("for {}, since {}", elapsed(since, self.at()), self.moment(since));
        match alert.trigger {
            Trigger::NoData { since } if self.phase == AlertPhase::Firing => {
                Some(format!("no data {}", duration(since)))
            }
            Trigger::Sustained { since } if self.phase == AlertPhase::Firing => Some(duration(since)),
            Trigger::Accumulated { since } => {
                Some(format!("counted for {}, since {}", elapsed(since, alert.at), self.moment(since)))
            }
            Trigger::Repeated { count, within } => Some(times(count, within)),
            Trigger::Immediate if self.phase == AlertPhase::Firing => None,
            Trigger::Immediate | Trigger::Sustained { .. } | Trigger::NoData { .. } => {
                let word = if matches!(self.phase, AlertPhase::Resolved(_)) { "lasted" } else { "lasts" };
                self.duration().map(|duration| format!("{word} {duration}, since {}", self.moment(self.began())))
            }
        }
    }

    fn ids(&self, max: usize) -> Vec<String> {
        let alerts = self.alerts.iter().take(max).map(|alert| format!("Alert id: {}", alert.id));
        ids(&self.first().location).chain(alerts).collect()
    }

    fn rules(&self, max: usize) -> String {
        let rules = deduplicated(self.alerts.iter().take(max).map(|alert| alert.rule.as_str()));
        let (named, limit) = match rules.as_slice() {
            [rule] => (format!("Rule {rule}"), "its limit"),
            rules => (format!("Rules {}", rules.join(", ")), "a limit"),
        };
        format!("{named}. To change {limit}, see \"Change a limit\" in the README.")
    }
}

fn and_more(items: usize, max: usize) -> Option<String> {
    (items > max).then(|| format!("- and {} more", items - max))
}

/// A value with its distance from the limit: "ammonia: 270 ppb, 1.4 times the limit of 200 ppb".
fn measured(breach: &Breach) -> String {
    if breach.unit == Unit::Flag {
        return flag(&breach.label, breach.value);
    }
    let (value, limit) = value_and_limit(breach);
    let value = quantity(&value, breach.unit, Charset::Unicode);
    let limit = quantity(&limit, breach.unit, Charset::Unicode);
    let from = if breach.comparison == Comparison::Deviates { " from its baseline" } else { "" };
    format!("{}: {value}{from}, {} the limit of {limit}", breach.label, beyond(breach))
}

/// The distance of a value from its limit: "1.4 times", "2 points under", "at".
fn beyond(breach: &Breach) -> String {
    let distance = breach.value - breach.limit;
    if distance == 0.0 {
        return "at".to_owned();
    }
    let side = if distance > 0.0 { "over" } else { "under" };
    if distance > 0.0 && breach.limit > 0.0 && is_concentration(breach.unit) {
        let ratio = breach.value / breach.limit;
        if ratio < LEAST_RATIO {
            return format!("just {side}");
        }
        return format!("{} times", with_decimals(ratio, usize::from(ratio < 10.0)));
    }
    match (with_decimals(distance.abs(), 2).as_str(), breach.unit) {
        ("0", _) => format!("just {side}"),
        ("1", Unit::Percent) => format!("1 point {side}"),
        // A difference of percentages is in points: "2 %" could mean a ratio.
        (number, Unit::Percent) => format!("{number} points {side}"),
        (number, unit) => format!("{} {side}", quantity(number, unit, Charset::Unicode)),
    }
}

/// Whether a ratio of two values has a meaning, unlike that of temperatures in °C, indexes or battery voltages.
fn is_concentration(unit: Unit) -> bool {
    matches!(unit, Unit::Ppm | Unit::Ppb | Unit::MilligramsPerCubicMetre | Unit::MicrogramsPerCubicMetre)
}

/// Joins blocks of lines with empty lines.
pub(super) fn laid_out(blocks: &[Vec<String>]) -> String {
    let block = |lines: &Vec<String>| lines.iter().map(|line| wrapped(line, "  ")).collect::<Vec<_>>().join("\n");
    blocks.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

/// Wraps `line` at [`WIDTH`], with `indent` before the second and later lines.
pub(super) fn wrapped(line: &str, indent: &str) -> String {
    if graphemes(line) <= WIDTH {
        return line.to_owned();
    }
    let mut text = String::with_capacity(line.len() + 16);
    let mut width = 0;
    for word in line.split(' ') {
        let added = graphemes(word);
        if width > 0 && width + 1 + added > WIDTH {
            text.extend(["\n", indent]);
            width = indent.len();
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text.push_str(word);
        width += added;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breach(unit: Unit, comparison: Comparison, value: f64, limit: f64) -> Breach {
        Breach { metric: "m".into(), label: "it".into(), value, unit, comparison, limit }
    }

    #[test]
    fn the_distance_from_the_limit_is_a_ratio_for_concentrations_and_a_difference_otherwise() {
        use Comparison::{Above, AtLeast, Below, Deviates};
        for (unit, comparison, value, limit, expected) in [
            (Unit::Ppb, AtLeast, 270.0, 200.0, "it: 270 ppb, 1.4 times the limit of 200 ppb"),
            (Unit::Ppb, AtLeast, 400.0, 200.0, "it: 400 ppb, 2 times the limit of 200 ppb"),
            (Unit::Ppm, AtLeast, 61.0, 5.0, "it: 61 ppm, 12 times the limit of 5 ppm"),
            (Unit::Ppb, AtLeast, 201.0, 200.0, "it: 201 ppb, just over the limit of 200 ppb"),
            (Unit::Ppb, AtLeast, 210.0, 200.0, "it: 210 ppb, 1.1 times the limit of 200 ppb"),
            (Unit::Ppb, AtLeast, 209.9, 200.0, "it: 209.9 ppb, just over the limit of 200 ppb"),
            (Unit::Ppb, AtLeast, 200.0, 200.0, "it: 200 ppb, at the limit of 200 ppb"),
            (Unit::Ppb, AtLeast, 3.0, 0.0, "it: 3 ppb, 3 ppb over the limit of 0 ppb"),
            (Unit::Ppm, Below, 300.0, 350.0, "it: 300 ppm, 50 ppm under the limit of 350 ppm"),
            (Unit::Percent, Below, 3.0, 5.0, "it: 3 %, 2 points under the limit of 5 %"),
            (Unit::Percent, Below, 4.0, 5.0, "it: 4 %, 1 point under the limit of 5 %"),
            (Unit::Celsius, Above, 31.5, 30.0, "it: 31.5 °C, 1.5 °C over the limit of 30 °C"),
            (Unit::One, Above, 2.31, 1.96, "it: 2.31, 0.35 over the limit of 1.96"),
            (Unit::One, Above, 1.960_000_1, 1.96, "it: 1.9600001, just over the limit of 1.96"),
            (Unit::Degree, Deviates, 12.3, 10.0, "it: 12.3° from its baseline, 2.3° over the limit of 10°"),
            (Unit::Millivolt, Below, 2250.0, 2400.0, "it: 2250 mV, 150 mV under the limit of 2400 mV"),
            (Unit::Flag, AtLeast, 1.0, 1.0, "it"),
            (Unit::Flag, Below, 0.0, 1.0, "no it"),
        ] {
            assert_eq!(measured(&breach(unit, comparison, value, limit)), expected);
        }
    }

    #[test]
    fn long_lines_break_between_words_only() {
        let line = "word ".repeat(40);
        let text = wrapped(line.trim_end(), "  ");
        assert!(text.lines().all(|line| line.len() <= WIDTH) && text.lines().count() == 3, "{text}");
        assert_eq!(text.split_whitespace().count(), 40);
        assert!(text.lines().skip(1).all(|line| line.starts_with("  w")));
        let word = "w".repeat(200);
        assert_eq!(wrapped(&word, "  "), word);
        assert_eq!(wrapped("short", "  "), "short");
        assert_eq!(wrapped(&format!("{word} word"), "  "), format!("{word}\n  word"));
    }
}

//! The content of an email, as text and as HTML. SNS sends text only. No columns, because most mail programs show text in a
//! proportional font.

use maud::{DOCTYPE, Markup, html};

use super::facts::{AlertPhase, Facts, deduplicated};
use super::text::{Charset, compared, flag, graphemes, ids, quantity, value_and_limit, with_decimals};
use super::texts::Texts;
use super::time::{date_and_time, elapsed};
use domain::alert::{Alert, Trigger};
use domain::breach::Breach;
use domain::device::Unit;

/// Longest line, in graphemes (RFC 5322, section 2.1.1, recommends 78 characters). A longer word stays whole.
const WIDTH: usize = 78;
/// The ratio of value to limit from which the email shows it; below, the value is "just over".
const LEAST_RATIO: f64 = 1.05;

/// The content of an email.
pub(super) struct EmailContent {
    /// The whole content as text.
    pub(super) text: String,
    /// The first line.
    pub(super) head: String,
    /// The other lines, in paragraphs.
    pub(super) blocks: Vec<Vec<String>>,
}

/// An email as an HTML page that loads nothing. Only a channel that can send it makes the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlEmail {
    /// The language of the email.
    pub language: String,
    subject: String,
    /// The severity, "ok" or "notice".
    mark: &'static str,
    /// The mark in the language.
    word: String,
    head: String,
    /// The text and the target of the link to answer. Nothing else is a link.
    pub(super) answer: Option<(String, String)>,
    blocks: Vec<Vec<String>>,
}

impl EmailContent {
    /// The content with long lines wrapped, except the first one: it is the same line in every text.
    pub(super) fn new(head: String, blocks: Vec<Vec<String>>) -> Self {
        let block = |lines: &Vec<String>| lines.iter().map(|line| wrapped(line)).collect::<Vec<_>>().join("\n");
        let text = blocks.iter().map(block).collect::<Vec<_>>().join("\n\n");
        Self { text: format!("{head}\n\n{text}\n"), head, blocks }
    }

    /// The content as text and for an HTML page. `mark` is the severity, "ok" or "notice".
    pub(super) fn into_parts(self, subject: &str, mark: &'static str, texts: &Texts<'_>) -> (String, HtmlEmail) {
        let (language, word) = (texts.language.clone(), texts.severity(mark).to_uppercase());
        let Self { text, head, blocks } = self;
        (text, HtmlEmail { language, subject: subject.to_owned(), mark, word, head, answer: None, blocks })
    }
}

/// White on blue with a contrast of 6.7, and 48 pixels high (WCAG 2.2).
const BUTTON: &str =
    "display:inline-block;padding:12px 16px;border-radius:6px;background:#1d4ed8;color:#ffffff;font-weight:bold";

impl HtmlEmail {
    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let band = format!("padding:12px 24px;background:{};color:#ffffff;font-weight:bold", color(self.mark));
        let page = html! {
            (DOCTYPE)
            html lang=(self.language) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width";
                    title { (self.subject) }
                }
                body style="margin:0;padding:16px;background:#f3f4f6;color:#111827;font:16px/1.5 sans-serif" {
                    table role="presentation" width="600" align="center" cellspacing="0" cellpadding="0"
                        style="width:100%;max-width:600px;background:#ffffff;border:1px solid #d1d5db" {
                        tr { td style=(band) { (self.word) } }
                        tr {
                            td style="padding:8px 24px 16px" {
                                p style="font-size:18px;font-weight:bold" { (self.head) }
                                @if let Some((text, link)) = &self.answer {
                                    p { a href=(link) style=(BUTTON) { (text) } }
                                }
                                @for block in &self.blocks { (paragraph(block)) }
                            }
                        }
                    }
                }
            }
        };
        page.into_string()
    }
}

impl AsRef<str> for EmailContent {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// White text on each color has a contrast of at least 4.5 (WCAG 2.1).
fn color(mark: &str) -> &'static str {
    match mark {
        "critical" => "#7f1d1d",
        "high" => "#b91c1c",
        "medium" => "#b45309",
        "low" => "#1d4ed8",
        "ok" => "#15803d",
        _ => "#374151",
    }
}

fn paragraph(lines: &[String]) -> Markup {
    html! {
        p style="white-space:pre-wrap;overflow-wrap:anywhere" {
            @for (index, line) in lines.iter().enumerate() {
                @if index > 0 { br; }
                (line.strip_prefix("- ").map(|item| format!("• {item}")).as_ref().unwrap_or(line))
            }
        }
    }
}

impl Facts<'_> {
    /// The email: the sentence; location and time; each alert with values, distance from the limit and duration; the ids; the
    /// rules. Lists at most `max` alerts, and `max` values and reasons of each. The others are counted.
    pub(super) fn email(&self, sentence: &str, max: usize) -> EmailContent {
        let (first, texts) = (self.first(), self.texts);
        let time = |at| date_and_time(texts, &first.location, at);
        let mut header = vec![
            texts.email_where(self.names.full()),
            texts.email_when(time(self.at())),
            texts.email_device(texts.device(first.location.device_title())),
        ];
        if self.phase != AlertPhase::Firing {
            header.insert(2, texts.email_raised(time(first.at)));
        }
        header.extend(self.names.floor.iter().map(|floor| texts.email_floor(floor)));
        header.extend(self.names.notes.iter().map(|note| texts.email_note(note)));
        let mut blocks = vec![header];
        blocks.extend(self.alerts.iter().take(max).map(|alert| self.alert_block(alert, max)));
        if self.alerts.len() > max {
            blocks.push(vec![texts.and_more(self.alerts.len() - max)]);
        }
        if self.more > 0 {
            blocks.push(vec![texts.email_blocked(self.more)]);
        }
        let listed = self.alerts.iter().take(max);
        let alert_ids = listed.clone().map(|alert| texts.email_id("alert", alert.id.to_string()));
        let rules = deduplicated(listed.map(|alert| alert.rule.as_str()));
        let rules = texts.email_rules(rules.len(), rules.join(", "));
        blocks.push(ids(&first.location, texts).chain(alert_ids).chain([rules]).collect());
        EmailContent::new(sentence.to_owned(), blocks)
    }

    fn alert_block(&self, alert: &Alert, max: usize) -> Vec<String> {
        let texts = self.texts;
        let mut items = Vec::new();
        if alert.at != self.first().at {
            items.push(texts.email_at(self.moment(alert.at)));
        }
        let and_more = |listed: usize| (listed > max).then(|| texts.and_more(listed - max));
        items.extend(alert.breaches.iter().take(max).map(|breach| measured(breach, texts)));
        items.extend(and_more(alert.breaches.len()));
        items.extend(self.trigger(alert));
        items.extend(alert.reasons.iter().take(max).map(|reason| texts.email_reason(reason)));
        items.extend(and_more(alert.reasons.len()));
        let title = texts.email_alert(&alert.title, texts.severity(alert.severity.as_str()));
        std::iter::once(title).chain(items.into_iter().map(|item| format!("- {item}"))).collect()
    }

    /// The duration: "for 19 min, since 13:40". In follow-ups, up to the time of the message.
    fn trigger(&self, alert: &Alert) -> Option<String> {
        let texts = self.texts;
        let duration = |state, since, to| texts.email_duration(state, elapsed(texts, since, to), self.moment(since));
        match (alert.trigger, self.phase) {
            (Trigger::Accumulated { since }, _) => Some(duration("counted", since, alert.at)),
            (Trigger::Repeated { count, since, .. }, _) => Some(texts.times(count, self.moment(since))),
            (Trigger::NoData { since }, AlertPhase::Firing) => Some(duration("no-data", since, self.at())),
            (Trigger::Sustained { since }, AlertPhase::Firing) => Some(duration("firing", since, self.at())),
            (Trigger::Immediate, AlertPhase::Firing) => None,
            (_, AlertPhase::Reminder(at) | AlertPhase::Escalated(at)) if at > self.began() => {
                Some(duration("reminder", self.began(), at))
            }
            (_, AlertPhase::Resolved(at)) if at > self.began() => Some(duration("resolved", self.began(), at)),
            (_, AlertPhase::Reminder(_) | AlertPhase::Escalated(_) | AlertPhase::Resolved(_)) => None,
        }
    }
}

/// A value with its distance from the limit: "ammonia: 270 ppb, 1.4 times the limit of 200 ppb".
pub(super) fn measured(breach: &Breach, texts: &Texts<'_>) -> String {
    if breach.unit == Unit::Flag {
        return texts.label(&flag(&breach.label, breach.value));
    }
    let (value, limit) = value_and_limit(breach);
    let value = compared(breach, quantity(&value, breach.unit, Charset::Unicode), texts);
    let (relation, distance) = beyond(breach, texts);
    let limit = quantity(&limit, breach.unit, Charset::Unicode);
    texts.email_measured(relation, texts.label(&breach.label), value, distance, limit)
}

/// The relation of a value to its limit, and the distance: "times" and "1.4", "under" and "2 points".
fn beyond(breach: &Breach, texts: &Texts<'_>) -> (&'static str, String) {
    let distance = breach.value - breach.limit;
    if distance == 0.0 {
        return ("at", String::new());
    }
    let [side, just] = if distance > 0.0 { ["over", "just-over"] } else { ["under", "just-under"] };
    if distance > 0.0 && breach.limit > 0.0 && is_concentration(breach.unit) {
        let ratio = breach.value / breach.limit;
        if ratio < LEAST_RATIO {
            return (just, String::new());
        }
        return ("times", with_decimals(ratio, usize::from(ratio < 10.0)));
    }
    match (with_decimals(distance.abs(), 2), breach.unit) {
        (number, _) if number == "0" => (just, String::new()),
        (number, Unit::Percent) => (side, texts.points(number.parse().unwrap_or(distance.abs()))),
        (number, unit) => (side, quantity(&number, unit, Charset::Unicode)),
    }
}

/// Whether a ratio of two values has a meaning, unlike that of temperatures in °C, indexes or battery voltages.
fn is_concentration(unit: Unit) -> bool {
    matches!(unit, Unit::Ppm | Unit::Ppb | Unit::MilligramsPerCubicMetre | Unit::MicrogramsPerCubicMetre)
}

/// Wraps `line` at [`WIDTH`]. The second and later lines of an item have its indentation.
pub(super) fn wrapped(line: &str) -> String {
    if graphemes(line) <= WIDTH {
        return line.to_owned();
    }
    let indent = if line.starts_with("- ") { "  " } else { "" };
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
    use domain::alert::Message;
    use domain::breach::Comparison;

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
            assert_eq!(measured(&breach(unit, comparison, value, limit), &Texts::english()), expected);
        }
    }

    #[test]
    fn long_lines_break_between_words_only() {
        let line = format!("- {}", "word ".repeat(40));
        let text = wrapped(line.trim_end());
        assert!(text.lines().all(|line| line.len() <= WIDTH) && text.lines().count() == 3, "{text}");
        assert_eq!(text.split_whitespace().count(), 41);
        assert!(text.lines().skip(1).all(|line| line.starts_with("  w")));
        assert!(wrapped(line[2..].trim_end()).lines().all(|line| line.starts_with('w')));
        let word = "w".repeat(200);
        assert_eq!(wrapped(&word), word);
        assert_eq!(wrapped("short"), "short");
        assert_eq!(wrapped(&format!("- {word} word")), format!("-\n  {word}\n  word"));
    }

    #[test]
    fn the_html_has_the_lines_of_the_text_and_no_markup_of_a_name() {
        let alert = crate::fixtures::bad_smell_at("<img src=x> http://evil.example & \"Lobby\"");
        let rendered = crate::fixtures::render(&Message::Firing { alerts: vec![alert], blocked: 0 });
        let html = &rendered.html.page();
        for line in rendered.email.lines().filter(|line| !line.is_empty()) {
            let escaped = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            assert!(html.contains(escaped.trim_start_matches("- ")), "{line}\n{html}");
        }
        assert!(html.contains(&format!("background:{}", color("medium"))) && html.contains(">MEDIUM<"), "{html}");
        for absent in ["<img", "<script", "<link", "<a ", "href", "http://", "url(", "{"] {
            assert!(!html.contains(absent), "{absent}: {html}");
        }
    }
}

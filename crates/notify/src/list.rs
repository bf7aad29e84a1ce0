//! Several alerts in one message: a digest, or the alerts that were suppressed for one reason. A line for each, the highest severity
//! first, and the number of alerts.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::attributes::{MOST_VALUES, attributes};
use super::email::EmailContent;
use super::facts::{AlertPhase, Facts};
use super::gsm7::{as_gsm7, is_one_part};
use super::rendered::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered, within};
use super::sentence::{LONGEST_SENTENCE, SentenceOptions};
use super::sms::cut_to_one_part;
use super::subject::{LONGEST_SUBJECT, ascii, marked};
use super::text::{Charset, cut_to_fit, cut_to_graphemes, ids, utf16_units};
use super::texts::Texts;
use super::time::{date_and_time, moment, zone};
use domain::alert::SuppressionReason;
use domain::location::Location;
use domain::severity::Severity;

/// Longest line, in UTF-16 code units. Location and title come first and have at most 120 characters each.
const LONGEST_LINE: usize = 600;
/// Longest location and title in a sentence or an SMS that names several alerts, in graphemes.
const SHORT_NAME: usize = 30;
/// Most alerts that a sentence names.
const MOST_NAMED: usize = 20;

impl Facts<'_> {
    /// The severity; `None` for a resolved notice.
    fn firing_severity(&self) -> Option<Severity> {
        (!matches!(self.phase, AlertPhase::Resolved(_))).then_some(self.severity)
    }

    /// "Washroom 3, Bad smell: ammonia 270 ppb (limit 200) at 13:59 (over since 14:02)", or with the time zone after the location.
    pub(super) fn line(&self, has_zone: bool) -> String {
        let (texts, title) = (self.texts, &self.titles[0]);
        let mut location = self.names.full();
        if has_zone {
            location += &format!(" ({})", zone(&self.first().location, self.first().at));
        }
        // Without a measured value, the sentence has the title.
        let head = match self.phase {
            AlertPhase::Firing if !self.first().breaches.is_empty() => texts.list_title(location.as_str(), title),
            _ => location,
        };
        let options = SentenceOptions { has_action: self.over.is_none(), ..SentenceOptions::full(&head) };
        let mut line = self.sentence(&options);
        if let Some(over) = self.over {
            line = texts.list_resolved(line, self.moment(over));
        }
        line = cut_to_fit(&line, Charset::Unicode.ellipsis(), LONGEST_LINE, utf16_units);
        if self.more > 0 { texts.list_suppressed(line, self.more) } else { line }
    }

    /// "Wet floor 13:59", after the location if the alerts have several.
    fn short(&self, with_location: bool) -> String {
        let shorten = |name: &str| cut_to_graphemes(name, "...", SHORT_NAME);
        let location = if with_location { format!("{}: ", shorten(&self.location)) } else { String::new() };
        let alert = format!("{location}{} {}", shorten(&self.titles[0]), self.clock);
        let is_over = self.over.is_some() || self.firing_severity().is_none();
        if is_over { self.texts.list_over(alert) } else { alert }
    }
}

/// The alerts of a digest, or of one suppression.
pub(super) struct AlertList<'t> {
    texts: &'t Texts<'t>,
    /// Why they were suppressed; `None` for a digest.
    pub(super) reason: Option<SuppressionReason>,
    /// The highest severity first and resolved notices last, then by time.
    pub(super) alerts: Vec<Facts<'t>>,
    /// Alerts that are only counted.
    more: usize,
    /// The number of locations beside the first one.
    other_locations: usize,
    /// Whether the alerts have several time zones.
    has_zones: bool,
}

impl<'t> AlertList<'t> {
    /// Sorts `alerts`. Shows a date with each time that is on another day than the newest, and the time zone if there are several.
    pub(super) fn new(
        texts: &'t Texts<'t>,
        reason: Option<SuppressionReason>,
        mut alerts: Vec<Facts<'t>>,
        more: usize,
    ) -> Self {
        let newest = alerts.iter().map(|listed| listed.at()).max().unwrap_or_default();
        let zones: HashSet<_> = alerts.iter().map(|listed| zone(&listed.first().location, listed.first().at)).collect();
        let has_zones = zones.len() > 1;
        for listed in &mut alerts {
            listed.clock = moment(texts, &listed.first().location, listed.first().at, newest);
        }
        alerts.sort_by_key(|listed| (Reverse(listed.firing_severity()), listed.at(), listed.first().id));
        let locations: HashSet<&str> = alerts.iter().map(|listed| listed.location.as_str()).collect();
        let other_locations = locations.len().saturating_sub(1);
        Self { texts, reason, alerts, more, other_locations, has_zones }
    }

    pub(super) fn rendered(&self, id: String) -> Rendered {
        let (texts, mark, counted) = (self.texts, self.mark(), self.counted(self.texts));
        let subject = self.subject(texts, Charset::Unicode);
        let text = match self.reason {
            Some(reason) => texts.list_sentence(reason.as_str(), self.locations(texts, self.location()), counted),
            None => counted,
        };
        let with_location = self.reason.is_none() || self.other_locations > 0;
        let names: Vec<String> =
            self.alerts.iter().take(MOST_NAMED).map(|listed| listed.short(with_location)).collect();
        let text =
            cut_to_fit(&self.with_names(&text, &names), Charset::Unicode.ellipsis(), LONGEST_SENTENCE, utf16_units);
        let email = within(LARGEST_LIST_EMAIL, |max| self.email(max));
        let (email, html) = email.into_parts(&subject, mark, texts);
        let max_values = if self.reason.is_some() { MOST_VALUES } else { usize::MAX };
        Rendered {
            id,
            ascii_subject: self.subject(&Texts::english(), Charset::Gsm7),
            default: marked(texts, mark, &text),
            email,
            html,
            sms: self.sms(&names),
            json: within(LARGEST_LIST_JSON, |max| self.json(&subject, &text, max)),
            attributes: attributes("digest", self.alerts.iter().map(Facts::first), max_values),
            threads: Vec::new(),
            subject,
        }
    }

    pub(super) fn total(&self) -> usize {
        self.alerts.len() + self.more
    }

    /// The highest severity, or "ok" if all alerts are resolved.
    fn mark(&self) -> &'static str {
        self.alerts.iter().filter_map(Facts::firing_severity).max().map_or("ok", Severity::as_str)
    }

    /// The newest time that any alert reports.
    pub(super) fn newest(&self) -> Option<&Facts<'t>> {
        self.alerts.iter().max_by_key(|listed| listed.at())
    }

    /// The first location.
    fn location(&self) -> &str {
        self.alerts.first().map_or("", |listed| &listed.location)
    }

    /// "Lobby and 2 more locations".
    fn locations(&self, texts: &Texts<'_>, first: &str) -> String {
        match self.other_locations {
            0 => first.to_owned(),
            others => texts.list_locations(first, others),
        }
    }

    /// "3 more alerts", in a digest "37 alerts (4 high, 33 medium); 5 over".
    fn counted(&self, texts: &Texts<'_>) -> String {
        if let Some(reason) = self.reason {
            return texts.list_alerts(reason.as_str(), self.total());
        }
        let count = |severity| self.alerts.iter().filter(|listed| listed.firing_severity() == severity).count();
        let by_severity: Vec<String> = Severity::ALL
            .into_iter()
            .rev()
            .map(|severity| (count(Some(severity)), severity))
            .filter(|(count, _)| *count > 0)
            .map(|(count, severity)| texts.digest_severity(count, texts.severity(severity.as_str())))
            .collect();
        let over = count(None);
        let mut counts = match self.alerts.len() - over {
            0 => vec![texts.digest_all_over(over)],
            raised => vec![texts.digest_alerts(raised, by_severity.join(", "))],
        };
        if (1..self.alerts.len()).contains(&over) {
            counts.push(texts.digest_over(over));
        }
        let more: usize = self.alerts.iter().map(|listed| listed.more).sum();
        if more > 0 {
            counts.push(texts.digest_suppressed(more));
        }
        counts.join("; ")
    }

    /// The number of alerts, after the location if they were suppressed.
    fn head(&self, location: &str) -> String {
        let (texts, counted) = (self.texts, self.counted(self.texts));
        if self.reason.is_some() { texts.list_head(self.locations(texts, location), counted) } else { counted }
    }

    /// The subject, in ASCII for [`Charset::Gsm7`]. The number of alerts is whole, the location is shortened.
    fn subject(&self, texts: &Texts<'_>, charset: Charset) -> String {
        let counted = self.counted(texts);
        let cut = |text: &str, width| cut_to_fit(text, charset.ellipsis(), width, utf16_units);
        if self.reason.is_none() {
            return cut(&marked(texts, self.mark(), &counted), LONGEST_SUBJECT);
        }
        let location = if charset == Charset::Gsm7 { ascii(self.location()) } else { self.location().to_owned() };
        let subject = |location: &str| {
            marked(texts, self.mark(), &texts.subject(counted.as_str(), self.locations(texts, location)))
        };
        subject(&cut(&location, LONGEST_SUBJECT.saturating_sub(utf16_units(&subject("")))))
    }

    /// The text of an SMS: the head followed by as many alerts as fit into one part.
    fn sms(&self, names: &[String]) -> String {
        let head = self.head(&cut_to_graphemes(self.location(), "...", SHORT_NAME));
        let fitting = (0..=names.len())
            .rev()
            .map(|count| as_gsm7(self.with_names(&head, &names[..count])))
            .find(|text| is_one_part(text));
        fitting.unwrap_or_else(|| cut_to_one_part(&as_gsm7(head)))
    }

    /// `head` followed by these alerts. The others are counted.
    fn with_names(&self, head: &str, names: &[String]) -> String {
        if names.is_empty() {
            return head.to_owned();
        }
        let omitted = self.total().saturating_sub(names.len());
        let rest = if omitted > 0 { format!("; {}", self.texts.more(omitted)) } else { String::new() };
        format!("{head}: {}{rest}", names.join("; "))
    }

    /// The email, with lines for at most `max` alerts. Suppressed alerts also have ids.
    fn email(&self, max: usize) -> EmailContent {
        let (texts, listed) = (self.texts, &self.alerts[..self.alerts.len().min(max)]);
        let explanation = self.reason.map(|reason| texts.list_explanation(reason.as_str()));
        let mut blocks = vec![vec![explanation.unwrap_or_else(|| texts.digest_explanation())]];
        blocks.extend(self.groups(listed.len()));
        let omitted = self.total() - listed.len();
        if omitted > 0 {
            blocks.push(vec![texts.and_more(omitted)]);
        }
        if let Some((newest, first)) = self.newest().zip(self.alerts.first()) {
            let time = date_and_time(texts, &newest.first().location, newest.at());
            let mut details = vec![texts.list_newest(time)];
            if self.reason.is_some() {
                // The alerts are of several devices: no device id stands for all.
                let zone = Location { device: None, ..first.first().location.clone() };
                details.extend(ids(&zone, texts));
            }
            blocks.push(details);
        }
        if self.reason.is_some() {
            blocks.push(listed.iter().map(|listed| texts.email_id("alert", listed.first().id.to_string())).collect());
        }
        EmailContent::new(self.head(self.location()), blocks)
    }

    /// The lines of the first `max` alerts, grouped by severity under headings.
    fn groups(&self, max: usize) -> impl Iterator<Item = Vec<String>> {
        let listed = &self.alerts[..max];
        let by_severity = listed.chunk_by(|one, next| one.firing_severity() == next.firing_severity());
        by_severity.map(|group| {
            let word = self.texts.severity(group[0].firing_severity().map_or("over", Severity::as_str));
            let mut letters = word.chars();
            let capital = letters.next().into_iter().flat_map(char::to_uppercase);
            let heading = format!("{} ({})", capital.chain(letters).collect::<String>(), group.len());
            let lines = group.iter().map(|listed| format!("- {}", listed.line(self.has_zones)));
            std::iter::once(heading).chain(lines).collect()
        })
    }
}

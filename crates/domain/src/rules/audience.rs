//! Audiences: who is told about alerts, and when they are on duty.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::diagnostic::{Diagnostics, Position, Positioned, nearest_or_all};
use super::document::TableReader;
use super::hours::WeeklyHours;
use super::selection::AlertSelection;
use super::values::{check_id, read_severity};
use super::{EscalationStep, Rule, RuleSet};
use crate::location::Location;
use crate::severity::Severity;
use crate::time::LocalZone;

/// A team that is told about alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The unique id.
    pub id: String,
    /// The alerts that it is told about.
    pub alerts: AlertSelection,
    /// The minimum severity of its alerts.
    pub severity: Severity,
    /// When it is on duty, in local time; empty for always.
    pub on_duty: Vec<WeeklyHours>,
    /// The id of the audience that is told while nobody of this one is on duty.
    pub otherwise: Option<String>,
    /// The language of its messages.
    pub language: String,
    /// The position of the language.
    pub language_position: Position,
    /// The email addresses, for a host that sends email itself.
    pub emails: Vec<String>,
    /// Where its messages have a link.
    pub links: Links,
    /// The position of the id.
    pub position: Position,
}

/// Where a message has a link to its alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    /// In every text but the SMS.
    pub email: bool,
    /// In the SMS, which may need a second part for it.
    pub sms: bool,
}

/// Not in an SMS: operators filter links.
impl Default for Links {
    fn default() -> Self {
        Self { email: true, sms: false }
    }
}

impl Audience {
    /// Whether it is told about alerts of `rule` with this severity at `location`.
    #[must_use]
    pub fn matches(&self, rule: &str, severity: Severity, location: &Location) -> bool {
        severity >= self.severity && self.alerts.contains(rule, location)
    }

    /// Whether it is on duty at `now` in `zone`.
    #[must_use]
    pub fn is_on_duty(&self, zone: &LocalZone, now: Timestamp) -> bool {
        self.on_duty.is_empty() || self.on_duty.iter().any(|hours| hours.contain(now, zone))
    }

    /// The first moment on duty from `now` on.
    pub(super) fn next_duty(&self, zone: &LocalZone, now: Timestamp) -> Timestamp {
        self.on_duty.iter().map(|hours| hours.next(now, zone)).min().unwrap_or(now)
    }

    /// Reads an audience of `set`, and the position of its `else`. `None` without an id, which is reported.
    pub(super) fn read(
        table: &mut TableReader<'_, '_>,
        position: &Position,
        set: &RuleSet,
    ) -> Option<(Self, Option<Position>)> {
        table.require("id", position, "add a name for it: id = \"day-team\"");
        let alerts = AlertSelection::read(table, set);
        let severity = read_severity(table, "severity").map_or(Severity::Low, |severity| severity.value);
        let (on_duty, otherwise) = (read_duty(table), table.nonblank("else"));
        let language = table.nonblank("language");
        let emails = table.texts("emails").unwrap_or_default();
        for Positioned { value: email, position } in emails.iter().filter(|email| !is_address(&email.value)) {
            let message = format!("`{email}` is not an email address");
            table.diagnostics.suggest(position, message, "write for example \"day@example.com\"");
        }
        let emails = emails.into_iter().map(|email| email.value).collect();
        let links = read_links(table);
        let id = table.nonblank("id")?;
        check_id(&id, table.diagnostics);
        let Positioned { value: id, position } = id;
        let (otherwise, else_position) = otherwise.map(|otherwise| (otherwise.value, otherwise.position)).unzip();
        let english = || Positioned { value: "en".to_owned(), position: position.clone() };
        let Positioned { value: language, position: language_position } = language.unwrap_or_else(english);
        let audience =
            Self { id, alerts, severity, on_duty, otherwise, language, language_position, emails, links, position };
        Some((audience, else_position))
    }
}

impl RuleSet {
    /// The time zone of a location: the one of its site in the rules, else the one of its readings.
    #[must_use]
    pub fn local_zone<'l>(&'l self, location: &'l Location) -> &'l LocalZone {
        location.local_zone(&self.names)
    }

    /// The audience with this id.
    #[must_use]
    pub fn audience(&self, id: &str) -> Option<&Audience> {
        self.audiences.iter().find(|audience| audience.id == id)
    }

    /// The language of one message to the audiences `to`, or to everybody if it is empty: the one that they share, else English.
    #[must_use]
    pub fn language(&self, to: &[String]) -> &str {
        let addressed = self.audiences.iter().filter(|audience| to.is_empty() || to.contains(&audience.id));
        let languages: BTreeSet<&str> = addressed.map(|audience| audience.language.as_str()).collect();
        languages.first().filter(|_| languages.len() == 1).copied().unwrap_or("en")
    }

    /// The languages of the audiences, and the one of messages to everybody.
    #[must_use]
    pub fn languages(&self) -> BTreeSet<&str> {
        self.audiences.iter().map(|audience| audience.language.as_str()).chain([self.language(&[])]).collect()
    }

    /// Where one message to the audiences `to`, or to everybody if it is empty, has a link: where all of them want one.
    #[must_use]
    pub fn links(&self, to: &[String]) -> Links {
        let addressed = self.audiences.iter().filter(|audience| to.is_empty() || to.contains(&audience.id));
        let common = |one: Links, other: Links| Links { email: one.email && other.email, sms: one.sms && other.sms };
        addressed.map(|audience| audience.links).reduce(common).unwrap_or_default()
    }

    /// An audience, the one that is told in its place, and so on.
    pub fn chain<'r>(&'r self, audience: &'r Audience) -> impl Iterator<Item = &'r Audience> {
        let next = |audience: &&'r Audience| self.audience(audience.otherwise.as_deref()?);
        std::iter::successors(Some(audience), next).take(self.audiences.len())
    }

    /// Reports ids that are taken, unknown audiences after `else` and in escalations, circles of them, and audiences without
    /// alerts. The positions are those of `else` of each audience.
    pub(super) fn check_audiences(&self, else_positions: &[Option<Position>], diagnostics: &mut Diagnostics) {
        let ids = || self.audiences.iter().map(|audience| audience.id.as_str());
        let steps = || self.rules.iter().flat_map(Rule::steps);
        for EscalationStep { to, position, .. } in steps().filter(|step| self.audience(&step.to).is_none()) {
            let suggestion = match self.audiences.as_slice() {
                [] => format!("add [[audience]] with id = \"{to}\""),
                _ => nearest_or_all(to, ids(), "it can be:"),
            };
            diagnostics.suggest(position, format!("no audience has the id `{to}`"), suggestion);
        }
        // An audience that is only told in the place of another one, or by an escalation, needs no alerts of its own.
        let is_else = |id: &str| {
            self.audiences.iter().any(|other| other.otherwise.as_deref() == Some(id))
                || steps().any(|step| step.to == id)
        };
        for (audience, else_position) in self.audiences.iter().zip(else_positions) {
            let Audience { id, position, .. } = audience;
            if !is_else(id) {
                let noun = format!("the audience `{id}`");
                audience.alerts.check_raised(audience.severity, (&noun, position), self, diagnostics);
            }
            if let Some(first) = self.audience(id).filter(|first| first.position != *position) {
                let message = format!("the id `{id}` is taken by the audience in line {}", first.position.line);
                diagnostics.suggest(position, message, "give this audience another id");
                continue;
            }
            let (Some(otherwise), Some(position)) = (&audience.otherwise, else_position) else { continue };
            match self.audience(otherwise) {
                None => {
                    let suggestion = nearest_or_all(otherwise, ids(), "it can be:");
                    diagnostics.suggest(position, format!("no audience has the id `{otherwise}`"), suggestion);
                }
                Some(next) if self.chain(next).any(|other| other.id == *id) => {
                    let message = format!("`else` leads from `{id}` back to it");
                    diagnostics.suggest(position, message, "remove one `else` of the circle");
                }
                Some(_) => {}
            }
        }
    }
}

/// Reads `on_duty`, one text or several.
fn read_duty(table: &mut TableReader<'_, '_>) -> Vec<WeeklyHours> {
    let mut duty = Vec::new();
    for Positioned { value: text, position } in table.texts("on_duty").unwrap_or_default() {
        let hours = WeeklyHours::parse(&text);
        if hours.is_none() {
            let message = format!("`on_duty` is {}, not the text \"{}\"", WeeklyHours::WANTED, text.escape_debug());
            table.diagnostics.report(&position, message, None);
        }
        duty.extend(hours);
    }
    duty
}

/// Reads `links`, a list that can be empty.
fn read_links(table: &mut TableReader<'_, '_>) -> Links {
    let Some(written) = table.texts_if_any("links") else { return Links::default() };
    let places = written.into_iter().map(|text| table.meaning(text, "kind of text", ["email", "sms"], |kind| kind));
    let places: Vec<&str> = places.flatten().map(|place| place.value).collect();
    Links { email: places.contains(&"email"), sms: places.contains(&"sms") }
}

/// Whether `text` is an email address of ASCII characters.
pub(super) fn is_address(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    let is_allowed = |c: char| c.is_ascii_graphic() && !"()<>[]:;,\\\"@".contains(c);
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        [local, domain].iter().all(|part| is_part(part) && part.chars().all(is_allowed)) && text.len() <= 254
    })
}

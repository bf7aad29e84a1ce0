//! Audiences: who is told about alerts, and when they are on duty.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::diagnostic::{Diagnostics, Position, Positioned, nearest_or_all};
use super::document::TableReader;
use super::hours::WeeklyHours;
use super::names::Names;
use super::selection::{AlertSelection, SelectionDraft};
use super::values::{check_id, severities};
use super::{Rule, RuleSet};
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
    /// The position of the id.
    pub position: Position,
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
    fn next_duty(&self, zone: &LocalZone, now: Timestamp) -> Timestamp {
        self.on_duty.iter().map(|hours| hours.next(now, zone)).min().unwrap_or(now)
    }
}

/// Who is told about an alert. If both lists are empty, no audience matches, and everybody is told now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients {
    /// The ids of the audiences that are told now.
    pub now: Vec<String>,
    /// The ids of the audiences whose whole `else` chain is off duty, each with the start of its own next duty.
    pub later: Vec<(String, Timestamp)>,
}

impl Recipients {
    /// When somebody is told; `None` if somebody is told now.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.later.iter().map(|(_, begin)| *begin).min().filter(|_| self.now.is_empty())
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
        let told = self.audiences.iter().filter(|audience| to.is_empty() || to.contains(&audience.id));
        let languages: BTreeSet<&str> = told.map(|audience| audience.language.as_str()).collect();
        languages.first().filter(|_| languages.len() == 1).copied().unwrap_or("en")
    }

    /// The languages of the audiences, and the one of messages to everybody.
    #[must_use]
    pub fn languages(&self) -> BTreeSet<&str> {
        self.audiences.iter().map(|audience| audience.language.as_str()).chain([self.language(&[])]).collect()
    }

    /// Who is told about an alert of `rule` with this severity at `location`: each audience that matches, or the first one
    /// on duty along its chain of `else`.
    #[must_use]
    pub fn recipients(&self, rule: &str, severity: Severity, location: &Location, now: Timestamp) -> Recipients {
        self.recipients_among(&[], rule, severity, location, now)
    }

    /// As [`Self::recipients`], for the audiences with the ids `among`. If none of these matches any more, or `among` is empty,
    /// for all.
    pub(crate) fn recipients_among(
        &self,
        among: &[String],
        rule: &str,
        severity: Severity,
        location: &Location,
        now: Timestamp,
    ) -> Recipients {
        let matches = |audience: &&Audience| audience.matches(rule, severity, location);
        let mut matching: Vec<&Audience> = self.audiences.iter().filter(matches).collect();
        if matching.iter().any(|audience| among.contains(&audience.id)) {
            matching.retain(|audience| among.contains(&audience.id));
        }
        let zone = self.local_zone(location);
        let mut recipients = Recipients::default();
        for audience in matching {
            match self.chain(audience).find(|other| other.is_on_duty(zone, now)) {
                // Two chains can end at the same audience.
                Some(on_duty) if recipients.now.contains(&on_duty.id) => {}
                Some(on_duty) => recipients.now.push(on_duty.id.clone()),
                None => recipients.later.push((audience.id.clone(), audience.next_duty(zone, now))),
            }
        }
        recipients.now.sort();
        recipients
    }

    /// An audience, the one that is told in its place, and so on.
    pub fn chain<'r>(&'r self, audience: &'r Audience) -> impl Iterator<Item = &'r Audience> {
        let next = |audience: &&'r Audience| self.audience(audience.otherwise.as_deref()?);
        std::iter::successors(Some(audience), next).take(self.audiences.len())
    }
}

/// An audience as it is written.
#[derive(Debug)]
pub(super) struct AudienceDraft {
    id: Positioned<String>,
    pub(super) alerts: SelectionDraft,
    severity: Severity,
    on_duty: Vec<WeeklyHours>,
    otherwise: Option<Positioned<String>>,
    language: Option<Positioned<String>>,
    emails: Vec<Positioned<String>>,
}

impl AudienceDraft {
    pub(super) fn read(table: &mut TableReader<'_, '_>, position: &Position) -> Option<Self> {
        table.require("id", position, "add a name for it: id = \"day-team\"");
        let draft = Self {
            alerts: SelectionDraft::read(table),
            severity: table.word("severity", "severity", severities()).map_or(Severity::Low, |severity| severity.value),
            on_duty: read_duty(table),
            otherwise: table.nonblank("else"),
            language: table.nonblank("language"),
            emails: table.texts("emails").unwrap_or_default(),
            id: table.nonblank("id")?,
        };
        check_id(&draft.id, table.diagnostics);
        for Positioned { value: email, position } in draft.emails.iter().filter(|email| !is_address(&email.value)) {
            let message = format!("`{email}` is not an email address");
            table.diagnostics.suggest(position, message, "write for example \"day@example.com\"");
        }
        Some(draft)
    }

    /// `is_else` is whether it is told in place of another one: then it needs no alerts of its own.
    fn compile(&self, is_else: bool, rules: &[Rule], names: &Names, diagnostics: &mut Diagnostics) -> Audience {
        let Positioned { value: id, position } = &self.id;
        let (noun, least) = (format!("the audience `{id}`"), (!is_else).then_some(self.severity));
        let language = self.language.as_ref();
        Audience {
            id: id.clone(),
            alerts: self.alerts.compile((&noun, position), least, rules, names, diagnostics),
            severity: self.severity,
            on_duty: self.on_duty.clone(),
            otherwise: self.otherwise.as_ref().map(|otherwise| otherwise.value.clone()),
            language: language.map_or_else(|| "en".to_owned(), |language| language.value.clone()),
            language_position: language.map_or(position, |language| &language.position).clone(),
            emails: self.emails.iter().map(|email| email.value.clone()).collect(),
            position: position.clone(),
        }
    }
}

/// Compiles the audiences. Reports ids that are taken, unknown audiences after `else`, and circles of them.
pub(super) fn compile_audiences(
    drafts: &[AudienceDraft],
    rules: &[Rule],
    names: &Names,
    diagnostics: &mut Diagnostics,
) -> Vec<Audience> {
    let mut by_id: BTreeMap<&str, &AudienceDraft> = BTreeMap::new();
    for draft in drafts {
        if let Some(known) = by_id.get(draft.id.value.as_str()) {
            let message =
                format!("the id `{}` is taken by the audience in line {}", draft.id.value, known.id.position.line);
            diagnostics.suggest(&draft.id.position, message, "give this audience another id");
            continue;
        }
        by_id.insert(&draft.id.value, draft);
    }
    for draft in by_id.values() {
        let Some(Positioned { value: otherwise, position }) = &draft.otherwise else { continue };
        let next = |id: &&str| Some(by_id.get(id)?.otherwise.as_ref()?.value.as_str());
        if !by_id.contains_key(otherwise.as_str()) {
            let suggestion = nearest_or_all(otherwise, by_id.keys().copied(), "it can be:");
            diagnostics.suggest(position, format!("no audience has the id `{otherwise}`"), suggestion);
        } else if std::iter::successors(Some(otherwise.as_str()), next)
            .take(drafts.len())
            .any(|id| id == draft.id.value)
        {
            let message = format!("`else` leads from `{}` back to it", draft.id.value);
            diagnostics.suggest(position, message, "remove one `else` of the circle");
        }
    }
    let others = || drafts.iter().filter_map(|draft| draft.otherwise.as_ref());
    let is_else = |draft: &AudienceDraft| others().any(|other| other.value == draft.id.value);
    drafts.iter().map(|draft| draft.compile(is_else(draft), rules, names, diagnostics)).collect()
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

/// Whether `text` is an email address of ASCII characters.
pub(super) fn is_address(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    let is_allowed = |c: char| c.is_ascii_graphic() && !"()<>[]:;,\\\"@".contains(c);
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        [local, domain].iter().all(|part| is_part(part) && part.chars().all(is_allowed)) && text.len() <= 254
    })
}

//! A naive engine, written from `docs/rules.md` and not from the engine. It keeps every reading of the zone, and each new
//! reading makes every rule evaluate all of them again ([`tracking`]). [`suppression`] decides when alerts are sent, and
//! [`lives`] follows them. All times are whole minutes.

mod lives;
mod suppression;
mod tracking;

use std::collections::{BTreeMap, BTreeSet};

use smartclean_push::domain::rules::Kind;
use smartclean_push::domain::severity::Severity;

pub(crate) use self::lives::ModelLife;
use self::suppression::{PendingReminder, Suppressed};
use self::tracking::RuleOutcome;
use crate::model::features::Feature;
use crate::model::worlds::{Answered, Device, Event, EventKind, Measured, Responded, RuleSpec, Selected, World};

/// How long a device can send nothing before its reminders end, in minutes, if no silence rule watches it.
const REMINDED_WITHOUT_READING: i64 = 24 * 60;

/// A sent message with the numbers of the audiences that it goes to.
pub(crate) type Sent = (Vec<usize>, SentMessage);

/// A sent message, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SentMessage {
    Firing(Vec<ModelAlert>),
    Reminder { alert: ModelAlert, at: i64, is_last: bool },
    Escalated { alert: ModelAlert, at: i64, step: usize, raised: i64, taken: Option<(i64, i64)> },
    Resolved { rule: usize, device: usize, at: i64 },
    Released(Vec<(ModelAlert, Option<i64>)>),
}

/// An alert, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelAlert {
    pub(crate) rule: usize,
    pub(crate) device: usize,
    pub(crate) at: i64,
    pub(crate) severity: Severity,
    pub(crate) reasons: Vec<String>,
    /// The time of the first of several occurrences.
    pub(crate) since: Option<i64>,
}

/// A reading or a cleaning, with the time as of which it counts.
#[derive(Clone, Debug)]
enum Fact {
    Reading(Measured, i64),
    Cleaned(i64),
    /// People are done with the alert of a rule and a device, about these reasons.
    Answered {
        rule: String,
        device: usize,
        reasons: Vec<String>,
        at: i64,
    },
}

/// A fact for silence rules.
#[derive(Clone, Debug)]
enum DeviceReport {
    Received(usize, i64),
    Silent { rule: usize, device: usize },
}

impl Selected {
    fn contain(self, rule: usize, device: usize) -> bool {
        self.rule.is_none_or(|selected| selected == rule) && self.device.is_none_or(|selected| selected == device)
    }
}

/// The naive engine.
pub(crate) struct NaiveEngine<'w> {
    world: &'w World,
    now: i64,
    /// Readings that changed something, or did not count as of their own time.
    known: Vec<Measured>,
    facts: Vec<Fact>,
    /// Sent alerts, each with the time from which it blocks others.
    sent: Vec<ModelAlert>,
    suppressed: Vec<Suppressed>,
    /// All alerts in the order in which they fired, sent or not.
    raised: Vec<ModelAlert>,
    /// The alert of each rule and device that was sent and not resolved.
    announced: BTreeMap<(usize, usize), ModelAlert>,
    /// The last alert of each rule and device whose resolved notice was sent.
    ended: BTreeMap<(usize, usize), ModelAlert>,
    /// The messages of the present push so far.
    enqueued: Vec<Sent>,
    reminder: Vec<PendingReminder>,
    reports: Vec<DeviceReport>,
    /// The alerts that people were told about.
    pub(crate) lives: Vec<ModelLife>,
    /// Indices of those that people are told about by this event, and who is told.
    told: Vec<(usize, Vec<usize>)>,
    /// Indices of those that ended since the last sweep.
    unarchived: Vec<usize>,
    /// What people did, each with its receipt.
    pub(crate) responses: Vec<(i64, Responded)>,
    /// The lives that they answered, for each of them; `None` for a whole zone.
    answered: Vec<Option<usize>>,
    /// The ends of the snoozes of lives after which people were told again.
    told_again: BTreeMap<usize, i64>,
    /// The features so far.
    pub(crate) features: BTreeSet<Feature>,
}

impl<'w> NaiveEngine<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self {
            world,
            now: 0,
            known: Vec::new(),
            facts: Vec::new(),
            sent: Vec::new(),
            suppressed: Vec::new(),
            raised: Vec::new(),
            announced: BTreeMap::new(),
            ended: BTreeMap::new(),
            enqueued: Vec::new(),
            reminder: Vec::new(),
            reports: Vec::new(),
            lives: Vec::new(),
            told: Vec::new(),
            unarchived: Vec::new(),
            responses: Vec::new(),
            answered: Vec::new(),
            told_again: BTreeMap::new(),
            features: BTreeSet::new(),
        }
    }

    /// Applies an event, and returns the sent messages.
    pub(crate) fn apply(&mut self, event: &Event) -> Vec<Sent> {
        self.now = event.now;
        self.told.clear();
        match &event.kind {
            EventKind::Sweep => {
                let mut sent = self.release(self.now);
                self.expire();
                sent.extend(self.told_again());
                sent.extend(self.reminders());
                sent.extend(self.escalations());
                sent.extend(self.silences());
                self.unarchived.clear();
                sent
            }
            EventKind::Responded(responded) => {
                let Some((at, responded)) = self.capped(*responded) else { return Vec::new() };
                let mut sent = self.release(at);
                self.respond(responded, None);
                if let Some(done) = responded.done {
                    self.facts.push(Fact::Cleaned(done));
                    self.clean_suppressed(done, None);
                    sent.extend(self.evaluate(done).1);
                }
                sent
            }
            EventKind::Answered(Answered { which, responded }) => self.answer(*which, *responded),
            EventKind::Push(readings) => self.push(readings),
        }
    }

    fn push(&mut self, readings: &[Measured]) -> Vec<Sent> {
        let mut counted: Vec<(i64, &Measured)> = Vec::new();
        for reading in readings {
            let age = self.now - reading.at;
            if age <= self.world.max_age && !counted.iter().any(|(_, other)| *other == reading) {
                counted.push((if age < -5 { self.now } else { reading.at }, reading));
            }
        }
        counted.sort_by_key(|(at, _)| *at);
        for (at, reading) in counted {
            if self.known.contains(reading) {
                continue;
            }
            let released = self.release(at);
            self.enqueued.extend(released);
            self.facts.push(Fact::Reading(reading.clone(), at));
            let (changed, messages) = self.evaluate(at);
            self.enqueued.extend(messages);
            if changed || at != reading.at {
                self.known.push(reading.clone());
            }
        }
        std::mem::take(&mut self.enqueued)
    }

    fn rule(&self, alert: &ModelAlert) -> &'w RuleSpec {
        &self.world.rules[alert.rule]
    }

    /// Whether the rule is within active hours, in local time of the device.
    fn is_active_at(&self, rule: usize, device: usize, at: i64) -> bool {
        self.world.rules[rule].active.is_none_or(|hours| self.is_within(hours, device, at))
    }

    fn is_within(&self, (from, to): (i64, i64), device: usize, at: i64) -> bool {
        let time = (at + self.world.devices[device].minutes_east).rem_euclid(24 * 60);
        if from < to { from <= time && time < to } else { from <= time || time < to }
    }

    fn is_muted_at(&self, rule: usize, device: usize, at: i64) -> bool {
        let local = at + self.world.devices[device].minutes_east;
        self.world.mutes.iter().any(|mute| local < mute.until && mute.alerts.contain(rule, device))
    }

    fn is_on_duty_at(&self, audience: usize, device: usize, at: i64) -> bool {
        let duty = &self.world.audiences[audience].on_duty;
        let within = |(hours, on_mondays): &((i64, i64), bool)| {
            // The history begins on a Monday. Hours over midnight belong to the day before.
            let local = at + self.world.devices[device].minutes_east;
            let began = if hours.0 < hours.1 || local.rem_euclid(24 * 60) >= hours.0 { local } else { local - 24 * 60 };
            let is_monday = began.div_euclid(24 * 60).rem_euclid(7) == 0;
            (is_monday || !on_mondays) && self.is_within(*hours, device, at)
        };
        duty.is_empty() || duty.iter().any(within)
    }

    /// How long reminders go on for a device that sends nothing.
    fn reminded_for(&self, device: usize) -> i64 {
        self.watching(device).map(|(_, rule)| rule.after).min().unwrap_or(REMINDED_WITHOUT_READING)
    }

    /// The silence rules that watch a device.
    fn watching(&self, device: usize) -> impl Iterator<Item = (usize, &'w RuleSpec)> {
        let ty = self.world.devices[device].ty;
        let rules = self.world.rules.iter().enumerate().filter(|(_, rule)| rule.kind == Kind::Silence);
        rules.filter(move |(_, rule)| rule.applies_to(ty, device))
    }

    /// The recorded time of the last reading of a device, and the silence rules that have fired since.
    fn last_heard(&self, device: usize) -> (Option<i64>, Vec<usize>) {
        let quarter = self.watching(device).map(|(_, rule)| rule.after / 4).min().unwrap_or_default();
        let (mut last, mut missed): (Option<i64>, Vec<usize>) = Default::default();
        for report in &self.reports {
            match report {
                DeviceReport::Received(heard, at)
                    if *heard == device && last.is_none_or(|last| at - last >= quarter) =>
                {
                    last = Some(*at);
                    missed.clear();
                }
                DeviceReport::Silent { rule, device: since } if *since == device => missed.push(*rule),
                _ => {}
            }
        }
        (last, missed)
    }

    /// Fires silence rules after five quarters of their time, at any hour.
    fn silences(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        for rule in 0..self.world.rules.len() {
            for device in 0..self.world.devices.len() {
                let Some((_, watching)) = self.watching(device).find(|(watching, _)| *watching == rule) else {
                    continue;
                };
                let (last, missed) = self.last_heard(device);
                let Some(last) = last.filter(|_| !missed.contains(&rule)) else { continue };
                if self.now < last + watching.after + watching.after / 4 {
                    continue;
                }
                self.reports.push(DeviceReport::Silent { rule, device });
                let (severity, reasons) = (watching.severity, Vec::new());
                sent.extend(self.send(vec![ModelAlert { rule, device, at: self.now, severity, reasons, since: None }]));
            }
        }
        sent
    }

    /// Records a reading of a device, and resolves its silence.
    fn record_reading(&mut self, device: usize, at: i64) -> Vec<Sent> {
        let kept_for = self.reminded_for(device);
        for reminder in self.reminder.iter_mut().filter(|reminder| reminder.alert.device == device) {
            if at - reminder.heard >= kept_for / 4 {
                reminder.heard = at;
            }
        }
        let before = self.last_heard(device).1;
        self.reports.push(DeviceReport::Received(device, at));
        let after = self.last_heard(device).1;
        let ended = (0..self.world.rules.len()).filter(|rule| before.contains(rule) && !after.contains(rule));
        let mut sent = Vec::new();
        for rule in ended {
            self.measure_over(rule, device, at, false);
            sent.extend(self.resolve_rule(rule, device, at));
        }
        sent
    }

    /// Evaluates all rules for the newest fact. Returns whether it changed something, and the messages.
    fn evaluate(&mut self, at: i64) -> (bool, Vec<Sent>) {
        let mut sent = Vec::new();
        let mut raised = Vec::new();
        let mut changed = false;
        let named: Vec<String> = match self.facts.last() {
            Some(Fact::Reading(reading, _)) => reading.reason_names().into_iter().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        for (number, rule) in self.world.rules.iter().enumerate() {
            for (device, Device { ty, .. }) in self.world.devices.iter().enumerate() {
                let outcome =
                    if rule.applies_to(*ty, device) { self.outcome(rule, device) } else { RuleOutcome::default() };
                changed |= outcome.changed;
                self.note(outcome.has_removed_part, Feature::LateCleaning);
                if outcome.is_clear && outcome.fired_at.is_none() {
                    // Also the first reading after a cleaning, which ended the breach.
                    changed |= self.measure_over(number, device, at, !outcome.is_resolved);
                }
                if rule.kind == Kind::Threshold && outcome.raised.is_some() {
                    self.reopen(number, device, at);
                    self.fire_after_done(number, device, at);
                }
                if outcome.is_resolved {
                    sent.extend(self.resolve_rule(number, device, at));
                }
                if let Some((severity, reached)) = outcome.raised {
                    let reasons = if rule.kind == Kind::Threshold { named.clone() } else { reached };
                    raised.push(ModelAlert { rule: number, device, at, severity, reasons, since: outcome.since });
                }
            }
        }
        if let Some(Fact::Reading(reading, at)) = self.facts.last() {
            sent.extend(self.record_reading(reading.device, *at));
        }
        sent.extend(self.send(raised));
        (changed, sent)
    }

    fn note(&mut self, happens: bool, feature: Feature) {
        if happens {
            self.features.insert(feature);
        }
    }
}

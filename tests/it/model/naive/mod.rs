//! Rules judged naively, as `docs/rules.md` says them: every reading of the zone is kept, and each new one makes every rule
//! look at all of them again ([`tracking`]). Another part has when people are told of what that raises ([`suppression`]).
//!
//! Written from the page and not from the engine. All times are whole minutes.

mod suppression;
mod tracking;

use std::collections::{BTreeMap, BTreeSet};

use smartclean_push::domain::rules::Kind;
use smartclean_push::domain::severity::Severity;

use self::suppression::{Reminding, Suppressed};
use self::tracking::Verdict;
use crate::model::features::Feature;
use crate::model::worlds::{Device, Happening, Measured, RuleSpec, What, World};

/// How long a device may send nothing before its reminders end, in minutes, where no silence rule watches it.
const REMINDED_WITHOUT_READING: i64 = 24 * 60;

/// What is sent, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    Firing(Vec<Raised>),
    Reminder { alert: Raised, at: i64, is_last: bool },
    Resolved { rule: usize, device: usize, at: i64 },
    Released(Vec<(Raised, Option<i64>)>),
}

/// An alert, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Raised {
    pub(crate) rule: usize,
    pub(crate) device: usize,
    pub(crate) at: i64,
    pub(crate) severity: Severity,
    pub(crate) reasons: Vec<String>,
}

/// Something that happened in the zone, with the time that counts for it.
#[derive(Clone, Debug)]
enum Fact {
    Reading(Measured, i64),
    Cleaned(i64),
}

/// Something about a device that silence rules look at, in the order in which it came.
#[derive(Clone, Debug)]
enum Sign {
    Heard(usize, i64),
    Missed { rule: usize, device: usize },
}

/// The naive engine.
pub(crate) struct Naive<'w> {
    world: &'w World,
    now: i64,
    /// Readings that made a difference, or did not come with the time that counted for them.
    known: Vec<Measured>,
    facts: Vec<Fact>,
    /// Alerts that were sent, as of when they block others.
    sent: Vec<Raised>,
    suppressed: Vec<Suppressed>,
    /// All alerts in the order they were raised, sent or not.
    raised: Vec<Raised>,
    /// The alert that people believe to fire, of each rule and device.
    believed: BTreeMap<(usize, usize), Raised>,
    reminding: Vec<Reminding>,
    signs: Vec<Sign>,
    /// What has happened so far.
    pub(crate) features: BTreeSet<Feature>,
}

impl<'w> Naive<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self {
            world,
            now: 0,
            known: Vec::new(),
            facts: Vec::new(),
            sent: Vec::new(),
            suppressed: Vec::new(),
            raised: Vec::new(),
            believed: BTreeMap::new(),
            reminding: Vec::new(),
            signs: Vec::new(),
            features: BTreeSet::new(),
        }
    }

    /// What is sent because of what happened.
    pub(crate) fn happens(&mut self, happening: &Happening) -> Vec<Said> {
        self.now = happening.now;
        match &happening.what {
            What::Sweep => {
                let mut said = self.release(self.now);
                said.extend(self.reminders());
                said.extend(self.silences());
                said
            }
            What::Cleaned(at) => {
                let mut said = self.release(*at);
                self.facts.push(Fact::Cleaned(*at));
                self.clean_suppressed(*at);
                said.extend(self.judge(*at).1);
                said
            }
            What::Push(readings) => self.push(readings),
        }
    }

    fn push(&mut self, readings: &[Measured]) -> Vec<Said> {
        let mut counted: Vec<(i64, &Measured)> = Vec::new();
        for reading in readings {
            let age = self.now - reading.at;
            if age <= self.world.max_age && !counted.iter().any(|(_, other)| *other == reading) {
                counted.push((if age < -5 { self.now } else { reading.at }, reading));
            }
        }
        counted.sort_by_key(|(at, _)| *at);
        let mut said = Vec::new();
        for (at, reading) in counted {
            if self.known.contains(reading) {
                continue;
            }
            said.extend(self.release(at));
            self.facts.push(Fact::Reading(reading.clone(), at));
            let (changed, messages) = self.judge(at);
            said.extend(messages);
            if changed || at != reading.at {
                self.known.push(reading.clone());
            }
        }
        said
    }

    fn rule(&self, alert: &Raised) -> &'w RuleSpec {
        &self.world.rules[alert.rule]
    }

    /// Whether a rule's people are told now, on the clock of the device.
    fn is_active(&self, rule: usize, device: usize) -> bool {
        self.is_active_at(rule, device, self.now)
    }

    fn is_active_at(&self, rule: usize, device: usize, at: i64) -> bool {
        let time = (at + self.world.devices[device].minutes_east).rem_euclid(24 * 60);
        let within = |(from, to)| if from < to { from <= time && time < to } else { from <= time || time < to };
        self.world.rules[rule].active.is_none_or(within)
    }

    /// For how long a device that sends nothing is reminded of.
    fn reminded_for(&self, device: usize) -> i64 {
        self.watching(device).map(|(_, rule)| rule.after).min().unwrap_or(REMINDED_WITHOUT_READING)
    }

    /// The silence rules that watch a device.
    fn watching(&self, device: usize) -> impl Iterator<Item = (usize, &'w RuleSpec)> {
        let ty = self.world.devices[device].ty;
        let rules = self.world.rules.iter().enumerate().filter(|(_, rule)| rule.kind == Kind::Silence);
        rules.filter(move |(_, rule)| rule.applies_to(ty, device))
    }

    /// When a device was last heard of, as far as that is kept, and the rules that miss it since.
    fn last_heard(&self, device: usize) -> (Option<i64>, Vec<usize>) {
        let quarter = self.watching(device).map(|(_, rule)| rule.after / 4).min().unwrap_or_default();
        let (mut last, mut missed): (Option<i64>, Vec<usize>) = Default::default();
        for sign in &self.signs {
            match sign {
                Sign::Heard(heard, at) if *heard == device && last.is_none_or(|last| at - last >= quarter) => {
                    last = Some(*at);
                    missed.clear();
                }
                Sign::Missed { rule, device: since } if *since == device => missed.push(*rule),
                _ => {}
            }
        }
        (last, missed)
    }

    /// Devices of which nothing was heard for five quarters of a rule's time, at any hour.
    fn silences(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
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
                self.signs.push(Sign::Missed { rule, device });
                let (severity, reasons) = (watching.severity, Vec::new());
                said.extend(self.send(vec![Raised { rule, device, at: self.now, severity, reasons }]));
            }
        }
        said
    }

    /// Notes that a device was heard of. A silence that this ends is over.
    fn hear(&mut self, device: usize, at: i64) -> Vec<Said> {
        let kept_for = self.reminded_for(device);
        for reminding in self.reminding.iter_mut().filter(|reminding| reminding.alert.device == device) {
            if at - reminding.heard >= kept_for / 4 {
                reminding.heard = at;
            }
        }
        let before = self.last_heard(device).1;
        self.signs.push(Sign::Heard(device, at));
        let after = self.last_heard(device).1;
        let ended = (0..self.world.rules.len()).filter(|rule| before.contains(rule) && !after.contains(rule));
        ended.filter_map(|rule| self.over(rule, device, at)).collect()
    }

    /// What all rules say to the newest fact, and whether it made a difference.
    fn judge(&mut self, at: i64) -> (bool, Vec<Said>) {
        let mut said = Vec::new();
        let mut raised = Vec::new();
        let mut changed = false;
        let named: Vec<String> = match self.facts.last() {
            Some(Fact::Reading(reading, _)) => reading.reason_names().into_iter().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        for (number, rule) in self.world.rules.iter().enumerate() {
            for (device, Device { ty, .. }) in self.world.devices.iter().enumerate() {
                let verdict =
                    if rule.applies_to(*ty, device) { self.verdict(rule, device) } else { Verdict::default() };
                changed |= verdict.changed;
                self.note(verdict.taken_back, Feature::LateCleaning);
                if verdict.over {
                    said.extend(self.over(number, device, at));
                }
                if let Some((severity, reached)) = verdict.raised {
                    let reasons = if rule.kind == Kind::Threshold { named.clone() } else { reached };
                    raised.push(Raised { rule: number, device, at, severity, reasons });
                }
            }
        }
        if let Some(Fact::Reading(reading, at)) = self.facts.last() {
            said.extend(self.hear(reading.device, *at));
        }
        said.extend(self.send(raised));
        (changed, said)
    }

    fn note(&mut self, happens: bool, feature: Feature) {
        if happens {
            self.features.insert(feature);
        }
    }
}

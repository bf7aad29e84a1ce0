//! Rules judged naively, as `docs/rules.md` says them: every reading of the zone is kept for ever, and for each new one all
//! that a rule ever made of them is worked out anew. Nothing is remembered, so nothing can be forgotten wrongly.
//!
//! Written from the page and not from the engine. All times are whole minutes.

use smartclean_push::domain::alert::Comparison;
use smartclean_push::domain::rules::{Join, Kind};
use smartclean_push::domain::severity::Severity;

use super::worlds::{Happening, Measured, RuleSpec, What, World};

/// What is sent, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    Firing(Vec<Raised>),
    Reminder(Raised, i64),
    Resolved { rule: String, device: String, at: i64 },
    Held(Vec<(Raised, Option<i64>)>),
}

/// An alert, as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Raised {
    pub(crate) rule: String,
    pub(crate) device: String,
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
    Missed(String, usize),
}

/// A threshold that fires, and when it is to be said again.
struct Lasting {
    alert: Raised,
    again: i64,
    /// When its device was last heard of, as far as that is kept.
    heard: i64,
}

/// What a rule makes of the newest fact.
#[derive(Clone, Debug, Default, PartialEq)]
struct Verdict {
    raised: Option<(Severity, Vec<String>)>,
    over: bool,
    /// Whether it made any difference to the rule.
    changed: bool,
}

/// The naive engine.
pub(crate) struct Naive<'w> {
    world: &'w World,
    /// Readings that made a difference, or did not come with the time that counted for them.
    known: Vec<Measured>,
    facts: Vec<Fact>,
    sent: Vec<Raised>,
    held: Vec<(Raised, Option<i64>)>,
    held_until: i64,
    /// All alerts in the order they were raised, sent or not.
    raised: Vec<Raised>,
    /// What is to be said again.
    lasting: Vec<Lasting>,
    signs: Vec<Sign>,
}

impl<'w> Naive<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        Self {
            world,
            known: Vec::new(),
            facts: Vec::new(),
            sent: Vec::new(),
            held: Vec::new(),
            held_until: i64::MIN,
            raised: Vec::new(),
            lasting: Vec::new(),
            signs: Vec::new(),
        }
    }

    /// What is sent because of what happened.
    pub(crate) fn happens(&mut self, happening: &Happening) -> Vec<Said> {
        let now = happening.now;
        let mut said = Vec::new();
        match &happening.what {
            What::Sweep => {
                said.extend(self.block_ends(now));
                said.extend(self.reminders(now));
                said.extend(self.silences(now));
            }
            What::Cleaned(at) => {
                said.extend(self.block_ends(*at));
                self.facts.push(Fact::Cleaned(*at));
                self.cleaning_ends_what_is_held(*at);
                said.extend(self.judge(*at).1);
            }
            What::Push(readings) => {
                let mut counted: Vec<(i64, &Measured)> = Vec::new();
                for reading in readings {
                    let age = now - reading.at;
                    if age <= self.world.max_age && !counted.iter().any(|(_, other)| *other == reading) {
                        counted.push((if age < -5 { now } else { reading.at }, reading));
                    }
                }
                counted.sort_by_key(|(at, _)| *at);
                for (at, reading) in counted {
                    if self.known.contains(reading) {
                        continue;
                    }
                    said.extend(self.block_ends(at));
                    self.facts.push(Fact::Reading(reading.clone(), at));
                    let (changed, messages) = self.judge(at);
                    said.extend(messages);
                    if changed || at != reading.at {
                        self.known.push(reading.clone());
                    }
                }
            }
        }
        said
    }

    fn block_ends(&mut self, now: i64) -> Option<Said> {
        (!self.held.is_empty() && self.held_until <= now).then(|| {
            self.held_until = i64::MIN;
            // People are reminded of what they were told.
            for lasting in &mut self.lasting {
                let rule = self.world.rules.iter().find(|rule| rule.id == lasting.alert.rule).unwrap();
                if self.held.iter().any(|(held, over)| over.is_none() && *held == lasting.alert) {
                    lasting.again = now + rule.reminder.unwrap();
                }
            }
            Said::Held(std::mem::take(&mut self.held))
        })
    }

    /// What lasts is said again when its time has come, by the sweep; what it has missed it does not make up for. What
    /// nobody has heard of yet is not said again.
    fn reminders(&mut self, now: i64) -> Vec<Said> {
        let (rules, held) = (&self.world.rules, &self.held);
        let is_held = |alert: &Raised| held.iter().any(|(held, over)| over.is_none() && held == alert);
        let world = self.world;
        let due = self.lasting.iter_mut().filter(|lasting| lasting.again <= now && !is_held(&lasting.alert));
        due.map(|lasting| {
            let every = rules.iter().find(|rule| rule.id == lasting.alert.rule).unwrap().reminder.unwrap();
            lasting.again = if lasting.again + every > now { lasting.again + every } else { now + every };
            let reminded_for = reminded_for(world, &lasting.alert.device);
            if now >= lasting.heard + reminded_for + reminded_for / 4 {
                // The last one: nothing comes from the device.
                lasting.again = i64::MAX;
            }
            Said::Reminder(lasting.alert.clone(), now)
        })
        .collect()
    }

    /// The silence rules that watch a device.
    fn watching(&self, device: usize) -> impl Iterator<Item = &'w RuleSpec> {
        let ty = self.world.devices[device].ty;
        let rules = self.world.rules.iter().filter(|rule| rule.kind == Kind::Silence);
        rules.filter(move |rule| rule.applies_to(ty, device))
    }

    /// When a device was last heard of, as far as that is kept, and the rules that miss it since.
    fn last_heard(&self, device: usize) -> (Option<i64>, Vec<&str>) {
        let quarter = self.watching(device).map(|rule| rule.after / 4).min().unwrap_or_default();
        let (mut last, mut missed): (Option<i64>, Vec<&str>) = Default::default();
        for sign in &self.signs {
            match sign {
                Sign::Heard(heard, at) if *heard == device && last.is_none_or(|last| at - last >= quarter) => {
                    last = Some(*at);
                    missed.clear();
                }
                Sign::Missed(rule, since) if *since == device => missed.push(rule),
                _ => {}
            }
        }
        (last, missed)
    }

    /// Devices of which nothing was heard for five quarters of a rule's time.
    fn silences(&mut self, now: i64) -> Vec<Said> {
        let mut said = Vec::new();
        for rule in &self.world.rules {
            for device in 0..self.world.devices.len() {
                let (last, missed) = self.last_heard(device);
                let is_watched = self.watching(device).any(|watching| watching.id == rule.id);
                let Some(last) = last.filter(|_| is_watched && !missed.contains(&rule.id.as_str())) else { continue };
                if now < last + rule.after + rule.after / 4 || !self.hours(rule, device)(now) {
                    continue;
                }
                self.signs.push(Sign::Missed(rule.id.clone(), device));
                let (rule_id, device) = (rule.id.clone(), format!("d{device}"));
                let (severity, reasons) = (rule.severity, Vec::new());
                said.extend(self.send(vec![(rule, Raised { rule: rule_id, device, at: now, severity, reasons })]));
            }
        }
        said
    }

    /// Notes that a device was heard of. A silence that this ends is over.
    fn hear(&mut self, device: usize, at: i64) -> Vec<Said> {
        let before: Vec<String> = self.last_heard(device).1.into_iter().map(str::to_owned).collect();
        self.signs.push(Sign::Heard(device, at));
        let (world, name) = (self.world, format!("d{device}"));
        for lasting in self.lasting.iter_mut().filter(|lasting| lasting.alert.device == name) {
            if at - lasting.heard >= reminded_for(world, &name) / 4 {
                lasting.heard = at;
            }
        }
        let after: Vec<String> = self.last_heard(device).1.into_iter().map(str::to_owned).collect();
        let ended = self.world.rules.iter().filter(|rule| before.contains(&rule.id) && !after.contains(&rule.id));
        ended.filter_map(|rule| self.over(rule, &format!("d{device}"), at)).collect()
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
        for rule in &self.world.rules {
            for (number, device) in self.world.devices.iter().enumerate() {
                let name = format!("d{number}");
                let verdict =
                    if rule.applies_to(device.ty, number) { self.verdict(rule, number) } else { Verdict::default() };
                changed |= verdict.changed;
                if verdict.over {
                    said.extend(self.over(rule, &name, at));
                }
                if let Some((severity, reached)) = verdict.raised {
                    let reasons = if rule.kind == Kind::Threshold { named.clone() } else { reached };
                    raised.push((rule, Raised { rule: rule.id.clone(), device: name, at, severity, reasons }));
                }
            }
        }
        if let Some(Fact::Reading(reading, at)) = self.facts.last() {
            said.extend(self.hear(reading.device, *at));
        }
        said.extend(self.send(raised));
        (changed, said)
    }

    /// One reading is one message that names all, the worst first: it is sent unless all of it is blocked.
    fn send(&mut self, raised: Vec<(&RuleSpec, Raised)>) -> Option<Said> {
        let blocks: Option<Vec<i64>> = raised.iter().map(|(rule, alert)| self.blocked_until(rule, alert)).collect();
        for (rule, alert) in &raised {
            // A new alert of a threshold replaces a milder or an earlier one.
            self.held.retain(|(held, _)| {
                let is_same = (&held.rule, &held.device) == (&alert.rule, &alert.device);
                !is_same || rule.kind != Kind::Threshold || held.severity > alert.severity
            });
            if self.held.is_empty() {
                self.held_until = i64::MIN;
            }
            self.lasting.retain(|lasting| (&lasting.alert.rule, &lasting.alert.device) != (&alert.rule, &alert.device));
            self.lasting.extend(rule.reminder.map(|every| Lasting {
                alert: alert.clone(),
                again: alert.at + every,
                heard: alert.at,
            }));
        }
        let mut alerts: Vec<Raised> = raised.into_iter().map(|(_, alert)| alert).collect();
        self.raised.extend(alerts.iter().cloned());
        if let Some(blocks) = blocks {
            self.held_until = blocks.into_iter().fold(self.held_until, i64::max);
            self.held.extend(alerts.into_iter().map(|alert| (alert, None)));
            return None;
        }
        alerts.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
        self.sent.extend(alerts.iter().cloned());
        Some(Said::Firing(alerts))
    }

    /// What is over is said to be over: by itself where people have heard of it, else where it is named.
    fn over(&mut self, rule: &RuleSpec, device: &str, at: i64) -> Option<Said> {
        let is_it = |alert: &Raised| alert.rule == rule.id && alert.device == device;
        let last = self.raised.iter().rfind(|alert| is_it(alert));
        let is_held = self.held.iter().any(|(alert, over)| over.is_none() && Some(alert) == last);
        for (_, over) in self.held.iter_mut().filter(|(alert, over)| is_it(alert) && over.is_none()) {
            *over = Some(at);
        }
        self.lasting.retain(|lasting| !is_it(&lasting.alert));
        (rule.resolved && !is_held).then(|| Said::Resolved { rule: rule.id.clone(), device: device.to_owned(), at })
    }

    /// What was counted or added up is over with the cleaning that ends it, also where nobody has heard of it yet.
    fn cleaning_ends_what_is_held(&mut self, cleaned: i64) {
        for (alert, over) in &mut self.held {
            let rule = self.world.rules.iter().find(|rule| rule.id == alert.rule);
            let is_counted = |rule: &RuleSpec| !matches!(rule.kind, Kind::Threshold | Kind::Silence);
            if rule.is_some_and(is_counted) && alert.at <= cleaned && over.is_none() {
                *over = Some(cleaned);
            }
        }
    }

    fn blocked_until(&self, rule: &RuleSpec, alert: &Raised) -> Option<i64> {
        // For what comes late, only the last alert of a rule and a device counts, of those as severe.
        let is_last = |index: usize, sent: &Raised| {
            !self.sent[index + 1..].iter().any(|newer| {
                newer.rule == sent.rule
                    && newer.device == sent.device
                    && newer.severity >= sent.severity
                    && newer.at >= sent.at
            })
        };
        let sent = self.sent.iter().enumerate().filter(|(index, sent)| is_last(*index, sent)).map(|(_, sent)| sent);
        let ends = sent.filter(|sent| sent.severity >= alert.severity).filter_map(|sent| {
            let of_device = if sent.device == alert.device { rule.block.device } else { 0 };
            let of_zone = match rule.block.rule {
                Some(minutes) if sent.rule == alert.rule => minutes,
                Some(_) => 0,
                None => rule.block.zone,
            };
            let minutes = of_device.max(of_zone);
            ((alert.at - sent.at).abs() < minutes).then_some(sent.at + minutes)
        });
        ends.max()
    }

    fn verdict(&self, rule: &RuleSpec, device: usize) -> Verdict {
        match rule.kind {
            Kind::Threshold => self.threshold(rule, device),
            Kind::Count => self.count(rule, device),
            Kind::Reasons => self.reasons(rule, device),
            Kind::Accumulate => self.accumulate(rule, device),
            // About time without readings.
            Kind::Silence => Verdict::default(),
        }
    }

    /// Whether a minute is within the rule's hours on the device's clock.
    fn hours(&self, rule: &RuleSpec, device: usize) -> impl Fn(i64) -> bool + use<> {
        let (zone, active) = (self.world.devices[device].minutes_east, rule.active);
        move |at| {
            let time = (at + zone).rem_euclid(24 * 60);
            let within = |(from, to)| if from < to { from <= time && time < to } else { from <= time || time < to };
            active.is_none_or(within)
        }
    }

    /// The facts that a rule looks at for a device: its readings in the rule's hours, and cleanings.
    fn looked_at(&self, rule: &RuleSpec, device: usize) -> impl Iterator<Item = (bool, &Fact)> {
        let last = self.facts.len() - 1;
        let is_active = self.hours(rule, device);
        self.facts.iter().enumerate().filter_map(move |(index, fact)| match fact {
            Fact::Reading(reading, at) => (reading.device == device && is_active(*at)).then_some((index == last, fact)),
            Fact::Cleaned(_) => Some((index == last, fact)),
        })
    }

    fn threshold(&self, rule: &RuleSpec, device: usize) -> Verdict {
        let mut verdict = Verdict::default();
        // The breach that lasts: readings that cross the limit without too long a gap, and what was raised.
        let (mut breach, mut worst): (Vec<i64>, Option<Severity>) = (Vec::new(), None);
        let mut changed: Option<i64> = None;
        let mut cleaned = i64::MIN;
        for (is_last, fact) in self.looked_at(rule, device) {
            verdict = Verdict::default();
            let before = (changed, worst);
            match fact {
                Fact::Cleaned(at) => {
                    cleaned = cleaned.max(*at);
                    if changed.is_some_and(|changed| changed <= *at) {
                        verdict.over = worst.is_some();
                        (breach, worst, changed) = (Vec::new(), None, Some(*at));
                    }
                }
                Fact::Reading(reading, at) => {
                    let is_late = changed.is_some_and(|changed| *at < changed) || *at <= cleaned;
                    let at_once = changed == Some(*at);
                    if !is_late {
                        match rule.look(device, reading) {
                            // Of two readings of one moment, the worse counts.
                            Look::Broken(severity) if !at_once || worst.is_some() => {
                                if worst.is_none() && breach.last().is_some_and(|last| at - last > rule.max_gap) {
                                    breach.clear();
                                }
                                if worst.is_none() {
                                    breach.push(*at);
                                    changed = Some(*at);
                                }
                                let lasts = at - breach[0] >= rule.lasting;
                                if lasts && worst.is_none_or(|worst| worst < severity) {
                                    verdict.raised = Some((severity, Vec::new()));
                                    (worst, changed) = (Some(severity), Some(*at));
                                }
                            }
                            Look::Well if !at_once && !breach.is_empty() => {
                                verdict.over = worst.is_some();
                                (breach, worst, changed) = (Vec::new(), None, Some(*at));
                            }
                            Look::Between if !at_once && worst.is_none() && !breach.is_empty() => {
                                (breach, changed) = (Vec::new(), Some(*at));
                            }
                            _ => {}
                        }
                    }
                }
            }
            verdict.changed = before != (changed, worst);
            if !is_last {
                verdict = Verdict::default();
            }
        }
        verdict
    }

    fn count(&self, rule: &RuleSpec, device: usize) -> Verdict {
        let mut verdict = Verdict::default();
        let mut tally = Tally::default();
        for (is_last, fact) in self.looked_at(rule, device) {
            match fact {
                Fact::Cleaned(at) => tally.cleaned(*at),
                Fact::Reading(reading, at) => {
                    let Look::Broken(severity) = rule.look(device, reading) else { continue };
                    let counted = tally.counts(*at, rule.count, rule.within);
                    if is_last {
                        verdict.changed = counted.is_some();
                        verdict.raised = (counted == Some(true)).then(|| (severity, Vec::new()));
                    }
                }
            }
        }
        verdict
    }

    fn reasons(&self, rule: &RuleSpec, device: usize) -> Verdict {
        let mut verdict = Verdict::default();
        let mut named: Vec<(String, Tally)> = Vec::new();
        for (is_last, fact) in self.looked_at(rule, device) {
            match fact {
                Fact::Cleaned(at) => {
                    // Also for reasons that nobody has given yet.
                    for reason in ["", "Smell", "Wet"] {
                        tally_of(&mut named, reason).cleaned(*at);
                    }
                }
                Fact::Reading(reading, at) => {
                    let Look::Broken(severity) = rule.look(device, reading) else { continue };
                    let given = reading.reason_names();
                    let given = if given.is_empty() { vec![""] } else { given };
                    let mut reached = Vec::new();
                    for reason in given {
                        let counted = tally_of(&mut named, reason).counts(*at, rule.count, rule.within);
                        verdict.changed |= is_last && counted.is_some();
                        if counted == Some(true) {
                            reached.push(reason.to_owned());
                        }
                    }
                    if !reached.is_empty() && is_last {
                        reached.retain(|reason| !reason.is_empty());
                        verdict.raised = Some((severity, reached));
                    }
                }
            }
        }
        verdict
    }

    fn accumulate(&self, rule: &RuleSpec, device: usize) -> Verdict {
        let mut verdict = Verdict::default();
        let test = &rule.tests[0];
        let (limit, severity) = (rule.limits(device, 0)[0].1, rule.limits(device, 0)[0].0.unwrap_or(rule.severity));
        let zone = self.world.devices[device].minutes_east;
        // What is in the sum, and when; before `restarted` nothing counts any more.
        let mut sum: Vec<(i64, f64)> = Vec::new();
        let (mut restarted, mut cleaned) = (i64::MIN, i64::MIN);
        for (is_last, fact) in self.looked_at(rule, device) {
            match fact {
                Fact::Cleaned(at) => {
                    cleaned = cleaned.max(*at);
                    sum.retain(|(when, _)| when > at);
                }
                Fact::Reading(reading, at) => {
                    let Some(value) = reading.plausible(rule.ty, test.metric).filter(|value| *value > 0) else {
                        continue;
                    };
                    if let Some(restart_at) = rule.restart_at {
                        // The last time of that name on the clock of the place.
                        let start = at - (at + zone - restart_at).rem_euclid(24 * 60);
                        if start > restarted {
                            sum.retain(|(when, _)| *when >= start);
                            restarted = start;
                        }
                    }
                    if *at < restarted || *at <= cleaned {
                        continue;
                    }
                    sum.push((*at, f64::from(value)));
                    verdict.changed = is_last;
                    let total: f64 = sum.iter().map(|(_, value)| value).sum();
                    if test.comparison.is_broken(total, limit) {
                        restarted = *at;
                        sum.clear();
                        if rule.carry {
                            sum.push((restarted, total - limit));
                        }
                        if is_last {
                            verdict.raised = Some((severity, Vec::new()));
                        }
                    }
                }
            }
        }
        verdict
    }
}

/// For how long people are reminded of a device that sends nothing.
fn reminded_for(world: &World, device: &str) -> i64 {
    let number: usize = device.trim_start_matches('d').parse().unwrap();
    let silences = world.rules.iter().filter(|rule| rule.kind == Kind::Silence);
    let watching = silences.filter(|rule| rule.applies_to(world.devices[number].ty, number));
    watching.map(|rule| rule.after).min().unwrap_or(24 * 60)
}

/// What a threshold sees in one reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Look {
    Broken(Severity),
    /// The limit is kept, the level to clear is not.
    Between,
    Well,
    /// It does not say.
    Silent,
}

impl RuleSpec {
    pub(crate) fn look(&self, device: usize, reading: &Measured) -> Look {
        let mut worst: Option<Severity> = None;
        let (mut broken, mut kept, mut absent) = (0, 0, 0);
        for (index, test) in self.tests.iter().enumerate() {
            let Some(value) = reading.plausible(self.ty, test.metric) else {
                absent += 1;
                continue;
            };
            let levels = self.limits(device, index);
            let crossed = levels.iter().filter(|(_, limit)| crosses(test.comparison, f64::from(value), *limit));
            match crossed.map(|(severity, _)| severity.unwrap_or(self.severity)).max() {
                Some(severity) => {
                    broken += 1;
                    worst = worst.max(Some(severity));
                }
                None => kept += 1,
            }
        }
        let is_broken = match self.join {
            Join::Any => broken > 0,
            Join::All => kept + absent == 0,
        };
        match worst {
            Some(severity) if is_broken => Look::Broken(severity),
            _ if kept > 0 => {
                let trembles = self.clear.is_some_and(|clear| {
                    reading
                        .plausible(self.ty, self.tests[0].metric)
                        .is_some_and(|value| crosses(self.tests[0].comparison, f64::from(value), clear))
                });
                if trembles { Look::Between } else { Look::Well }
            }
            _ => Look::Silent,
        }
    }
}

fn crosses(comparison: Comparison, value: f64, limit: f64) -> bool {
    match comparison {
        Comparison::Above => value > limit,
        Comparison::AtLeast => value >= limit,
        Comparison::Below => value < limit,
        Comparison::AtMost => value <= limit,
        Comparison::Deviates => unreachable!("no baselines here"),
    }
}

/// Times of one thing that count together.
#[derive(Default)]
struct Tally {
    times: Vec<i64>,
    restarted: Option<i64>,
}

fn tally_of<'t>(named: &'t mut Vec<(String, Tally)>, reason: &str) -> &'t mut Tally {
    let index = named.iter().position(|(name, _)| name == reason).unwrap_or_else(|| {
        named.push((reason.to_owned(), Tally::default()));
        named.len() - 1
    });
    &mut named[index].1
}

impl Tally {
    fn cleaned(&mut self, at: i64) {
        self.restarted = self.restarted.max(Some(at));
        self.times.retain(|time| *time > at);
    }

    /// Counts one more, and starts again where there were enough; `None` where it comes too late to count.
    fn counts(&mut self, at: i64, enough: usize, within: Option<i64>) -> Option<bool> {
        if self.restarted.is_some_and(|restarted| at <= restarted) {
            return None;
        }
        self.times.push(at);
        self.times.sort_unstable();
        // It is enough as soon as any window that holds the new one is full.
        let is_full = |last: &i64| {
            let first = within.map_or(i64::MIN, |within| last - within);
            let together = self.times.iter().filter(|time| first < **time && *time <= last).count();
            first < at && together >= enough
        };
        let full = self.times.iter().copied().filter(|last| *last >= at).find(is_full);
        if let Some(last) = full {
            self.restarted = Some(last);
            self.times.retain(|time| *time > last);
        }
        Some(full.is_some())
    }
}

//! Evaluates a rule over all facts, from the first to the last.

use smartclean_push::domain::breach::Comparison;
use smartclean_push::domain::rules::{Join, Kind};
use smartclean_push::domain::severity::Severity;

use super::{Fact, NaiveEngine};
use crate::model::worlds::{Measured, RuleSpec};

/// The outcome of a rule for the newest fact.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RuleOutcome {
    pub(super) raised: Option<(Severity, Vec<String>)>,
    /// When the first of several occurrences was that raised an alert.
    pub(super) since: Option<i64>,
    pub(super) is_resolved: bool,
    /// Whether a reading that counts is on the good side of the clear level.
    pub(super) is_clear: bool,
    /// When a threshold that still fires got its severity.
    pub(super) fired_at: Option<i64>,
    /// Whether the state of the rule changed.
    pub(super) changed: bool,
    /// Whether a cleaning removed a part of a sum.
    pub(super) has_removed_part: bool,
}

impl NaiveEngine<'_> {
    pub(super) fn outcome(&self, rule: &RuleSpec, device: usize) -> RuleOutcome {
        match rule.kind {
            Kind::Threshold => self.threshold(rule, device),
            Kind::Count => self.count(rule, device),
            Kind::Reasons => self.reasons(rule, device),
            Kind::Accumulate => self.accumulate(rule, device),
            // Silence rules do not evaluate readings.
            Kind::Silence => RuleOutcome::default(),
        }
    }

    /// When a threshold that still fires got its severity.
    pub(super) fn fired_at(&self, rule: &RuleSpec, device: usize) -> Option<i64> {
        self.threshold(rule, device).fired_at
    }

    /// The facts for a rule and a device: its readings, the cleanings, and the answers to its alerts.
    fn facts_for<'f>(&'f self, rule: &'f RuleSpec, device: usize) -> impl Iterator<Item = (bool, &'f Fact)> {
        let last = self.facts.len() - 1;
        let facts = self.facts.iter().enumerate();
        let is_its = move |fact: &Fact| match fact {
            Fact::Reading(reading, _) => reading.device == device,
            Fact::Cleaned(_) => true,
            Fact::Answered { rule: of, device: by, .. } => (of, *by) == (&rule.id, device),
        };
        facts.filter(move |(_, fact)| is_its(fact)).map(move |(index, fact)| (index == last, fact))
    }

    fn threshold(&self, rule: &RuleSpec, device: usize) -> RuleOutcome {
        let mut outcome = RuleOutcome::default();
        // The readings of the current breach, and the worst severity that fired.
        let (mut breach, mut worst): (Vec<i64>, Option<Severity>) = (Vec::new(), None);
        let mut changed: Option<i64> = None;
        // Both of them before the last reading that ended a breach.
        let mut ended: (Vec<i64>, Option<Severity>) = Default::default();
        let mut cleaned = i64::MIN;
        // When people were done with its last alert, if nothing has changed since.
        let mut answered = None;
        for (is_last, fact) in self.facts_for(rule, device) {
            outcome = RuleOutcome::default();
            let before = (changed, worst, breach.clone());
            match fact {
                Fact::Answered { at, .. } => {
                    if changed.is_some_and(|changed| changed <= *at) {
                        outcome.is_resolved = worst.is_some();
                        (breach, worst, changed, answered) = (Vec::new(), None, Some(*at), Some(*at));
                    }
                }
                Fact::Cleaned(at) => {
                    cleaned = cleaned.max(*at);
                    if changed.is_some_and(|changed| changed <= *at) {
                        outcome.is_resolved = worst.is_some();
                        (breach, worst, changed) = (Vec::new(), None, Some(*at));
                    }
                }
                Fact::Reading(reading, at) => {
                    let is_answered = answered == Some(*at) && changed == answered;
                    let is_late = changed.is_some_and(|changed| *at < changed) || *at <= cleaned || is_answered;
                    let at_once = changed == Some(*at);
                    let result = rule.compare(device, reading);
                    outcome.is_clear = *at > cleaned && result == TestResult::Clear;
                    if !is_late {
                        // Of readings at the same time, one that is worse than the alert counts as if it had come first.
                        let is_first = at_once
                            && breach.is_empty()
                            && matches!(result, TestResult::Breached(severity) if ended.1 < Some(severity));
                        if is_first {
                            (breach, worst) = std::mem::take(&mut ended);
                        }
                        let at_once = at_once && !is_first;
                        match result {
                            TestResult::Breached(severity) if !at_once || worst.is_some() => {
                                if worst.is_none() && breach.last().is_some_and(|last| at - last > rule.max_gap) {
                                    breach.clear();
                                }
                                if worst.is_none() {
                                    breach.push(*at);
                                    changed = Some(*at);
                                }
                                let lasts = at - breach[0] >= rule.lasting;
                                if lasts && worst.is_none_or(|worst| worst < severity) {
                                    outcome.raised = Some((severity, Vec::new()));
                                    (worst, changed) = (Some(severity), Some(*at));
                                }
                            }
                            TestResult::Clear if !at_once && !breach.is_empty() => {
                                outcome.is_resolved = worst.is_some();
                                ended = (std::mem::take(&mut breach), worst.take());
                                changed = Some(*at);
                            }
                            TestResult::Between if !at_once && worst.is_none() && !breach.is_empty() => {
                                ended = (std::mem::take(&mut breach), None);
                                changed = Some(*at);
                            }
                            _ => {}
                        }
                    }
                }
            }
            outcome.changed = before != (changed, worst, breach.clone());
            if !is_last {
                outcome = RuleOutcome::default();
            }
        }
        RuleOutcome { fired_at: changed.filter(|_| worst.is_some()), ..outcome }
    }

    fn count(&self, rule: &RuleSpec, device: usize) -> RuleOutcome {
        let mut outcome = RuleOutcome::default();
        let mut occurrences = Occurrences::default();
        for (is_last, fact) in self.facts_for(rule, device) {
            match fact {
                Fact::Cleaned(at) | Fact::Answered { at, .. } => occurrences.cleaned(*at),
                Fact::Reading(reading, at) => {
                    let TestResult::Breached(severity) = rule.compare(device, reading) else { continue };
                    let counted = occurrences.count(*at, rule.count, rule.within);
                    if is_last {
                        outcome.changed = counted.is_some();
                        outcome.since = counted.flatten().filter(|_| rule.count > 1);
                        outcome.raised = counted.flatten().map(|_| (severity, Vec::new()));
                    }
                }
            }
        }
        outcome
    }

    fn reasons(&self, rule: &RuleSpec, device: usize) -> RuleOutcome {
        let mut outcome = RuleOutcome::default();
        let mut named: Vec<(String, Occurrences)> = Vec::new();
        for (is_last, fact) in self.facts_for(rule, device) {
            match fact {
                Fact::Cleaned(at) => {
                    // Also for reasons without an occurrence yet.
                    for reason in ["", "Smell", "Wet"] {
                        occurrences_of(&mut named, reason).cleaned(*at);
                    }
                }
                Fact::Answered { reasons, at, .. } => {
                    for reason in reasons {
                        occurrences_of(&mut named, reason).cleaned(*at);
                    }
                }
                Fact::Reading(reading, at) => {
                    let TestResult::Breached(severity) = rule.compare(device, reading) else { continue };
                    let given = reading.reason_names();
                    let given = if given.is_empty() { vec![""] } else { given };
                    let (mut reached, mut firsts) = (Vec::new(), Vec::new());
                    for reason in given {
                        let counted = occurrences_of(&mut named, reason).count(*at, rule.count, rule.within);
                        outcome.changed |= is_last && counted.is_some();
                        if let Some(first) = counted.flatten() {
                            reached.push(reason.to_owned());
                            firsts.push(first);
                        }
                    }
                    if !reached.is_empty() && is_last {
                        outcome.since = firsts.into_iter().min().filter(|_| rule.count > 1);
                        reached.retain(|reason| !reason.is_empty());
                        outcome.raised = Some((severity, reached));
                    }
                }
            }
        }
        outcome
    }

    fn accumulate(&self, rule: &RuleSpec, device: usize) -> RuleOutcome {
        let mut outcome = RuleOutcome::default();
        let test = &rule.tests[0];
        let (limit, severity) = (rule.limits(device, 0)[0].1, rule.limits(device, 0)[0].0.unwrap_or(rule.severity));
        let zone = self.world.devices[device].minutes_east;
        // The values of the sum. Values before `restarted` do not count.
        let mut sum: Vec<(i64, f64)> = Vec::new();
        let (mut restarted, mut cleaned) = (i64::MIN, i64::MIN);
        for (is_last, fact) in self.facts_for(rule, device) {
            match fact {
                Fact::Cleaned(at) => {
                    cleaned = cleaned.max(*at);
                    let counted = sum.len();
                    sum.retain(|(when, _)| *when > cleaned);
                    outcome.has_removed_part = is_last && !sum.is_empty() && sum.len() < counted;
                }
                Fact::Answered { at, .. } => {
                    sum.retain(|(when, _)| when > at);
                    restarted = restarted.max(*at);
                }
                Fact::Reading(reading, at) => {
                    let Some(value) = reading.plausible(rule.ty, test.metric).filter(|value| *value > 0) else {
                        continue;
                    };
                    if let Some(restart_at) = rule.restart_at {
                        // The last time with that local time of day.
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
                    outcome.changed = is_last;
                    let total: f64 = sum.iter().map(|(_, value)| value).sum();
                    if test.comparison.is_breached(total, limit) {
                        restarted = *at;
                        sum.clear();
                        if rule.carry {
                            sum.push((restarted, total - limit));
                        }
                        if is_last {
                            outcome.raised = Some((severity, Vec::new()));
                        }
                    }
                }
            }
        }
        outcome
    }
}

/// The result of a condition for one reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TestResult {
    Breached(Severity),
    /// No limit is breached, but the clear level is not reached.
    Between,
    Clear,
    /// The reading does not have the metrics.
    Unmeasured,
}

impl RuleSpec {
    pub(crate) fn compare(&self, device: usize, reading: &Measured) -> TestResult {
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
        let is_breached = match self.join {
            Join::Any => broken > 0,
            Join::All => kept + absent == 0,
        };
        match worst {
            Some(severity) if is_breached => TestResult::Breached(severity),
            _ if kept > 0 => {
                let is_between = self.clear(device).is_some_and(|clear| {
                    reading
                        .plausible(self.ty, self.tests[0].metric)
                        .is_some_and(|value| crosses(self.tests[0].comparison, f64::from(value), clear))
                });
                if is_between { TestResult::Between } else { TestResult::Clear }
            }
            _ => TestResult::Unmeasured,
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

/// The occurrences of one reason.
#[derive(Default)]
struct Occurrences {
    times: Vec<i64>,
    restarted: Option<i64>,
}

fn occurrences_of<'t>(named: &'t mut Vec<(String, Occurrences)>, reason: &str) -> &'t mut Occurrences {
    let index = named.iter().position(|(name, _)| name == reason).unwrap_or_else(|| {
        named.push((reason.to_owned(), Occurrences::default()));
        named.len() - 1
    });
    &mut named[index].1
}

impl Occurrences {
    fn cleaned(&mut self, at: i64) {
        self.restarted = self.restarted.max(Some(at));
        self.times.retain(|time| *time > at);
    }

    /// Counts an occurrence. If there are enough, returns the first one, and restarts. `None` if it is too late to count.
    fn count(&mut self, at: i64, needed: usize, within: Option<i64>) -> Option<Option<i64>> {
        if self.restarted.is_some_and(|restarted| at <= restarted) {
            return None;
        }
        self.times.push(at);
        self.times.sort_unstable();
        // Any full window with the new occurrence is enough.
        let full = |last: i64| {
            let before = within.map_or(i64::MIN, |within| last - within);
            let together: Vec<i64> =
                self.times.iter().copied().filter(|time| before < *time && *time <= last).collect();
            (before < at && together.len() >= needed).then(|| (together[0], last))
        };
        let full = self.times.iter().copied().filter(|last| *last >= at).find_map(full);
        if let Some((_, last)) = full {
            self.restarted = Some(last);
            self.times.retain(|time| *time > last);
        }
        Some(full.map(|(first, _)| first))
    }
}

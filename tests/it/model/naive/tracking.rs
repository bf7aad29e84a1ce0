//! What a rule makes of all the facts there are: it goes through them from the first to the last.

use smartclean_push::domain::breach::Comparison;
use smartclean_push::domain::rules::{Join, Kind};
use smartclean_push::domain::severity::Severity;

use super::{Fact, Naive};
use crate::model::worlds::{Measured, RuleSpec};

/// What a rule makes of the newest fact.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub(super) raised: Option<(Severity, Vec<String>)>,
    pub(super) over: bool,
    /// Whether it made any difference to the rule.
    pub(super) changed: bool,
    /// Whether a cleaning took a part of a sum back, and left another.
    pub(super) taken_back: bool,
}

impl Naive<'_> {
    pub(super) fn verdict(&self, rule: &RuleSpec, device: usize) -> Verdict {
        match rule.kind {
            Kind::Threshold => self.threshold(rule, device),
            Kind::Count => self.count(rule, device),
            Kind::Reasons => self.reasons(rule, device),
            Kind::Accumulate => self.accumulate(rule, device),
            // About time without readings.
            Kind::Silence => Verdict::default(),
        }
    }

    /// The facts that a rule looks at for a device: its readings, at any hour, and cleanings.
    fn looked_at(&self, device: usize) -> impl Iterator<Item = (bool, &Fact)> {
        let last = self.facts.len() - 1;
        let facts = self.facts.iter().enumerate();
        let is_its = move |fact: &Fact| !matches!(fact, Fact::Reading(reading, _) if reading.device != device);
        facts.filter(move |(_, fact)| is_its(fact)).map(move |(index, fact)| (index == last, fact))
    }

    fn threshold(&self, rule: &RuleSpec, device: usize) -> Verdict {
        let mut verdict = Verdict::default();
        // The breach that lasts: readings that cross the limit without too long a gap, and what was raised.
        let (mut breach, mut worst): (Vec<i64>, Option<Severity>) = (Vec::new(), None);
        let mut changed: Option<i64> = None;
        let mut cleaned = i64::MIN;
        for (is_last, fact) in self.looked_at(device) {
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
        for (is_last, fact) in self.looked_at(device) {
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
        for (is_last, fact) in self.looked_at(device) {
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
        for (is_last, fact) in self.looked_at(device) {
            match fact {
                Fact::Cleaned(at) => {
                    cleaned = cleaned.max(*at);
                    let counted = sum.len();
                    sum.retain(|(when, _)| *when > cleaned);
                    verdict.taken_back = is_last && !sum.is_empty() && sum.len() < counted;
                }
                Fact::Reading(reading, at) => {
                    let Some(value) = reading.plausible(rule.ty, test.metric).filter(|value| *value > 0) else {
                        continue;
                    };
                    if let Some(restart_at) = rule.restart_at {
                        // The last time of that name on the clock of the location.
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

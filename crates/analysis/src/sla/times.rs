//! The clocks of an alert, and their summary over several alerts.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::tables;
use domain::alert::life::{AlertLife, Claim, Contradiction};
use domain::response::ResponseSource;
use domain::rules::names::Names;
use domain::words;

words! {
    /// Whether an alert was answered.
    pub enum ClockState {
        /// It was.
        Answered = "answered",
        /// Not yet.
        Open = "open",
        /// It ended without an answer.
        Unanswered = "unanswered",
    }
}

/// An alert, with the times until it was answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimedAlert {
    /// The alert, with all responses.
    #[serde(flatten)]
    pub life: AlertLife,
    /// The names of site, zone and device.
    pub place: String,
    /// Until people took it or began, or it was done.
    pub reaction: ResponseClock,
    /// Until it was done.
    pub resolution: ResponseClock,
    /// The contradiction in words: "reported cleaned 10:42, at 11:10 soap left 3 % (limit 5)".
    pub finding: Option<String>,
}

/// The time from when an alert was raised until an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ResponseClock {
    /// Whether it was answered.
    pub state: ClockState,
    /// Full seconds within active hours until the answer; without one, so far.
    pub seconds: i64,
    /// Whether the target was met; `None` without a target, or if it is not known yet.
    pub within: Option<bool>,
}

/// Response times of several alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResponseTimes {
    /// The number of alerts.
    pub alerts: usize,
    /// Alerts whose sensor measured a breach after people said that they were done.
    pub contradicted: usize,
    /// Until people took it or began, or it was done.
    pub reaction: TimeSummary,
    /// Until it was done.
    pub resolution: TimeSummary,
}

/// A summary of clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TimeSummary {
    /// Alerts with an answer.
    pub answered: usize,
    /// Alerts without an answer yet.
    pub open: usize,
    /// Alerts that ended without an answer.
    pub unanswered: usize,
    /// The median of the answered ones, in seconds (nearest rank).
    pub median_seconds: Option<i64>,
    /// The shortest time that 90 % of the answered ones did not exceed, in seconds (nearest rank).
    pub p90_seconds: Option<i64>,
    /// Alerts that have a target and a known result.
    pub judged: usize,
    /// Those of them that met the target.
    pub within: usize,
}

impl TimedAlert {
    pub(super) fn new(life: AlertLife, as_of: Timestamp, names: &Names) -> Self {
        let done = life.first_done().map(|(done, _)| done);
        let began = [life.acknowledged, life.started, done].into_iter().flatten().min();
        let [reaction, resolution] = [(began, life.targets.respond_within), (done, life.targets.clean_within)]
            .map(|(answer, target)| ResponseClock::new(&life, answer, target, as_of));
        let place = format!("{}, {}", tables::zone_name(&life, names), device_name(&life, names));
        Self { place, reaction, resolution, finding: finding(&life), life }
    }

    /// What happened, in local time: "taken by A 10:20, started 10:30, reported 10:42, contradicted 11:10; reported cleaned
    /// 10:42, at 11:10 …".
    #[must_use]
    pub fn story(&self) -> String {
        let AlertLife { acknowledged, taken, snoozed, escalated, started, done, end, raised, location, .. } =
            &self.life;
        let by = |claim: &Claim| if claim.by.is_empty() { String::new() } else { format!(" by {}", claim.by) };
        let last = taken.iter().map(|claim| (claim.hold.at, format!("taken{}", by(claim))));
        let first = acknowledged.filter(|first| taken.as_ref().is_none_or(|last| last.hold.at != *first));
        let snoozed = snoozed.iter().map(|claim| {
            let until = location.local_zone.local_time(claim.hold.until).strftime("%H:%M");
            (claim.hold.at, format!("snoozed{} (until {until})", by(claim)))
        });
        let told = escalated.iter().filter(|step| !step.to.is_empty());
        let told = told.map(|step| (step.at, format!("escalated to {}", step.to.join(", "))));
        let answers =
            first.map(|at| (at, "acknowledged".to_owned())).into_iter().chain(last).chain(snoozed).chain(told);
        let started = started.map(|at| (at, "started".to_owned()));
        let known = done.iter().map(|(source, at)| (*at, source.to_string()));
        // The measured end is told already.
        let end = end.filter(|end| done.get(&ResponseSource::Measured) != Some(&end.at));
        let end = end.map(|end| (end.at, end.reason.to_string()));
        let mut events: Vec<_> = answers.chain(started).chain(known).chain(end).collect();
        events.sort_unstable();
        let mut date = location.local_zone.local_time(*raised).date();
        let event = |(at, what): &(Timestamp, String)| {
            let local = location.local_zone.local_time(*at);
            let day = if std::mem::replace(&mut date, local.date()) == local.date() { "" } else { "%-d %b " };
            format!("{what} {}", local.strftime(&format!("{day}%H:%M")))
        };
        let events: Vec<_> = events.iter().map(event).collect();
        let story = if events.is_empty() { "open".to_owned() } else { events.join(", ") };
        story + &self.finding.iter().map(|finding| format!("; {finding}")).collect::<String>()
    }
}

fn device_name(life: &AlertLife, names: &Names) -> String {
    life.location.device_name(names).map_or_else(|| life.location.name(), str::to_owned)
}

/// The contradiction in words.
fn finding(life: &AlertLife) -> Option<String> {
    let Contradiction { at, breach } = life.contradiction.as_ref()?;
    let (done, source) = life.first_done()?;
    let [done, at] = [done, *at].map(|at| life.location.local_zone.local_time(at));
    let day = if done.date() == at.date() { "" } else { "%-d %b " };
    let at = at.strftime(&format!("{day}%H:%M")).to_string();
    let breach = breach.as_ref().map_or_else(|| "the same again".to_owned(), notify::in_words);
    Some(format!("{source} cleaned {}, at {at} {breach}", done.strftime("%H:%M")))
}

impl ResponseClock {
    fn new(life: &AlertLife, answer: Option<Timestamp>, target: Option<SignedDuration>, as_of: Timestamp) -> Self {
        let until = answer.unwrap_or(as_of);
        let time = match life.targets.active {
            Some(hours) => hours.overlap(life.raised, until, &life.location.local_zone),
            None => until.duration_since(life.raised).max(SignedDuration::ZERO),
        };
        let state = match (answer, life.end) {
            (Some(_), _) => ClockState::Answered,
            (None, None) => ClockState::Open,
            (None, Some(_)) => ClockState::Unanswered,
        };
        let is_within = |target| if time > target { Some(false) } else { answer.map(|_| true) };
        Self { state, seconds: time.as_secs(), within: target.and_then(is_within) }
    }

    /// "19 min, target missed"; "19 min so far" without an answer.
    #[must_use]
    pub fn in_words(&self) -> String {
        let state = if self.state == ClockState::Answered { "" } else { " so far" };
        let target = if self.within == Some(false) { ", target missed" } else { "" };
        format!("{}{state}{target}", in_words(self.seconds))
    }
}

impl ResponseTimes {
    pub(super) fn of(alerts: &[&TimedAlert]) -> Self {
        let summary =
            |clock: fn(&TimedAlert) -> ResponseClock| TimeSummary::of(alerts.iter().map(|alert| clock(alert)));
        Self {
            alerts: alerts.len(),
            contradicted: alerts.iter().filter(|alert| alert.life.contradiction.is_some()).count(),
            reaction: summary(|alert| alert.reaction),
            resolution: summary(|alert| alert.resolution),
        }
    }

    /// The titles of [`Self::cells`].
    pub const COLUMNS: [&'static str; 8] =
        ["Alerts", "Reaction", "90 %", "Within target", "Resolution", "90 %", "Within target", "Not done"];

    /// The numbers in words: alerts, then median, 90 % and share within target of both times, then those without an end.
    #[must_use]
    pub fn cells(&self) -> [String; 8] {
        let Self { alerts, reaction, resolution, .. } = self;
        let [a, b, c] = reaction.cells();
        let [d, e, f] = resolution.cells();
        [crate::words::count(*alerts), a, b, c, d, e, f, resolution.without_answer()]
    }
}

impl TimeSummary {
    fn of(clocks: impl Iterator<Item = ResponseClock> + Clone) -> Self {
        let count = |is_one: fn(&ResponseClock) -> bool| clocks.clone().filter(is_one).count();
        let answered = clocks.clone().filter(|clock| clock.state == ClockState::Answered);
        let mut seconds: Vec<i64> = answered.map(|clock| clock.seconds).collect();
        seconds.sort_unstable();
        let rank = |percent: usize| seconds.get((seconds.len() * percent).div_ceil(100).checked_sub(1)?).copied();
        Self {
            answered: seconds.len(),
            open: count(|clock| clock.state == ClockState::Open),
            unanswered: count(|clock| clock.state == ClockState::Unanswered),
            median_seconds: rank(50),
            p90_seconds: rank(90),
            judged: count(|clock| clock.within.is_some()),
            within: count(|clock| clock.within == Some(true)),
        }
    }

    /// Median, 90 % and share within target in words.
    #[must_use]
    pub fn cells(&self) -> [String; 3] {
        let none = || "–".to_owned();
        let time = |seconds: Option<i64>| seconds.map_or_else(none, in_words);
        // Rounded down: all but one of 1,000 alerts are not 100 %.
        let share = (100 * self.within).checked_div(self.judged);
        let share = share.map_or_else(none, |share| format!("{share} % of {}", crate::words::count(self.judged)));
        [time(self.median_seconds), time(self.p90_seconds), share]
    }

    /// "2 open, 1 unanswered"; empty if all are answered.
    #[must_use]
    pub fn without_answer(&self) -> String {
        let counts = [(self.open, "open"), (self.unanswered, "unanswered")];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        counts.map(|(count, what)| format!("{} {what}", crate::words::count(*count))).collect::<Vec<_>>().join(", ")
    }
}

/// Seconds in words: "19 min".
fn in_words(seconds: i64) -> String {
    notify::duration(SignedDuration::from_secs(seconds))
}

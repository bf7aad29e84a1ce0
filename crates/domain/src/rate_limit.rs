//! The rate limit: how many messages go out, counted over all copies of the program.
//!
//! GCRA, the generic cell rate algorithm: a limiter keeps one number, the theoretical arrival time (TAT). Each token moves
//! it forward by one interval, the time between two messages at the long-run rate. The bucket is full if the TAT has
//! passed, and empty if it is a whole burst ahead of now.

use std::ops::AddAssign;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::severity::Severity;

/// Tokens that `low` and `medium` leave to `high` and `critical`.
const LEFT_TO_URGENT: usize = 3;
/// Tokens that a push leaves to the sweep while messages wait for it: enough for digests of a thousand alerts.
const LEFT_TO_SWEEP: usize = 2;
/// A TAT further ahead than a burst and this is from a clock that was wrong, or from a higher limit, in microseconds. The
/// bucket counts as full: a wrong clock must not stop all messages until it comes true.
const AHEAD: i64 = 5 * MINUTE;
/// Messages count as waiting for this long after the last push that left some, in microseconds: if no sweep runs, pushes
/// go on sending.
const WAITING: i64 = 5 * MINUTE;
const MINUTE: i64 = 60_000_000;

/// How many messages may go out over one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Messages at once, after a quiet time; at least 1.
    pub burst: u32,
    /// Messages a minute in the long run; at least 1.
    pub per_minute: u32,
    /// Messages a day, in UTC, that go out by SMS as well.
    pub sms_per_day: u32,
}

/// What a person can read: ten messages, then ten a minute. SNS suspends an address above ten emails a second
/// ([Amazon SNS quotas](https://docs.aws.amazon.com/general/latest/gr/sns.html)).
impl Default for RateLimit {
    fn default() -> Self {
        Self { burst: 10, per_minute: 10, sms_per_day: 100 }
    }
}

/// Who asks for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A push, for the messages that it made.
    Push,
    /// The sweep, for all messages that wait.
    Sweep {
        /// Tokens that suffice for all of them: one for each digest.
        digests: usize,
    },
}

/// Messages that need a token each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those of severity `high` and `critical`, and notices.
    pub urgent: usize,
    /// Those of severity `low` and `medium`.
    pub other: usize,
}

impl Wanted {
    /// All of them.
    #[must_use]
    pub fn total(self) -> usize {
        self.urgent + self.other
    }
}

/// Counts a message of this severity.
impl AddAssign<Severity> for Wanted {
    fn add_assign(&mut self, severity: Severity) {
        match severity {
            Severity::High | Severity::Critical => self.urgent += 1,
            Severity::Low | Severity::Medium => self.other += 1,
        }
    }
}

/// Tokens that are asked for, and the limit that they count against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The limit in force.
    pub limit: RateLimit,
    /// The messages that need a token each.
    pub wanted: Wanted,
    /// Who asks.
    pub sender: Sender,
    /// When.
    pub now: Timestamp,
}

/// What a limiter keeps. Moments are in Unix microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The TAT; `None` before the first token.
    pub tat: Option<i64>,
    /// When messages were last left to the next sweep; `None` once a sweep had tokens for all of them.
    pub waiting: Option<i64>,
}

/// Tokens taken from a [`Bucket`], for a store that writes them by one conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// How many of the wanted tokens are granted, to the urgent messages first.
    pub granted: usize,
    /// The bucket afterwards.
    pub bucket: Bucket,
    /// What the stored TAT must be so that the same number is granted.
    pub expected: Expected,
    /// When messages that wait must have been left at the latest, or there must be none; `None` if it does not matter.
    pub waiting_until: Option<i64>,
}

/// A condition on the stored TAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The bucket is full: there is no TAT, or it is at most `now`, or it is above `implausible`.
    Full {
        /// The time of the take.
        now: i64,
        /// Highest TAT that a right clock can have written.
        implausible: i64,
    },
    /// The TAT is above `now` and at most `highest`.
    Between {
        /// The time of the take.
        now: i64,
        /// Highest TAT at which the same number is granted.
        highest: i64,
    },
}

impl TokenRequest {
    /// Takes the tokens from `bucket`.
    ///
    /// - `low` and `medium` leave the last three tokens to `high` and `critical`.
    /// - While messages wait for the sweep, a push gets no token for `low` and `medium`, and leaves the last two to the
    ///   sweep. Otherwise pushes would take each token as it comes, and what waits would wait as long as they do.
    /// - The sweep gets up to two for its digests even if only the last three are left: two digests name a thousand alerts.
    #[must_use]
    pub fn take(&self, bucket: Bucket) -> Take {
        let now = self.now.as_microsecond();
        let interval = self.limit.interval();
        let empty = now + interval * i64::from(self.limit.burst);
        let implausible = empty + AHEAD;
        let ahead = bucket.tat.filter(|tat| *tat > now && *tat <= implausible);
        let available = usize::try_from((empty - ahead.unwrap_or(now)) / interval).unwrap_or(0);
        let is_waiting = bucket.waiting.is_some_and(|waiting| waiting > now - WAITING);
        let granted = self.grant(available, is_waiting);
        let if_waiting = self.grant(available, true);
        let needed = (granted..available).find(|fewer| self.grant(*fewer, if_waiting == granted) == granted);
        let cost = |tokens: usize| interval * i64::try_from(tokens).unwrap_or(i64::MAX / interval);
        Take {
            granted,
            bucket: Bucket {
                tat: if granted == 0 { bucket.tat } else { Some(ahead.unwrap_or(now) + cost(granted)) },
                waiting: match self.sender {
                    Sender::Push if granted < self.wanted.total() && !is_waiting => Some(now),
                    Sender::Push => bucket.waiting,
                    Sender::Sweep { digests } => (granted < digests).then_some(now),
                },
            },
            expected: match ahead {
                None => Expected::Full { now, implausible },
                Some(_) => Expected::Between { now, highest: empty - cost(needed.unwrap_or(available)) },
            },
            waiting_until: (granted > if_waiting).then_some(now - WAITING),
        }
    }

    /// How many of the wanted tokens are granted if `available` are left.
    fn grant(&self, available: usize, is_waiting: bool) -> usize {
        let wanted = self.wanted;
        // Of a burst of one nothing can be left to others.
        let reserve = |tokens: usize| tokens.min((self.limit.burst as usize).saturating_sub(1));
        match self.sender {
            Sender::Push => {
                let left_to_sweep = if is_waiting { reserve(LEFT_TO_SWEEP) } else { 0 };
                let urgent = wanted.urgent.min(available.saturating_sub(left_to_sweep));
                let other = if is_waiting { 0 } else { (available - urgent).saturating_sub(reserve(LEFT_TO_URGENT)) };
                urgent + wanted.other.min(other)
            }
            Sender::Sweep { digests } => {
                let urgent = wanted.urgent.min(available);
                let left = available - urgent;
                let to_digests = left.min(digests).min(LEFT_TO_SWEEP);
                urgent + wanted.other.min(left.saturating_sub(reserve(LEFT_TO_URGENT)).max(to_digests))
            }
        }
    }
}

impl RateLimit {
    /// Time between two messages at the long-run rate, in microseconds. Rounded up: never more than the rate.
    fn interval(&self) -> i64 {
        let per_minute = i64::from(self.per_minute.max(1));
        (MINUTE + per_minute - 1) / per_minute
    }
}

/// The day by which SMS are counted.
#[must_use]
pub fn utc_day(at: Timestamp) -> civil::Date {
    at.to_zoned_datetime(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit { burst: 10, per_minute: 10, sms_per_day: 100 };

    fn at(second: f64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + (second * 1000.0) as i64).unwrap()
    }

    fn take_tokens(limit: RateLimit, bucket: Bucket, wanted: Wanted, sender: Sender, now: Timestamp) -> Take {
        TokenRequest { limit, wanted, sender, now }.take(bucket)
    }

    fn urgent(urgent: usize) -> Wanted {
        Wanted { urgent, other: 0 }
    }

    fn other(other: usize) -> Wanted {
        Wanted { urgent: 0, other }
    }

    /// One limiter after another take of it.
    #[derive(Default)]
    struct Limiter(Bucket);

    impl Limiter {
        fn take(&mut self, wanted: Wanted, sender: Sender, second: f64) -> usize {
            let take = take_tokens(LIMIT, self.0, wanted, sender, at(second));
            self.0 = take.bucket;
            take.granted
        }

        fn push(&mut self, wanted: Wanted, second: f64) -> usize {
            self.take(wanted, Sender::Push, second)
        }

        /// One digest would name all that waits.
        fn sweep(&mut self, wanted: Wanted, second: f64) -> usize {
            self.take(wanted, Sender::Sweep { digests: 1 }, second)
        }
    }

    #[test]
    fn a_burst_at_once_and_then_one_an_interval() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(urgent(10), 0.0), 10);
        assert_eq!(limiter.sweep(urgent(1), 5.999), 0);
        assert_eq!(limiter.sweep(urgent(1), 6.0), 1);
        assert_eq!(limiter.sweep(urgent(1), 6.0), 0);
        // Six tokens came back, not seven.
        assert_eq!(limiter.sweep(urgent(10), 47.999), 6);
        // Never more than a burst, however long it was quiet.
        assert_eq!(limiter.sweep(urgent(100), 100_000.0), 10);
    }

    #[test]
    fn an_hour_of_asking_for_more_gets_the_rate_and_one_burst() {
        let mut limiter = Limiter::default();
        let sent: usize = (0..36_000).map(|tick| limiter.sweep(urgent(3), f64::from(tick) / 10.0)).sum();
        assert_eq!(sent, 10 + 599);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_back() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(urgent(10), 0.0), 10);
        assert_eq!(limiter.push(urgent(1), -60.0), 0);
        assert_eq!(limiter.sweep(urgent(1), -60.0), 0);
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_stop_messages_until_it_comes_true() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(urgent(10), 86_400.0), 10);
        assert_eq!(limiter.push(urgent(10), 0.0), 10);
        assert_eq!(limiter.push(urgent(10), 1.0), 0);
    }

    #[test]
    fn low_and_medium_leave_the_last_three_to_high_and_critical() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(other(100), 0.0), 7);
        assert_eq!(limiter.push(other(1), 0.0), 0);
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(other(7), 0.0), 7);
        assert_eq!(limiter.push(urgent(4), 0.0), 3);
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(Wanted { urgent: 2, other: 100 }, 0.0), 2 + 5);
        let one = RateLimit { burst: 1, ..LIMIT };
        assert_eq!(
            take_tokens(one, Bucket::default(), other(2), Sender::Push, at(0.0)).granted,
            1,
            "or nothing would ever go"
        );
    }

    #[test]
    fn what_waits_for_the_sweep_goes_before_what_comes_later() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(other(8), 0.0), 7);
        // Tokens come back, and are kept for the sweep; what is urgent goes at once all the same.
        for second in [6.0, 30.0, 59.0] {
            assert_eq!(limiter.push(other(1), second), 0, "{second}");
        }
        assert_eq!(limiter.push(urgent(1), 59.0), 1);
        assert_eq!(limiter.sweep(other(100), 60.0), 6);
        // Nothing waits any more.
        assert_eq!(limiter.push(other(1), 66.0), 1);
    }

    #[test]
    fn the_sweep_always_has_a_token_however_many_urgent_ones_come() {
        let mut limiter = Limiter::default();
        for minute in 0..10 {
            for second in 0..60 {
                let _ = limiter.push(urgent(1), f64::from(60 * minute + second));
            }
            assert!(limiter.sweep(urgent(50), f64::from(60 * minute + 59)) > 0, "{minute}");
        }
    }

    #[test]
    fn one_digest_of_low_and_medium_goes_out_of_the_last_three() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(urgent(8), 0.0), 8);
        assert_eq!(limiter.push(other(1), 0.0), 0);
        assert_eq!(limiter.sweep(other(50), 0.0), 1);
    }

    #[test]
    fn what_one_sweep_cannot_name_has_all_tokens_until_it_is_named() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(urgent(8), 0.0), 8);
        assert_eq!(limiter.push(other(1), 0.0), 0);
        let sweep = Sender::Sweep { digests: 4 };
        assert_eq!(limiter.take(other(2000), sweep, 0.0), 2, "two digests out of the last three");
        // Two of four digests are left: no push takes the tokens that come back.
        assert_eq!(limiter.push(other(1), 30.0), 0);
        assert_eq!(limiter.take(other(2000), sweep, 60.0), 7, "and three are left to urgent ones");
        assert_eq!(limiter.push(other(1), 72.0), 1);
    }

    #[test]
    fn sweep_that_gets_no_token_leaves_all_to_the_next_one() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(urgent(10), 0.0), 10);
        assert_eq!(limiter.sweep(other(2), 1.0), 0);
        assert_eq!(limiter.push(other(1), 40.0), 0);
        assert!(limiter.sweep(other(3), 60.0) > 0);
        assert_eq!(limiter.push(other(1), 100.0), 1);
    }

    #[test]
    fn pushes_go_on_where_no_sweep_runs() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(other(8), 0.0), 7);
        assert_eq!(limiter.push(other(1), 299.0), 0);
        assert_eq!(limiter.push(other(1), 301.0), 1);
    }

    #[test]
    fn conditions_hold_for_as_many_buckets_as_grant_the_same() {
        let now = at(0.0).as_microsecond();
        let (interval, empty) = (6_000_000, now + 60_000_000);
        let wanted = [urgent(1), urgent(4), other(1), other(4), Wanted { urgent: 2, other: 3 }];
        let waiting = [None, Some(now - WAITING), Some(now - WAITING + 1), Some(now)];
        let tats = (0..=100)
            .map(|tenth| now - interval / 10 + tenth * interval / 10)
            .chain([empty + AHEAD, empty + AHEAD + 1]);
        let buckets: Vec<Bucket> = tats
            .flat_map(|tat| waiting.map(|waiting| Bucket { tat: Some(tat), waiting }))
            .chain([Bucket::default()])
            .collect();
        for sender in [Sender::Push, Sender::Sweep { digests: 1 }, Sender::Sweep { digests: 3 }] {
            for (wanted, from) in wanted.iter().flat_map(|wanted| buckets.iter().map(move |bucket| (*wanted, *bucket)))
            {
                let take = take_tokens(LIMIT, from, wanted, sender, at(0.0));
                for bucket in &buckets {
                    let fits = match take.expected {
                        Expected::Full { now, implausible } => {
                            bucket.tat.is_none_or(|tat| tat <= now || tat > implausible)
                        }
                        Expected::Between { now, highest } => bucket.tat.is_some_and(|tat| tat > now && tat <= highest),
                    } && take
                        .waiting_until
                        .is_none_or(|until| bucket.waiting.is_none_or(|waiting| waiting <= until));
                    let other = take_tokens(LIMIT, *bucket, wanted, sender, at(0.0)).granted;
                    assert!(!fits || other >= take.granted, "{sender:?} {wanted:?} {from:?} {bucket:?}");
                    assert!(fits || *bucket != from || take.granted == 0, "its own: {sender:?} {wanted:?} {from:?}");
                }
            }
        }
    }

    #[test]
    fn sms_are_counted_by_the_utc_day() {
        let day = |text: &str| utc_day(text.parse().unwrap()).to_string();
        assert_eq!(
            (day("2026-11-28T23:59:59Z"), day("2026-11-29T00:00:00Z")),
            ("2026-11-28".into(), "2026-11-29".into())
        );
    }
}

//! The rate limit of messages, shared by all copies of the program.
//!
//! The algorithm is GCRA, the generic cell rate algorithm. A limiter keeps one number, the theoretical arrival time (TAT). Each
//! token moves it forward by one interval, the time between two messages at the long-run rate. The bucket is full if the TAT
//! has passed, and empty if the TAT is a whole burst ahead of now.

use std::ops::AddAssign;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::severity::Severity;

/// Tokens that messages of severity `low` and `medium` leave to `high` and `critical`.
const LEFT_TO_URGENT: usize = 3;
/// Tokens that a push leaves to the sweep while messages wait for it. Two digests hold a thousand alerts.
const LEFT_TO_SWEEP: usize = 2;
/// A TAT that is more than a burst and this ahead of now is implausible, in microseconds: a clock was wrong, or the limit was
/// higher. The bucket then counts as full, because a wrong clock must not stop all messages.
const PLAUSIBLE_LEAD: i64 = 5 * MINUTE;
/// Messages count as waiting for this long after the last push that left some, in microseconds. If no sweep runs, pushes then
/// send again.
const WAITING: i64 = 5 * MINUTE;
const MINUTE: i64 = 60_000_000;

/// The number of messages that one channel sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Messages at once, at least 1.
    pub burst: u32,
    /// Messages a minute in the long run, at least 1.
    pub per_minute: u32,
    /// Messages a day, in UTC, that are also sent by SMS.
    pub sms_per_day: u32,
}

/// As much as a person can read: ten messages, then ten a minute. SNS suspends an address above ten emails a second
/// ([Amazon SNS quotas](https://docs.aws.amazon.com/general/latest/gr/sns.html)).
impl Default for RateLimit {
    fn default() -> Self {
        Self { burst: 10, per_minute: 10, sms_per_day: 100 }
    }
}

/// The requester of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// A push, for its own messages.
    Push,
    /// The sweep, for all messages that wait.
    Sweep {
        /// Tokens that are enough for all of them: one for each digest.
        digests: usize,
    },
}

/// The number of messages that need a token each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenDemand {
    /// Messages of severity `high` and `critical`, and notices.
    pub urgent: usize,
    /// Messages of severity `low` and `medium`.
    pub other: usize,
}

/// Adds a message of this severity.
impl AddAssign<Severity> for TokenDemand {
    fn add_assign(&mut self, severity: Severity) {
        match severity {
            Severity::High | Severity::Critical => self.urgent += 1,
            Severity::Low | Severity::Medium => self.other += 1,
        }
    }
}

/// A request for tokens of a limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The limit in force.
    pub limit: RateLimit,
    /// The messages to send.
    pub demand: TokenDemand,
    /// The requester.
    pub requester: Requester,
    /// The current time.
    pub now: Timestamp,
}

/// The state of a limiter. Times are in Unix microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The TAT; `None` before the first token.
    pub tat: Option<i64>,
    /// When a push last left messages to the sweep; `None` after a sweep that had tokens for all of them.
    pub waiting: Option<i64>,
}

/// Tokens granted from a [`Bucket`], for a store that commits them with one conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenGrant {
    /// The number of tokens, for urgent messages first.
    pub granted: usize,
    /// The new bucket.
    pub bucket: Bucket,
    /// The condition on the stored TAT under which the same number is granted.
    pub condition: TatCondition,
    /// The condition on the stored `waiting`: absent, or at most this. `None` without a condition.
    pub waiting_until: Option<i64>,
}

/// A condition on the stored TAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TatCondition {
    /// The bucket is full: the TAT is absent, at most `now`, or above `implausible`.
    Full {
        /// The time of the request.
        now: i64,
        /// The highest plausible TAT.
        implausible: i64,
    },
    /// The TAT is above `now` and at most `highest`.
    Between {
        /// The time of the request.
        now: i64,
        /// The highest TAT at which the same number is granted.
        highest: i64,
    },
}

impl TokenRequest {
    /// Grants tokens from `bucket`.
    ///
    /// - `low` and `medium` leave the last three tokens to `high` and `critical`.
    /// - While messages wait for the sweep, a push gets no token for `low` and `medium`, and leaves the last two to the sweep.
    ///   Otherwise pushes could take every token, and the messages would wait for as long.
    /// - The sweep gets up to two tokens for its digests even if only the last three are left.
    ///
    /// # Examples
    /// ```
    /// use domain::rate_limit::{Bucket, RateLimit, Requester, TokenDemand, TokenRequest};
    ///
    /// let request = TokenRequest {
    ///     limit: RateLimit { burst: 10, per_minute: 10, sms_per_day: 100 },
    ///     demand: TokenDemand { urgent: 0, other: 20 },
    ///     requester: Requester::Push,
    ///     now: "2026-11-23T10:00:00Z".parse()?,
    /// };
    /// let grant = request.grant(Bucket::default());
    /// assert_eq!(grant.granted, 7);
    /// assert_eq!(request.grant(grant.bucket).granted, 0);
    /// # Ok::<(), jiff::Error>(())
    /// ```
    #[must_use]
    pub fn grant(&self, bucket: Bucket) -> TokenGrant {
        let now = self.now.as_microsecond();
        let interval = self.limit.interval();
        let empty = now + interval * i64::from(self.limit.burst);
        let implausible = empty + PLAUSIBLE_LEAD;
        let ahead = bucket.tat.filter(|tat| *tat > now && *tat <= implausible);
        let available = usize::try_from((empty - ahead.unwrap_or(now)) / interval).unwrap_or(0);
        let is_waiting = bucket.waiting.is_some_and(|waiting| waiting > now - WAITING);
        let granted = self.granted(available, is_waiting);
        let if_waiting = self.granted(available, true);
        let needed = (granted..available).find(|fewer| self.granted(*fewer, if_waiting == granted) == granted);
        let cost = |tokens: usize| interval * i64::try_from(tokens).unwrap_or(i64::MAX / interval);
        TokenGrant {
            granted,
            bucket: Bucket {
                tat: if granted == 0 { bucket.tat } else { Some(ahead.unwrap_or(now) + cost(granted)) },
                waiting: match self.requester {
                    Requester::Push if granted < self.demand.urgent + self.demand.other && !is_waiting => Some(now),
                    Requester::Push => bucket.waiting,
                    Requester::Sweep { digests } => (granted < digests).then_some(now),
                },
            },
            condition: match ahead {
                None => TatCondition::Full { now, implausible },
                Some(_) => TatCondition::Between { now, highest: empty - cost(needed.unwrap_or(available)) },
            },
            waiting_until: (granted > if_waiting).then_some(now - WAITING),
        }
    }

    /// The number of tokens granted if `available` are left.
    fn granted(&self, available: usize, is_waiting: bool) -> usize {
        let TokenDemand { urgent, other } = self.demand;
        // A burst of one has no token to reserve.
        let reserve = |tokens: usize| tokens.min((self.limit.burst as usize).saturating_sub(1));
        match self.requester {
            Requester::Push if is_waiting => urgent.min(available.saturating_sub(reserve(LEFT_TO_SWEEP))),
            Requester::Push => {
                let urgent = urgent.min(available);
                urgent + other.min((available - urgent).saturating_sub(reserve(LEFT_TO_URGENT)))
            }
            Requester::Sweep { digests } => {
                let urgent = urgent.min(available);
                let left = available - urgent;
                let to_digests = left.min(digests).min(LEFT_TO_SWEEP);
                urgent + other.min(left.saturating_sub(reserve(LEFT_TO_URGENT)).max(to_digests))
            }
        }
    }
}

impl RateLimit {
    /// The time between two messages at the long-run rate, in microseconds. Rounded up, so that the rate is never exceeded.
    fn interval(&self) -> i64 {
        let per_minute = i64::from(self.per_minute.max(1));
        (MINUTE + per_minute - 1) / per_minute
    }
}

/// The day of the SMS quota.
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

    fn grant(
        limit: RateLimit,
        bucket: Bucket,
        demand: TokenDemand,
        requester: Requester,
        now: Timestamp,
    ) -> TokenGrant {
        TokenRequest { limit, demand, requester, now }.grant(bucket)
    }

    fn urgent(urgent: usize) -> TokenDemand {
        TokenDemand { urgent, other: 0 }
    }

    fn other(other: usize) -> TokenDemand {
        TokenDemand { urgent: 0, other }
    }

    /// A limiter that applies each grant.
    #[derive(Default)]
    struct Limiter(Bucket);

    impl Limiter {
        fn take(&mut self, demand: TokenDemand, requester: Requester, second: f64) -> usize {
            let grant = grant(LIMIT, self.0, demand, requester, at(second));
            self.0 = grant.bucket;
            grant.granted
        }

        fn push(&mut self, demand: TokenDemand, second: f64) -> usize {
            self.take(demand, Requester::Push, second)
        }

        /// One digest is enough for all messages that wait.
        fn sweep(&mut self, demand: TokenDemand, second: f64) -> usize {
            self.take(demand, Requester::Sweep { digests: 1 }, second)
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
    fn a_clock_that_was_wrong_does_not_stop_messages() {
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
        assert_eq!(limiter.push(TokenDemand { urgent: 2, other: 100 }, 0.0), 2 + 5);
        let one = RateLimit { burst: 1, ..LIMIT };
        assert_eq!(
            grant(one, Bucket::default(), other(2), Requester::Push, at(0.0)).granted,
            1,
            "or no message would ever be sent"
        );
    }

    #[test]
    fn waiting_messages_are_sent_before_later_ones() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(other(8), 0.0), 7);
        // Tokens come back and are left to the sweep. Urgent messages are sent at once.
        for second in [6.0, 30.0, 59.0] {
            assert_eq!(limiter.push(other(1), second), 0, "{second}");
        }
        assert_eq!(limiter.push(urgent(1), 59.0), 1);
        assert_eq!(limiter.sweep(other(100), 60.0), 6);
        // No message waits.
        assert_eq!(limiter.push(other(1), 66.0), 1);
    }

    #[test]
    fn the_sweep_always_gets_a_token_however_many_urgent_messages_come() {
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
    fn messages_that_one_sweep_cannot_send_have_all_tokens_until_they_are_sent() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(urgent(8), 0.0), 8);
        assert_eq!(limiter.push(other(1), 0.0), 0);
        let sweep = Requester::Sweep { digests: 4 };
        assert_eq!(limiter.take(other(2000), sweep, 0.0), 2, "two digests out of the last three");
        // Two of four digests are left: no push takes the tokens that come back.
        assert_eq!(limiter.push(other(1), 30.0), 0);
        assert_eq!(limiter.take(other(2000), sweep, 60.0), 7, "and three are left to urgent ones");
        assert_eq!(limiter.push(other(1), 72.0), 1);
    }

    #[test]
    fn a_sweep_without_a_token_leaves_all_messages_to_the_next_one() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(urgent(10), 0.0), 10);
        assert_eq!(limiter.sweep(other(2), 1.0), 0);
        assert_eq!(limiter.push(other(1), 40.0), 0);
        assert!(limiter.sweep(other(3), 60.0) > 0);
        assert_eq!(limiter.push(other(1), 100.0), 1);
    }

    #[test]
    fn pushes_send_again_if_no_sweep_runs() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(other(8), 0.0), 7);
        assert_eq!(limiter.push(other(1), 299.0), 0);
        assert_eq!(limiter.push(other(1), 301.0), 1);
    }

    #[test]
    fn every_bucket_that_fulfils_the_condition_grants_the_same_number() {
        let now = at(0.0).as_microsecond();
        let (interval, empty) = (6_000_000, now + 60_000_000);
        let demand = [urgent(1), urgent(4), other(1), other(4), TokenDemand { urgent: 2, other: 3 }];
        let waiting = [None, Some(now - WAITING), Some(now - WAITING + 1), Some(now)];
        let tats = (0..=100)
            .map(|tenth| now - interval / 10 + tenth * interval / 10)
            .chain([empty + PLAUSIBLE_LEAD, empty + PLAUSIBLE_LEAD + 1]);
        let buckets: Vec<Bucket> = tats
            .flat_map(|tat| waiting.map(|waiting| Bucket { tat: Some(tat), waiting }))
            .chain([Bucket::default()])
            .collect();
        for requester in [Requester::Push, Requester::Sweep { digests: 1 }, Requester::Sweep { digests: 3 }] {
            for (demand, from) in demand.iter().flat_map(|demand| buckets.iter().map(move |bucket| (*demand, *bucket)))
            {
                let grant_from = grant(LIMIT, from, demand, requester, at(0.0));
                for bucket in &buckets {
                    let fits = match grant_from.condition {
                        TatCondition::Full { now, implausible } => {
                            bucket.tat.is_none_or(|tat| tat <= now || tat > implausible)
                        }
                        TatCondition::Between { now, highest } => {
                            bucket.tat.is_some_and(|tat| tat > now && tat <= highest)
                        }
                    } && grant_from
                        .waiting_until
                        .is_none_or(|until| bucket.waiting.is_none_or(|waiting| waiting <= until));
                    let other = grant(LIMIT, *bucket, demand, requester, at(0.0)).granted;
                    assert!(!fits || other >= grant_from.granted, "{requester:?} {demand:?} {from:?} {bucket:?}");
                    assert!(
                        fits || *bucket != from || grant_from.granted == 0,
                        "its own: {requester:?} {demand:?} {from:?}"
                    );
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

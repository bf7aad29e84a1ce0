//! The rate limit of messages, shared by all copies of the program.
//!
//! The algorithm is GCRA, the generic cell rate algorithm. It needs one number, the theoretical arrival time (TAT). Each
//! token moves it forward by one interval, the time between two messages at the long-run rate. The bucket is full if the TAT
//! has passed, and empty if the TAT is a whole burst ahead of now.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::severity::Severity;
use super::state::StateVersion;

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

/// A message that needs tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenDemand {
    /// The severity of the message. `high` and `critical` are urgent.
    pub severity: Severity,
    /// The number of tokens, at most a burst.
    pub tokens: usize,
}

/// A request for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The limit in force.
    pub limit: RateLimit,
    /// The messages to send, the most severe first.
    pub demand: Vec<TokenDemand>,
    /// The requester.
    pub requester: Requester,
    /// The current time.
    pub now: Timestamp,
}

/// The state document of the rate limit and of the SMS quota.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimitState {
    v: StateVersion,
    /// The TAT in Unix microseconds; `None` before the first token.
    tat: Option<i64>,
    /// When a push last left messages to the sweep, in Unix microseconds; `None` after a sweep that had tokens for all of them.
    waiting: Option<i64>,
    sms: Option<SmsCount>,
}

/// Messages that went out by SMS on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SmsCount {
    /// The day in UTC.
    day: Date,
    sent: usize,
}

impl RateLimitState {
    /// Takes tokens for as many of the first messages as possible, and returns how many are granted.
    ///
    /// - `low` and `medium` leave the last three tokens to `high` and `critical`.
    /// - While messages wait for the sweep, a push gets no token for `low` and `medium`, and leaves the last two to the sweep.
    ///   Otherwise pushes could take every token, and the messages would wait for as long.
    /// - The sweep gets up to two tokens for its digests even if only the last three are left.
    /// - A message of several tokens can take reserved ones too, because a burst may not leave as many others.
    ///
    /// # Examples
    /// ```
    /// use domain::rate_limit::{RateLimit, RateLimitState, Requester, TokenDemand, TokenRequest};
    /// use domain::severity::Severity;
    ///
    /// let request = TokenRequest {
    ///     limit: RateLimit { burst: 10, per_minute: 10, sms_per_day: 100 },
    ///     demand: vec![TokenDemand { severity: Severity::Medium, tokens: 1 }; 20],
    ///     requester: Requester::Push,
    ///     now: "2026-11-23T10:00:00Z".parse()?,
    /// };
    /// let mut state = RateLimitState::default();
    /// assert_eq!(state.take_tokens(&request), 7);
    /// assert_eq!(state.take_tokens(&request), 0);
    /// # Ok::<(), jiff::Error>(())
    /// ```
    pub fn take_tokens(&mut self, request: &TokenRequest) -> usize {
        let now = request.now.as_microsecond();
        let interval = request.limit.interval();
        let empty = now + interval * i64::from(request.limit.burst);
        let tat = self.tat.filter(|tat| (now..=empty + PLAUSIBLE_LEAD).contains(tat)).unwrap_or(now);
        let available = usize::try_from((empty - tat) / interval).unwrap_or(0);
        let is_waiting = self.waiting.is_some_and(|waiting| waiting > now - WAITING);
        let granted = request.granted(available, is_waiting);
        if granted > 0 {
            self.tat = Some(tat + interval * i64::try_from(granted).unwrap_or(i64::MAX / interval));
        }
        let wanted: usize = request.demand.iter().map(|message| message.tokens).sum();
        match request.requester {
            Requester::Push if is_waiting || granted == wanted => {}
            Requester::Sweep { digests } if granted >= digests => self.waiting = None,
            Requester::Push | Requester::Sweep { .. } => self.waiting = Some(now),
        }
        granted
    }

    /// Counts `wanted` messages about to go out by SMS against `quota`, the maximum per UTC day. Returns how many may go out.
    pub fn take_sms(&mut self, quota: u32, wanted: usize, now: Timestamp) -> usize {
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        // The clock of another copy may be ahead at midnight. A later day is implausible: a clock was wrong.
        let known = self.sms.filter(|sms| (today..=today.saturating_add(1.day())).contains(&sms.day));
        let SmsCount { day, sent } = known.unwrap_or(SmsCount { day: today, sent: 0 });
        let granted = wanted.min((quota as usize).saturating_sub(sent));
        if granted > 0 {
            self.sms = Some(SmsCount { day, sent: sent + granted });
        }
        granted
    }
}

impl TokenRequest {
    /// The number of tokens granted if `available` are left.
    fn granted(&self, available: usize, is_waiting: bool) -> usize {
        // A burst of one has no token to reserve.
        let reserve = |tokens: usize| tokens.min((self.limit.burst as usize).saturating_sub(1));
        let to_digests = match self.requester {
            Requester::Push => 0,
            Requester::Sweep { digests } => digests.min(LEFT_TO_SWEEP),
        };
        let (mut left, mut to_others) = (available, 0);
        for TokenDemand { severity, tokens } in &self.demand {
            let is_urgent = *severity >= Severity::High;
            let reserved = match self.requester {
                Requester::Push if is_waiting && !is_urgent => break,
                Requester::Push if is_waiting => reserve(LEFT_TO_SWEEP),
                _ if is_urgent || to_others < to_digests => 0,
                _ => reserve(LEFT_TO_URGENT),
            };
            if left <= reserved || left < *tokens {
                break;
            }
            left -= tokens;
            to_others += if is_urgent { 0 } else { *tokens };
        }
        available - left
    }
}

impl RateLimit {
    /// The time between two messages at the long-run rate, in microseconds. Rounded up, so that the rate is never exceeded.
    fn interval(&self) -> i64 {
        let per_minute = i64::from(self.per_minute.max(1));
        (MINUTE + per_minute - 1) / per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit { burst: 10, per_minute: 10, sms_per_day: 100 };

    fn at(second: f64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + (second * 1000.0) as i64).unwrap()
    }

    fn urgent(messages: usize) -> Vec<TokenDemand> {
        vec![TokenDemand { severity: Severity::High, tokens: 1 }; messages]
    }

    fn other(messages: usize) -> Vec<TokenDemand> {
        vec![TokenDemand { severity: Severity::Medium, tokens: 1 }; messages]
    }

    /// Messages of two tokens each.
    fn twice(messages: Vec<TokenDemand>) -> Vec<TokenDemand> {
        messages.into_iter().map(|message| TokenDemand { tokens: 2, ..message }).collect()
    }

    #[derive(Default)]
    struct Limiter(RateLimitState);

    impl Limiter {
        fn take(&mut self, demand: Vec<TokenDemand>, requester: Requester, second: f64) -> usize {
            self.0.take_tokens(&TokenRequest { limit: LIMIT, demand, requester, now: at(second) })
        }

        fn push(&mut self, demand: Vec<TokenDemand>, second: f64) -> usize {
            self.take(demand, Requester::Push, second)
        }

        /// One digest is enough for all messages that wait.
        fn sweep(&mut self, demand: Vec<TokenDemand>, second: f64) -> usize {
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
        assert_eq!(limiter.push([urgent(2), other(100)].concat(), 0.0), 2 + 5);
        let limit = RateLimit { burst: 1, ..LIMIT };
        let one = TokenRequest { limit, demand: other(2), requester: Requester::Push, now: at(0.0) };
        assert_eq!(RateLimitState::default().take_tokens(&one), 1, "or no message would ever be sent");
    }

    #[test]
    fn a_message_has_all_its_tokens_or_none_and_later_ones_do_not_overtake_it() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push([twice(urgent(4)), urgent(1), twice(urgent(1)), urgent(1)].concat(), 0.0), 9);
        assert_eq!(limiter.sweep([twice(urgent(1)), urgent(1)].concat(), 0.0), 0);
        assert_eq!(limiter.sweep([twice(urgent(1)), urgent(1)].concat(), 6.0), 2);
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(twice(other(9)), 0.0), 8, "the fourth takes one of the last three");
        assert_eq!(limiter.sweep(urgent(9), 0.0), 2);
    }

    #[test]
    fn a_message_of_as_many_tokens_as_a_burst_is_sent_once_the_bucket_is_full() {
        let limit = RateLimit { burst: 2, ..LIMIT };
        for message in [urgent(1), other(1)] {
            for requester in [Requester::Push, Requester::Sweep { digests: 2 }] {
                let request = TokenRequest { limit, demand: twice(message.clone()), requester, now: at(0.0) };
                let mut state = RateLimitState::default();
                assert_eq!(state.take_tokens(&request), 2);
                assert_eq!(state.take_tokens(&TokenRequest { now: at(6.0), ..request.clone() }), 0);
                let sweep = TokenRequest { requester: Requester::Sweep { digests: 2 }, now: at(12.0), ..request };
                assert_eq!(state.take_tokens(&sweep), 2);
            }
        }
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

    /// Takes SMS at these times, five of a quota of ten each.
    fn sms(times: &[&str]) -> Vec<usize> {
        let mut state = RateLimitState::default();
        times.iter().map(|time| state.take_sms(10, 5, time.parse().unwrap())).collect()
    }

    #[test]
    fn sms_are_counted_by_the_utc_day() {
        let day = ["2026-11-28T00:00:00Z", "2026-11-28T12:00:00Z", "2026-11-28T23:59:59Z"];
        assert_eq!(sms(&[&day[..], &["2026-11-29T00:00:00Z"]].concat()), [5, 5, 0, 5]);
    }

    #[test]
    fn a_clock_behind_midnight_does_not_start_the_quota_anew() {
        let [before, after] = ["2026-11-28T23:59:59Z", "2026-11-29T00:00:00Z"];
        assert_eq!(sms(&[before, before, before, after, before, after, before]), [5, 5, 0, 5, 5, 0, 0]);
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_stop_sms() {
        let [wrong, right] = ["2027-01-01T00:00:00Z", "2026-11-28T12:00:00Z"];
        assert_eq!(sms(&[wrong, wrong, wrong, right, right, right]), [5, 5, 0, 5, 5, 0]);
    }

    #[test]
    fn the_document_is_small_and_read_again() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.push(other(100), 0.0), 7);
        assert_eq!(limiter.0.take_sms(10, 5, at(0.0)), 5);
        let text = serde_json::to_string(&limiter.0).unwrap();
        assert_eq!(
            text,
            r#"{"v":7,"tat":1800000042000000,"waiting":1800000000000000,"sms":{"day":"2027-01-15","sent":5}}"#
        );
        assert_eq!(serde_json::from_str::<RateLimitState>(&text).unwrap(), limiter.0);
    }
}

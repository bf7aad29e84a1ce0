//! How many messages may be sent: SNS suspends an address that gets more than ten emails a second, and every SMS costs.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::domain::state::Format;

/// The limits on messages to one topic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caps {
    /// Messages a second, in the long run.
    pub per_second: f64,
    /// Messages at once, after a quiet time.
    pub burst: f64,
    /// Messages a day, in UTC, that go out by SMS as well.
    pub sms_per_day: u32,
}

/// Half of the ten emails a second at which SNS suspends a subscription
/// ([Amazon SNS quotas](https://docs.aws.amazon.com/general/latest/gr/sns.html)), and a hundred SMS a day.
impl Default for Caps {
    fn default() -> Self {
        Self { per_second: 5.0, burst: 10.0, sms_per_day: 100 }
    }
}

/// What has been used of the [`Caps`], for one topic: a token bucket, and a count of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    v: Format,
    /// Messages taken out of the bucket that have not flowed back yet; may exceed the burst by digests.
    used: f64,
    /// When that was reckoned.
    at: Option<Timestamp>,
    /// Days since 1970 of the count of SMS.
    day: i32,
    /// SMS on that day.
    sms: u32,
}

impl Allowance {
    /// How many messages may be sent at `now`.
    #[must_use]
    pub fn left(&self, caps: &Caps, now: Timestamp) -> usize {
        let left = caps.burst - self.flowed_back(caps, now);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and no more than a burst"
        )]
        let left = left.max(0.0).floor() as usize;
        left
    }

    /// Notes that `messages` are sent at `now`. How many of them may go out by SMS as well.
    #[must_use]
    pub fn take(&mut self, messages: usize, caps: &Caps, now: Timestamp) -> usize {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 messages")]
        let taken = messages as f64;
        self.used = self.flowed_back(caps, now) + taken;
        self.at = Some(now);
        let date = now.to_zoned_datetime(TimeZone::UTC).date();
        let day = date.since(jiff::civil::date(1970, 1, 1)).map_or(0, |span| span.get_days());
        if day != self.day {
            (self.day, self.sms) = (day, 0);
        }
        let sms = u32::try_from(messages).unwrap_or(u32::MAX).min(caps.sms_per_day.saturating_sub(self.sms));
        self.sms += sms;
        sms as usize
    }

    /// What of the bucket is still in use at `now`. A clock that goes back gives nothing back.
    fn flowed_back(&self, caps: &Caps, now: Timestamp) -> f64 {
        let seconds = self.at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
        (self.used - seconds * caps.per_second).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: f64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + (second * 1000.0) as i64).unwrap()
    }

    #[test]
    fn ten_at_once_and_then_five_a_second() {
        let (caps, mut allowance) = (Caps::default(), Allowance::default());
        assert_eq!(allowance.left(&caps, at(0.0)), 10);
        let _ = allowance.take(10, &caps, at(0.0));
        assert_eq!(allowance.left(&caps, at(0.0)), 0);
        assert_eq!(allowance.left(&caps, at(0.19)), 0);
        assert_eq!(allowance.left(&caps, at(0.2)), 1);
        assert_eq!(allowance.left(&caps, at(60.0)), 10);
        assert_eq!(allowance.left(&caps, at(-60.0)), 0);
    }

    #[test]
    fn a_digest_above_the_cap_is_paid_back_later() {
        let (caps, mut allowance) = (Caps::default(), Allowance::default());
        let _ = allowance.take(15, &caps, at(0.0));
        assert_eq!((allowance.left(&caps, at(1.0)), allowance.left(&caps, at(1.2))), (0, 1));
    }

    #[test]
    fn sms_are_counted_by_the_day() {
        let (caps, mut allowance) = (Caps { sms_per_day: 3, ..Caps::default() }, Allowance::default());
        assert_eq!(allowance.take(2, &caps, at(0.0)), 2);
        assert_eq!(allowance.take(2, &caps, at(1.0)), 1);
        assert_eq!(allowance.take(2, &caps, at(2.0)), 0);
        assert_eq!(allowance.take(2, &caps, at(86_400.0)), 2);
    }
}

//! The rate limit of failed logins, by network. It stops guessing.
//!
//! Behind a proxy all requests come from one address. Therefore a login that was verified recently passes the limit.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

use crate::domain::digest::Digest;

/// Failed logins of a network: this many at once, then this many a minute.
const FAILURES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
/// Seconds until one more is permitted.
pub(super) const RETRY_AFTER_SECONDS: &str = "3";
/// Networks are hashed to this many buckets, so that memory does not grow with their number.
const BUCKETS: usize = 4096;
/// Size of the cache of verified logins: more than an installation has clients.
const MOST_VERIFIED: usize = 1024;
/// How long a login counts as verified after its last use. A building may be quiet for a night.
const VERIFIED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// The networks with one hash.
#[derive(Debug)]
struct Bucket<C: Clock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    /// Whether a right login gave its token back.
    has_returned_token: bool,
}

/// Decides which logins may be verified.
#[derive(Debug)]
pub(super) struct LoginLimit<C: Clock = MonotonicClock> {
    /// One lock for each bucket: logins of its networks are verified one at a time. Concurrent copies of a right login wait for the
    /// first and then pass. Guesses at a slow hash take one processor and delay no network of another bucket.
    buckets: Box<[AsyncMutex<Bucket<C>>]>,
    /// Random, so that nobody can choose the bucket of a network or the digest of a login.
    hasher: RandomState,
    /// Verified logins by their digests.
    verified: Mutex<HashMap<u64, VerifiedLogin>>,
}

#[derive(Clone, Copy, Debug)]
struct VerifiedLogin {
    last_used: Timestamp,
    hash: Option<Digest>,
}

/// A permitted login. Ends in [`LoginLimit::verified`] if it is right, in [`LoginLimit::failed`] if it is wrong, and in neither if it
/// could not be verified: its token is spent then.
#[must_use]
pub(super) struct LoginAttempt<'l, C: Clock = MonotonicClock> {
    digest: u64,
    /// The digest of name, password and slow hash by which the login was verified recently, or is now: the caller sets it. While it
    /// fits, the slow hash is not computed again.
    pub(super) hash: Option<Digest>,
    /// Keeps other logins of the network waiting; `None` if this one was verified recently.
    bucket: Option<MutexGuard<'l, Bucket<C>>>,
}

impl<C: Clock + Clone> LoginLimit<C> {
    pub(super) fn new(clock: &C) -> Self {
        let limiter = || RateLimiter::direct_with_clock(Quota::per_minute(FAILURES), clock.clone());
        let bucket = |_| AsyncMutex::new(Bucket { limiter: limiter(), has_returned_token: false });
        Self { buckets: (0..BUCKETS).map(bucket).collect(), hasher: RandomState::new(), verified: Mutex::default() }
    }

    /// Permits to verify `login` from the address `source`; `None` above the limit of its network, unless this login was verified
    /// recently.
    pub(super) async fn attempt(&self, source: &str, login: &[&str], now: Timestamp) -> Option<LoginAttempt<'_, C>> {
        let digest = self.hasher.hash_one(login);
        if let Some(verified) = self.verified_login(digest, now) {
            return Some(verified);
        }
        let mut bucket = self.bucket(source, true).lock().await;
        if let Some(verified) = self.verified_login(digest, now) {
            return Some(verified);
        }
        let is_permitted = std::mem::take(&mut bucket.has_returned_token) || bucket.limiter.check().is_ok();
        is_permitted.then_some(LoginAttempt { digest, hash: None, bucket: Some(bucket) })
    }

    fn verified_login(&self, digest: u64, now: Timestamp) -> Option<LoginAttempt<'_, C>> {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).copied()?;
        let is_recent = now.duration_since(verified.last_used) < VERIFIED_FOR;
        is_recent.then_some(LoginAttempt { digest, hash: verified.hash, bucket: None })
    }

    /// Whether a rejected request without a login may have its own log line. Has the same rate as logins, counted apart.
    pub(super) fn permits_log_line(&self, source: &str) -> bool {
        // Locked only while a login of a network with the same bucket is verified.
        self.bucket(source, false).try_lock().is_ok_and(|bucket| bucket.limiter.check().is_ok())
    }

    fn bucket(&self, source: &str, is_login: bool) -> &AsyncMutex<Bucket<C>> {
        &self.buckets[self.hasher.hash_one((network(source), is_login)) as usize % BUCKETS]
    }

    /// Ends the attempt of a right login: it gives its token back, and passes the limit for a day after each use.
    pub(super) fn verified(&self, attempt: &mut LoginAttempt<'_, C>, now: Timestamp) {
        attempt.bucket.iter_mut().for_each(|bucket| bucket.has_returned_token = true);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST_VERIFIED && !verified.contains_key(&attempt.digest) {
            let oldest = verified.iter().min_by_key(|(_, login)| login.last_used).map(|(digest, _)| *digest);
            oldest.and_then(|oldest| verified.remove(&oldest));
        }
        verified.insert(attempt.digest, VerifiedLogin { last_used: now, hash: attempt.hash });
    }

    /// Ends the attempt of a wrong login. The login may have been right before the credentials changed.
    pub(super) fn failed(&self, attempt: &LoginAttempt<'_, C>) {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).remove(&attempt.digest);
    }
}

/// The part of an address that one client cannot change: all of an IPv4 address, the first 48 bits of an IPv6 address. Providers
/// give a customer at most a /48 (RFC 6177 §2). With 64 bits, one customer could use every bucket.
fn network(source: &str) -> Box<str> {
    match source.parse() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => {
            Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).to_string().into()
        }
        _ => source.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    type Limit = LoginLimit<FakeRelativeClock>;

    fn limit() -> Limit {
        LoginLimit::new(&FakeRelativeClock::default())
    }

    fn attempt<'l>(
        limit: &'l Limit,
        source: &str,
        login: &[&str],
        second: i64,
    ) -> Option<LoginAttempt<'l, FakeRelativeClock>> {
        // Unconstrained: tokio makes a task that awaits many locks yield now and then.
        tokio::task::unconstrained(limit.attempt(source, login, at(second))).now_or_never().unwrap()
    }

    /// How many of `times` failed logins are permitted.
    fn permitted(limit: &Limit, source: &str, times: usize) -> usize {
        let attempts = (0..times).filter_map(|guess| attempt(limit, source, &[&guess.to_string()], 0));
        attempts.map(|attempt| limit.failed(&attempt)).count()
    }

    #[tokio::test]
    async fn a_network_has_twenty_failures_at_once_and_then_one_every_three_seconds() {
        let clock = FakeRelativeClock::default();
        let limit = LoginLimit::new(&clock);
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 20);
        assert_eq!(permitted(&limit, "192.0.2.2", 1), 1, "others are not limited");
        clock.advance(Duration::from_secs(RETRY_AFTER_SECONDS.parse().unwrap()));
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 20);
    }

    #[tokio::test]
    async fn a_verified_login_passes_the_limit_until_it_fails_or_is_a_day_old() {
        let limit = limit();
        let right = |second| attempt(&limit, "192.0.2.1", &["name", "password"], second);
        limit.verified(&mut right(0).unwrap(), at(0));
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 20, "a verified login does not count");
        limit.verified(&mut right(80_000).unwrap(), at(80_000));
        assert!(attempt(&limit, "192.0.2.1", &["namepassword"], 80_000).is_none());
        assert!(right(80_000 + 86_399).is_some());
        assert!(right(80_000 + 86_400).is_none());
        limit.failed(&right(80_000).unwrap());
        assert!(right(80_000).is_none(), "the credentials changed");
    }

    #[tokio::test]
    async fn of_a_hundred_concurrent_copies_a_right_login_passes_each_time_and_a_wrong_one_twenty_times() {
        for (is_right, passed) in [(true, 100), (false, 20)] {
            let limit = limit();
            let copies = (0..100).map(async |_| {
                let mut attempt = limit.attempt("192.0.2.1", &["name", "password"], at(0)).await?;
                tokio::task::yield_now().await;
                if is_right {
                    limit.verified(&mut attempt, at(0))
                } else {
                    limit.failed(&attempt)
                }
                Some(())
            });
            let copies = futures_util::future::join_all(copies).await;
            assert_eq!(copies.into_iter().flatten().count(), passed);
            assert_eq!(attempt(&limit, "192.0.2.1", &["other"], 0).is_some(), is_right, "all have ended");
        }
    }

    #[tokio::test]
    async fn logins_of_a_network_are_verified_one_at_a_time_except_cached_ones() {
        let limit = limit();
        let attempt = |source: &'static str, login: &'static str| limit.attempt(source, &[login], at(0)).now_or_never();
        limit.verified(&mut attempt("192.0.2.1", "verified").unwrap().unwrap(), at(0));
        let first = attempt("192.0.2.1", "first").unwrap().unwrap();
        assert!(attempt("192.0.2.1", "second").is_none(), "it waits");
        assert!(attempt("192.0.2.1", "verified").is_some());
        assert!((2..20).any(|host| limit.attempt(&format!("192.0.2.{host}"), &["x"], at(0)).now_or_never().is_some()));
        limit.failed(&first);
        drop(first);
        assert!(attempt("192.0.2.1", "second").is_some());
    }

    #[tokio::test]
    async fn an_attempt_that_could_not_be_verified_takes_a_token_and_a_verified_login_takes_none() {
        let limit = limit();
        let passed =
            |limit: &Limit| (0..100).filter_map(|_| attempt(limit, "192.0.2.1", &["name", "password"], 0)).count();
        assert_eq!(passed(&limit), 20);
        let limit = super::tests::limit();
        limit.verified(&mut attempt(&limit, "192.0.2.1", &["name", "password"], 0).unwrap(), at(0));
        assert_eq!((passed(&limit), permitted(&limit, "192.0.2.1", 30)), (100, 20));
    }

    #[tokio::test]
    async fn right_logins_are_not_limited_if_each_is_another_one() {
        let limit = limit();
        // A client can sign each request anew.
        for number in 0..100 {
            let right = attempt(&limit, "192.0.2.1", &[&format!("right {number}")], 0);
            limit.verified(&mut right.unwrap(), at(0));
        }
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 20);
        assert!(attempt(&limit, "192.0.2.1", &["right 100"], 0).is_none());
    }

    #[tokio::test]
    async fn the_addresses_of_an_ipv6_customer_are_one_network() {
        let limit = limit();
        assert_eq!(permitted(&limit, "2001:db8:1:2::1", 30), 20);
        assert_eq!(permitted(&limit, "2001:db8:1:2:ffff::9", 30), 0);
        let many = (0..=u16::MAX).map(|subnet| permitted(&limit, &format!("2001:db8:1:{subnet:x}::1"), 1));
        assert_eq!(many.sum::<usize>(), 0, "a customer has up to 65,536 subnets");
        let others = (0..1_000).map(|network| permitted(&limit, &format!("2001:db9:{network:x}::1"), 1));
        assert!(others.sum::<usize>() >= 990, "other customers are not limited, except for a few collisions");
        assert_eq!(&*network("::ffff:192.0.2.1"), "::ffff:192.0.2.1");
    }

    #[tokio::test]
    async fn the_cache_of_verified_logins_is_bounded_and_keeps_the_one_used_last() {
        let limit = limit();
        for number in 0..10_000 {
            for login in ["client".to_owned(), number.to_string()] {
                let source = format!("192.0.{}.{}", number / 250, number % 250);
                limit.verified(&mut attempt(&limit, &source, &[&login], number).unwrap(), at(number));
            }
        }
        assert_eq!(limit.verified.lock().unwrap().len(), MOST_VERIFIED);
        permitted(&limit, "192.0.2.1", 30);
        assert!(attempt(&limit, "192.0.2.1", &["client"], 10_000).is_some());
    }

    #[tokio::test]
    async fn log_lines_have_the_same_limit_and_are_counted_apart() {
        let clock = FakeRelativeClock::default();
        let limit = LoginLimit::new(&clock);
        let lines = |source: &str| (0..100).filter(|_| limit.permits_log_line(source)).count();
        assert_eq!(lines("192.0.2.1"), 20);
        clock.advance(Duration::from_secs(3));
        assert_eq!((lines("192.0.2.1"), lines("192.0.2.2")), (1, 20));
        assert_eq!(permitted(&limit, "192.0.2.1", 30), 20);
    }
}

//! The rate limit of failed logins, by network.
//!
//! Behind a proxy all requests come from one address. Therefore a login that was verified recently passes the limit.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

/// Failed logins of a network: this many at once, then this many a minute.
const FAILURES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
/// Seconds until one more login of a network is permitted.
pub(super) const RETRY_AFTER_SECONDS: &str = "3";
/// Networks are hashed to this many buckets, so that memory does not grow with their number.
const BUCKETS: usize = 4096;
/// Size of the cache of verified logins: more than an installation has clients.
const MOST_VERIFIED: usize = 1024;
/// How long a login counts as verified after its last use. A building may be quiet for a night.
const VERIFIED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Decides which logins are verified.
#[derive(Debug)]
pub(super) struct LoginLimit<C: Clock = MonotonicClock> {
    limiter: RateLimiter<usize, Buckets, C, NoOpMiddleware<C::Instant>>,
    buckets: Buckets,
    /// Random, so that nobody can choose the bucket of a network or the digest of a login.
    hasher: RandomState,
    /// Digests of verified logins with the time of their last use.
    verified: Mutex<HashMap<u64, Timestamp>>,
    /// One lock for each bucket: logins of a network are verified one at a time. Concurrent copies of a right login wait for the
    /// first and then pass. Guesses at a slow hash take one processor and delay no other network.
    locks: Box<[AsyncMutex<()>]>,
}

/// A permitted login. Counts as failed unless it is [verified](LoginLimit::verified) or [undecided](LoginLimit::undecided).
#[must_use]
pub(super) struct LoginAttempt<'l> {
    digest: u64,
    /// The bucket in which the attempt counts, locked until it ends; `None` if the login was verified recently.
    bucket: Option<(usize, MutexGuard<'l, ()>)>,
}

/// The state of the rate limiter, of a fixed size.
#[derive(Clone, Debug)]
struct Buckets(Arc<[InMemoryState]>);

impl StateStore for Buckets {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, bucket: &usize, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[*bucket].measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

impl<C: Clock> LoginLimit<C> {
    pub(super) fn new(clock: C) -> Self {
        let buckets = Buckets((0..BUCKETS).map(|_| InMemoryState::default()).collect());
        Self {
            limiter: RateLimiter::new(Quota::per_minute(FAILURES), buckets.clone(), clock),
            buckets,
            hasher: RandomState::new(),
            verified: Mutex::default(),
            locks: (0..BUCKETS).map(|_| AsyncMutex::default()).collect(),
        }
    }

    /// Permits to verify `login` from the address `source`; `None` if too many logins of its network failed, unless this one was
    /// verified recently.
    pub(super) async fn attempt(&self, source: &str, login: &[&str], now: Timestamp) -> Option<LoginAttempt<'_>> {
        let digest = self.hasher.hash_one(login);
        if self.is_verified(digest, now) {
            return Some(LoginAttempt { digest, bucket: None });
        }
        let bucket = self.bucket(source, true);
        let lock = self.locks[bucket].lock().await;
        if self.is_verified(digest, now) {
            return Some(LoginAttempt { digest, bucket: None });
        }
        self.limiter.check_key(&bucket).ok()?;
        Some(LoginAttempt { digest, bucket: Some((bucket, lock)) })
    }

    fn is_verified(&self, digest: u64, now: Timestamp) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).copied();
        verified.is_some_and(|verified| now.duration_since(verified) < VERIFIED_FOR)
    }

    /// Whether a rejected request without a login may have its own log line. Has the same rate as failed logins, counted apart.
    pub(super) fn permits_log_line(&self, source: &str) -> bool {
        self.limiter.check_key(&self.bucket(source, false)).is_ok()
    }

    fn bucket(&self, source: &str, is_login: bool) -> usize {
        self.hasher.hash_one((network(source), is_login)) as usize % BUCKETS
    }

    /// Ends the attempt of a right login: it does not count, and the login passes the limit from now on.
    pub(super) fn verified(&self, attempt: &LoginAttempt<'_>, now: Timestamp) {
        self.undecided(attempt);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST_VERIFIED && !verified.contains_key(&attempt.digest) {
            let oldest = verified.iter().min_by_key(|(_, verified)| **verified).map(|(digest, _)| *digest);
            oldest.and_then(|oldest| verified.remove(&oldest));
        }
        verified.insert(attempt.digest, now);
    }

    /// Ends an attempt that could not be verified: it does not count.
    pub(super) fn undecided(&self, attempt: &LoginAttempt<'_>) {
        if let Some((bucket, _)) = &attempt.bucket {
            let one = Nanos::from(Quota::per_minute(FAILURES).replenish_interval());
            let refund = |spent: Option<Nanos>| Ok(((), spent.unwrap_or_default().saturating_sub(one)));
            let Ok::<(), Infallible>(()) = self.buckets.measure_and_replace(bucket, refund);
        }
    }

    /// Ends the attempt of a wrong login. The login may have been right before the credentials changed.
    pub(super) fn failed(&self, attempt: &LoginAttempt<'_>) {
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

    fn attempt<'l>(limit: &'l Limit, source: &str, login: &[&str], second: i64) -> Option<LoginAttempt<'l>> {
        limit.attempt(source, login, at(second)).now_or_never().unwrap()
    }

    /// How many of `times` failed logins are permitted.
    fn permitted(limit: &Limit, source: &str, times: usize) -> usize {
        let attempts = (0..times).filter_map(|guess| attempt(limit, source, &[&guess.to_string()], 0));
        attempts.inspect(|attempt| limit.failed(attempt)).count()
    }

    #[test]
    fn a_network_has_twenty_failures_at_once_and_then_one_every_three_seconds() {
        let clock = FakeRelativeClock::default();
        let limit = Limit::new(clock.clone());
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 20);
        assert_eq!(permitted(&limit, "192.0.2.2", 1), 1, "others are not limited");
        clock.advance(Duration::from_secs(RETRY_AFTER_SECONDS.parse().unwrap()));
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 20);
    }

    #[test]
    fn a_verified_login_passes_the_limit_until_it_fails_or_is_a_day_old() {
        let limit = Limit::new(FakeRelativeClock::default());
        let right = |second| attempt(&limit, "192.0.2.1", &["name", "password"], second);
        limit.verified(&right(0).unwrap(), at(0));
        assert_eq!(permitted(&limit, "192.0.2.1", 10_000), 20, "a verified login does not count");
        limit.verified(&right(80_000).unwrap(), at(80_000));
        assert!(attempt(&limit, "192.0.2.1", &["namepassword"], 80_000).is_none());
        assert!(right(80_000 + 86_399).is_some());
        assert!(right(80_000 + 86_400).is_none());
        limit.failed(&right(80_000).unwrap());
        assert!(right(80_000).is_none(), "the credentials changed");
    }

    #[tokio::test]
    async fn of_a_hundred_concurrent_copies_a_right_login_passes_each_time_and_a_wrong_one_twenty_times() {
        for (is_right, passed) in [(true, 100), (false, 20)] {
            let limit = Limit::new(FakeRelativeClock::default());
            let copies = (0..100).map(async |_| {
                let attempt = limit.attempt("192.0.2.1", &["name", "password"], at(0)).await?;
                tokio::task::yield_now().await;
                if is_right {
                    limit.verified(&attempt, at(0))
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
        let limit = Limit::new(FakeRelativeClock::default());
        let attempt = |source: &'static str, login: &'static str| limit.attempt(source, &[login], at(0)).now_or_never();
        limit.verified(&attempt("192.0.2.1", "verified").unwrap().unwrap(), at(0));
        let first = attempt("192.0.2.1", "first").unwrap().unwrap();
        assert!(attempt("192.0.2.1", "second").is_none(), "it waits");
        assert!(attempt("192.0.2.1", "verified").is_some());
        assert!((2..20).any(|host| limit.attempt(&format!("192.0.2.{host}"), &["x"], at(0)).now_or_never().is_some()));
        limit.failed(&first);
        drop(first);
        assert!(attempt("192.0.2.1", "second").is_some());
    }

    #[test]
    fn an_undecided_attempt_does_not_count() {
        let limit = Limit::new(FakeRelativeClock::default());
        for _ in 0..100 {
            limit.undecided(&attempt(&limit, "192.0.2.1", &["name", "password"], 0).unwrap());
        }
        assert_eq!(permitted(&limit, "192.0.2.1", 30), 20);
    }

    #[test]
    fn the_addresses_of_an_ipv6_customer_are_one_network() {
        let limit = Limit::new(FakeRelativeClock::default());
        assert_eq!(permitted(&limit, "2001:db8:1:2::1", 30), 20);
        assert_eq!(permitted(&limit, "2001:db8:1:2:ffff::9", 30), 0);
        let many = (0..=u16::MAX).map(|subnet| permitted(&limit, &format!("2001:db8:1:{subnet:x}::1"), 1));
        assert_eq!(many.sum::<usize>(), 0, "a customer has up to 65,536 subnets");
        let others = (0..1_000).map(|network| permitted(&limit, &format!("2001:db9:{network:x}::1"), 1));
        assert!(others.sum::<usize>() >= 990, "other customers are not limited, except for a few collisions");
        assert_eq!(&*network("::ffff:192.0.2.1"), "::ffff:192.0.2.1");
    }

    #[test]
    fn the_cache_of_verified_logins_is_bounded_and_keeps_the_one_used_last() {
        let limit = Limit::new(FakeRelativeClock::default());
        for number in 0..10_000 {
            for login in ["client".to_owned(), number.to_string()] {
                limit.verified(&attempt(&limit, "192.0.2.1", &[&login], number).unwrap(), at(number));
            }
        }
        assert_eq!(limit.verified.lock().unwrap().len(), MOST_VERIFIED);
        permitted(&limit, "192.0.2.1", 30);
        assert!(attempt(&limit, "192.0.2.1", &["client"], 10_000).is_some());
    }
}

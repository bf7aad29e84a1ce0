//! The rate limit of failed logins, by network.
//!
//! Behind a proxy everybody comes from the same address. So a login that was verified lately passes the limit, whatever others
//! send from its network.

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

/// Failed logins that are checked of a network at once, and then a minute.
const FAILURES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
/// Seconds until one more login of a network is checked.
pub(super) const RETRY_AFTER_SECONDS: &str = "3";
/// Cells of the limit. Networks are spread over them, so that memory does not grow with the number of networks.
const CELLS: usize = 4096;
/// Verified logins that are known at a time: more than an installation has clients.
const MOST_VERIFIED: usize = 1024;
/// How long a login counts as verified after its last use. A building may be quiet for a night.
const VERIFIED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Which logins are checked.
#[derive(Debug)]
pub(super) struct LoginLimit<C: Clock = MonotonicClock> {
    limiter: RateLimiter<usize, Cells, C, NoOpMiddleware<C::Instant>>,
    cells: Cells,
    /// Random, so that nobody can choose a network's cell or a login's digest.
    hasher: RandomState,
    /// Digests of verified logins, and when each was verified last.
    verified: Mutex<HashMap<u64, Timestamp>>,
    /// A lock for each cell: of a network, one login is checked at a time. Copies of one that is right wait, and do not count.
    /// Guesses at a slow hash occupy one processor, and keep no other network waiting.
    turns: Box<[AsyncMutex<()>]>,
}

/// A login that may be checked. It counts as failed unless it is [verified](LoginLimit::verified) or
/// [undecided](LoginLimit::undecided).
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt<'l> {
    digest: u64,
    /// `None` if the login was verified lately: it does not count.
    counted: Option<Counted<'l>>,
}

#[derive(Debug)]
struct Counted<'l> {
    cell: usize,
    /// Held until the attempt ends.
    _turn: MutexGuard<'l, ()>,
}

/// The limit of a network is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limited;

/// The state of the limit, of a fixed size.
#[derive(Clone, Debug)]
struct Cells(Arc<[InMemoryState]>);

impl StateStore for Cells {
    type Key = usize;

    fn measure_and_replace<T, F, E>(&self, cell: &usize, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[*cell].measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

impl LoginLimit {
    pub(super) fn new() -> Self {
        Self::with_clock(MonotonicClock)
    }
}

impl<C: Clock> LoginLimit<C> {
    fn with_clock(clock: C) -> Self {
        let cells = Cells((0..CELLS).map(|_| InMemoryState::default()).collect());
        Self {
            limiter: RateLimiter::new(Quota::per_minute(FAILURES), cells.clone(), clock),
            cells,
            hasher: RandomState::new(),
            verified: Mutex::default(),
            turns: (0..CELLS).map(|_| AsyncMutex::default()).collect(),
        }
    }

    /// Permits to check `login`, which came from the address `source`.
    ///
    /// # Errors
    /// [`Limited`] if too many of its network failed lately and this one was not verified lately.
    pub(super) async fn attempt(&self, source: &str, login: &[&str], now: Timestamp) -> Result<Attempt<'_>, Limited> {
        let digest = self.hasher.hash_one(login);
        if self.is_verified(digest, now) {
            return Ok(Attempt { digest, counted: None });
        }
        let cell = self.cell(source, true);
        let turn = self.turns[cell].lock().await;
        if self.is_verified(digest, now) {
            return Ok(Attempt { digest, counted: None });
        }
        self.take(cell)?;
        Ok(Attempt { digest, counted: Some(Counted { cell, _turn: turn }) })
    }

    fn is_verified(&self, digest: u64, now: Timestamp) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).copied();
        verified.is_some_and(|verified| now.duration_since(verified) < VERIFIED_FOR)
    }

    /// Counts a refused request in which nothing is guessed, from the address `source`, apart from failed logins.
    ///
    /// # Errors
    /// [`Limited`] if there were too many of its network lately.
    pub(super) fn without_guess(&self, source: &str) -> Result<(), Limited> {
        self.take(self.cell(source, false))
    }

    fn cell(&self, source: &str, is_login: bool) -> usize {
        self.hasher.hash_one((network(source), is_login)) as usize % CELLS
    }

    fn take(&self, cell: usize) -> Result<(), Limited> {
        self.limiter.check_key(&cell).map_err(|_| Limited)
    }

    /// The login of an attempt is right: the attempt does not count, and the login passes the limit from now on.
    pub(super) fn verified(&self, attempt: &Attempt<'_>, now: Timestamp) {
        self.undecided(attempt);
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST_VERIFIED && !verified.contains_key(&attempt.digest) {
            let oldest = verified.iter().min_by_key(|(_, verified)| **verified).map(|(digest, _)| *digest);
            oldest.and_then(|oldest| verified.remove(&oldest));
        }
        verified.insert(attempt.digest, now);
    }

    /// Nobody knows whether the login of an attempt is right: the attempt does not count.
    pub(super) fn undecided(&self, attempt: &Attempt<'_>) {
        if let Some(Counted { cell, .. }) = &attempt.counted {
            let one = Nanos::from(Quota::per_minute(FAILURES).replenish_interval());
            let given_back = |taken: Option<Nanos>| Ok(((), taken.unwrap_or_default().saturating_sub(one)));
            let Ok::<(), Infallible>(()) = self.cells.measure_and_replace(cell, given_back);
        }
    }

    /// The login of an attempt is wrong, also if it was right before the credentials changed.
    pub(super) fn failed(&self, attempt: &Attempt<'_>) {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).remove(&attempt.digest);
    }
}

/// The part of an address that one sender cannot change: all of an IPv4 one, the first 48 bits of an IPv6 one. That is the most
/// that a provider gives to a customer (RFC 6177 §2); by 64 bits, one customer would have a network for each of the cells.
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

    /// What comes of a login of which no copy is under way.
    fn attempt<'l>(limit: &'l Limit, source: &str, login: &[&str], second: i64) -> Result<Attempt<'l>, Limited> {
        limit.attempt(source, login, at(second)).now_or_never().unwrap()
    }

    /// How many of `times` failed logins are checked.
    fn checked(limit: &Limit, source: &str, times: usize) -> usize {
        let attempts = (0..times).filter_map(|guess| attempt(limit, source, &[&guess.to_string()], 0).ok());
        attempts.inspect(|attempt| limit.failed(attempt)).count()
    }

    #[test]
    fn a_network_has_twenty_failures_at_once_and_then_one_every_three_seconds() {
        let clock = FakeRelativeClock::default();
        let limit = Limit::with_clock(clock.clone());
        assert_eq!(checked(&limit, "192.0.2.1", 10_000), 20);
        assert_eq!(checked(&limit, "192.0.2.2", 1), 1, "others are not limited");
        clock.advance(Duration::from_secs(RETRY_AFTER_SECONDS.parse().unwrap()));
        assert_eq!(checked(&limit, "192.0.2.1", 10_000), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(checked(&limit, "192.0.2.1", 10_000), 20);
    }

    #[test]
    fn a_verified_login_passes_the_limit_until_it_fails_or_is_a_day_old() {
        let limit = Limit::with_clock(FakeRelativeClock::default());
        let right = |second| attempt(&limit, "192.0.2.1", &["name", "password"], second);
        limit.verified(&right(0).unwrap(), at(0));
        assert_eq!(checked(&limit, "192.0.2.1", 10_000), 20, "a verified login does not count");
        limit.verified(&right(80_000).unwrap(), at(80_000));
        assert!(attempt(&limit, "192.0.2.1", &["namepassword"], 80_000).is_err());
        assert!(right(80_000 + 86_399).is_ok());
        assert_eq!(right(80_000 + 86_400).unwrap_err(), Limited);
        limit.failed(&right(80_000).unwrap());
        assert_eq!(right(80_000).unwrap_err(), Limited, "the credentials changed");
    }

    #[tokio::test]
    async fn a_hundred_copies_of_a_right_login_at_once_all_pass_and_of_a_wrong_one_twenty_are_checked() {
        for (is_right, passed) in [(true, 100), (false, 20)] {
            let limit = Limit::with_clock(FakeRelativeClock::default());
            let copies = (0..100).map(async |_| {
                let attempt = limit.attempt("192.0.2.1", &["name", "password"], at(0)).await.ok()?;
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
            assert_eq!(attempt(&limit, "192.0.2.1", &["other"], 0).is_ok(), is_right, "all have ended");
        }
    }

    #[tokio::test]
    async fn of_a_network_one_login_is_checked_at_a_time_and_a_verified_one_waits_for_none() {
        let limit = Limit::with_clock(FakeRelativeClock::default());
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
    fn an_attempt_that_was_not_decided_does_not_count() {
        let limit = Limit::with_clock(FakeRelativeClock::default());
        for _ in 0..100 {
            limit.undecided(&attempt(&limit, "192.0.2.1", &["name", "password"], 0).unwrap());
        }
        assert_eq!(checked(&limit, "192.0.2.1", 30), 20);
    }

    #[test]
    fn an_ipv6_sender_with_many_addresses_is_one_network() {
        let limit = Limit::with_clock(FakeRelativeClock::default());
        assert_eq!(checked(&limit, "2001:db8:1:2::1", 30), 20);
        assert_eq!(checked(&limit, "2001:db8:1:2:ffff::9", 30), 0);
        let many = (0..=u16::MAX).map(|subnet| checked(&limit, &format!("2001:db8:1:{subnet:x}::1"), 1));
        assert_eq!(many.sum::<usize>(), 0, "a customer has up to 65,536 subnets");
        let others = (0..1_000).map(|network| checked(&limit, &format!("2001:db9:{network:x}::1"), 1));
        assert!(others.sum::<usize>() >= 990, "which keep others out of none of their cells, or hardly one");
        assert_eq!(&*network("::ffff:192.0.2.1"), "::ffff:192.0.2.1");
    }

    #[test]
    fn verified_logins_are_bounded_and_the_one_used_last_stays() {
        let limit = Limit::with_clock(FakeRelativeClock::default());
        for number in 0..10_000 {
            for login in ["client".to_owned(), number.to_string()] {
                limit.verified(&attempt(&limit, "192.0.2.1", &[&login], number).unwrap(), at(number));
            }
        }
        assert_eq!(limit.verified.lock().unwrap().len(), MOST_VERIFIED);
        checked(&limit, "192.0.2.1", 30);
        assert!(attempt(&limit, "192.0.2.1", &["client"], 10_000).is_ok());
    }
}

//! Failed attempts to get in: counted by where they come from, and slowed where that is asked for.
//!
//! Only the refusal waits. Right credentials are never slowed, wherever they come from: behind a proxy everybody comes
//! from the same address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

/// Sources remembered; the one that has been quiet longest makes room.
const SOURCES: usize = 1024;
/// How long a source's failures count after its last one.
const LATELY: SignedDuration = SignedDuration::from_mins(10);
/// Failures that are answered at once: a client that was just set up wrongly is no guesser.
const AT_ONCE: u32 = 2;
/// How long the first slowed answer waits; each further one twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest that an answer waits.
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// Answers that wait at a time. Each holds a connection, and guessers must not hold all of them.
const WAITING: usize = 64;

/// Sources with their failures.
#[derive(Debug)]
pub(super) struct Attempts {
    sources: Mutex<HashMap<Box<str>, Failed>>,
    waiting: Option<Semaphore>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last: Timestamp,
}

impl Attempts {
    /// Counts.
    pub(super) fn counted() -> Self {
        Self { sources: Mutex::default(), waiting: None }
    }

    /// Counts and slows.
    pub(super) fn slowed() -> Self {
        Self { sources: Mutex::default(), waiting: Some(Semaphore::new(WAITING)) }
    }

    /// Notes a failure. How many there have been from `source` lately, this one included.
    pub(super) fn failed(&self, source: &str, now: Timestamp) -> u32 {
        let source = network(source);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if !sources.contains_key(&*source) && sources.len() >= SOURCES {
            let quietest = sources.iter().min_by_key(|(_, failed)| failed.last).map(|(source, _)| source.clone());
            quietest.and_then(|quietest| sources.remove(&quietest));
        }
        let failed = sources.entry(source).or_insert(Failed { times: 0, last: now });
        if now.duration_since(failed.last) > LATELY {
            failed.times = 0;
        }
        *failed = Failed { times: failed.times.saturating_add(1), last: now };
        failed.times
    }

    /// Notes a success: what failed before was a mistake.
    pub(super) fn succeeded(&self, source: &str) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if !sources.is_empty() {
            sources.remove(&*network(source));
        }
    }

    /// Waits before a refusal, where refusals are slowed.
    pub(super) async fn wait(&self, failed_lately: u32) {
        // Where too many wait already, this answer does not: a held connection is worth more to a guesser than to us.
        if let Some(_place) = self.waiting.as_ref().and_then(|waiting| waiting.try_acquire().ok()) {
            tokio::time::sleep(delay(failed_lately)).await;
        }
    }
}

fn delay(failed_lately: u32) -> Duration {
    match failed_lately.checked_sub(AT_ONCE + 1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_DELAY.saturating_mul(1 << doublings.min(10)).min(LONGEST_DELAY),
    }
}

/// What of an address one sender cannot change: all of an IPv4 one, and of an IPv6 one the first 64 bits.
fn network(source: &str) -> Box<str> {
    match source.parse() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => {
            Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string().into()
        }
        _ => source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn failures_are_counted_by_source_until_a_success_or_ten_quiet_minutes() {
        let attempts = Attempts::counted();
        let failed = |source, second| attempts.failed(source, at(second));
        assert_eq!((failed("a", 0), failed("a", 1), failed("b", 1)), (1, 2, 1));
        assert_eq!(failed("a", 601), 3);
        assert_eq!(failed("a", 1202), 1);
        attempts.succeeded("b");
        assert_eq!((failed("b", 1202), failed("a", 1202)), (1, 2));
    }

    #[test]
    fn an_ipv6_sender_with_many_addresses_is_one_source() {
        let attempts = Attempts::counted();
        attempts.failed("2001:db8:1:2::1", at(0));
        assert_eq!(attempts.failed("2001:db8:1:2:ffff::9", at(0)), 2);
        assert_eq!(attempts.failed("2001:db8:1:3::1", at(0)), 1);
        attempts.failed("192.0.2.1", at(0));
        assert_eq!(attempts.failed("192.0.2.2", at(0)), 1);
    }

    #[test]
    fn many_sources_take_no_more_room_and_push_out_the_quietest() {
        let attempts = Attempts::counted();
        attempts.failed("busy", at(0));
        for number in 0..10_000 {
            attempts.failed(&format!("source-{number}"), at(1 + number));
            attempts.failed("busy", at(1 + number));
        }
        assert_eq!(attempts.sources.lock().unwrap().len(), SOURCES);
        assert_eq!(attempts.failed("busy", at(10_001)), 10_002);
        assert_eq!(attempts.failed("source-0", at(10_001)), 1);
    }

    #[test]
    fn delays_begin_at_the_third_failure_and_double_up_to_two_seconds() {
        let milliseconds = [1, 2, 3, 4, 7, 8, 9, u32::MAX].map(|times| delay(times).as_millis());
        assert_eq!(milliseconds, [0, 0, 100, 200, 1_600, 2_000, 2_000, 2_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn guessers_wait_side_by_side_and_at_most_so_many() {
        let attempts = Attempts::slowed();
        let started = tokio::time::Instant::now();
        let waits = futures_util::future::join_all((0..1_000).map(|_| async {
            attempts.wait(100).await;
            started.elapsed()
        }));
        let waited = waits.await.into_iter().filter(|waited| !waited.is_zero()).count();
        assert_eq!((waited, started.elapsed()), (WAITING, LONGEST_DELAY));
        let started = tokio::time::Instant::now();
        Attempts::counted().wait(100).await;
        assert!(started.elapsed().is_zero(), "only where it is asked for");
    }
}

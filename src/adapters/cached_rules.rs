//! Rules cached in memory and refreshed at an interval, from a bucket or a file.

use std::future::Future;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::cached_credentials::has_elapsed;
use crate::domain::rules::{RefusedRules, RuleSet};
use crate::ingest::ports::{RuleSource, UnavailableError, chain};
use crate::notify::read_rules;

/// Pause before a failed first read is retried. Until it succeeds, the accepted copy is in force; without one, pushes are stored
/// and wait to be evaluated.
const FIRST_READ_RETRY: SignedDuration = SignedDuration::from_secs(1);

/// Result of a read that is conditional on a version, as in HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionalRead {
    /// The file still has the version that the caller knows.
    NotModified,
    /// The bucket has no rules file: the built-in rules apply. For a local file, that is an error of the read.
    NotFound,
    /// The file has another version.
    Modified {
        /// Changes whenever the text does.
        version: String,
        /// The file's content.
        bytes: Vec<u8>,
    },
}

/// Reads a rules file, and saves a copy of the version that was accepted last.
pub trait RuleReader: Send + Sync {
    /// The file's name in error messages: `config/rules.toml`.
    fn name(&self) -> &str;

    /// Reads the file, unless it still has the version `known`.
    ///
    /// # Errors
    /// [`UnavailableError`] if it cannot be read now; a retry can help.
    fn read(&self, known: Option<&str>) -> impl Future<Output = Result<ConditionalRead, UnavailableError>> + Send;

    /// Reads the copy that was accepted last, by this process or another one; `None` if there is none.
    ///
    /// # Errors
    /// [`UnavailableError`] if it cannot be read now; a retry can help.
    fn read_accepted(&self) -> impl Future<Output = Result<Option<Vec<u8>>, UnavailableError>> + Send;

    /// Saves a copy of an accepted file, for processes that start while the file is invalid.
    ///
    /// # Errors
    /// [`UnavailableError`] if the write was not confirmed; a retry can help.
    fn save_accepted(&self, bytes: &[u8]) -> impl Future<Output = Result<(), UnavailableError>> + Send;
}

/// Rules from `R` as last read and accepted; the built-in rules if `R` reports [`ConditionalRead::NotFound`].
///
/// The file is read at first use, then at most once per interval. At a start, a failed read of the file, or of the copy that
/// replaces an invalid file, is retried after a second. An invalid version is refused as a whole, each of its errors is logged once
/// (again with each such retry), and the last accepted rules stay in force.
#[derive(Debug)]
pub struct CachedRules<R> {
    reader: R,
    interval: SignedDuration,
    in_force: ArcSwap<RulesInForce>,
    /// Locked during a read.
    refresh: Mutex<RulesRefresh>,
}

#[derive(Clone, Debug, Default)]
struct RulesInForce {
    rules: Option<Arc<RuleSet>>,
    /// False while the rules come from the accepted copy because the file itself could not be read yet.
    is_confirmed: bool,
    /// The newest version, if it was refused.
    refused: Option<RefusedRules>,
}

#[derive(Debug, Default)]
struct RulesRefresh {
    /// When the last read began.
    last_read: Option<Timestamp>,
    /// The version that was read last, accepted or not.
    version: Option<String>,
    /// Whether the last read failed: consecutive failures are logged once.
    is_failing: bool,
}

impl<R: RuleReader> CachedRules<R> {
    /// Creates the cache without reading the file. `interval` is the time between two reads.
    pub fn new(reader: R, interval: SignedDuration) -> Self {
        Self { reader, interval, in_force: ArcSwap::default(), refresh: Mutex::default() }
    }

    fn set_in_force(&self, rules: RuleSet, is_confirmed: bool) {
        let in_force = RulesInForce { rules: Some(Arc::new(rules)), is_confirmed, refused: None };
        self.in_force.store(Arc::new(in_force));
    }

    /// Reads the file and puts its rules in force if they are valid. What is wrong is logged.
    async fn update(&self, refresh: &mut RulesRefresh, now: Timestamp) {
        let had_failed = std::mem::replace(&mut refresh.is_failing, false);
        refresh.last_read = Some(now);
        let file = self.reader.name();
        match self.reader.read(refresh.version.as_deref()).await {
            Ok(ConditionalRead::NotModified) => {}
            Ok(ConditionalRead::NotFound) => {
                let is_removed = refresh.version.take().is_some();
                if is_removed {
                    tracing::info!(file, "rules file removed; built-in rules in force");
                }
                // They are parsed once, not after each interval.
                if is_removed || !self.in_force.load().is_confirmed {
                    self.set_in_force(RuleSet::pack(), true);
                }
            }
            Ok(ConditionalRead::Modified { version, bytes }) => {
                self.accept_or_refuse(&version, &bytes).await;
                // Without confirmed rules, the next read has to return the file again.
                refresh.version = self.in_force.load().is_confirmed.then_some(version);
            }
            Err(error) => {
                refresh.is_failing = true;
                if !had_failed {
                    tracing::warn!(file, error = chain(&error), "rules not read; the last ones stay in force, if any");
                }
                if self.in_force.load().rules.is_none() {
                    self.fall_back(false).await;
                }
            }
        }
    }

    async fn accept_or_refuse(&self, version: &str, bytes: &[u8]) {
        let file = self.reader.name();
        match read_rules(file, bytes) {
            Ok(rules) => {
                tracing::info!(file, version, "rules accepted");
                for warning in &rules.warnings {
                    tracing::warn!(file, version, %warning, "rules accepted with a warning");
                }
                self.set_in_force(rules, true);
                self.save_accepted(bytes).await;
            }
            Err(errors) => {
                for error in &errors {
                    tracing::error!(file, version, %error, "new rules refused; the last ones stay in force");
                }
                if !self.in_force.load().is_confirmed {
                    self.fall_back(true).await;
                }
                let refused = Some(RefusedRules::new(file, version, &errors));
                let in_force = RulesInForce { refused, ..RulesInForce::clone(&self.in_force.load()) };
                self.in_force.store(Arc::new(in_force));
            }
        }
    }

    /// Puts the accepted copy in force if the file was not accepted since the start. If there is no copy, the built-in rules are in
    /// force if the file `is_invalid`; if the file cannot be read, nothing changes. If the copy cannot be read, nothing changes either.
    async fn fall_back(&self, is_invalid: bool) {
        let copy = self.reader.read_accepted().await;
        let copy =
            copy.inspect_err(|error| tracing::warn!(error = chain(error), "accepted copy of the rules not read"));
        let Ok(copy) = copy else { return };
        match copy.and_then(|bytes| read_rules(self.reader.name(), &bytes).ok()) {
            Some(rules) => {
                tracing::warn!("accepted copy of the rules in force");
                self.set_in_force(rules, is_invalid);
            }
            None if is_invalid => {
                tracing::warn!("built-in rules in force");
                self.set_in_force(RuleSet::pack(), true);
            }
            None => {}
        }
    }

    async fn save_accepted(&self, bytes: &[u8]) {
        let saved = match self.reader.read_accepted().await {
            // A start with the same rules writes nothing.
            Ok(Some(copy)) if copy == bytes => Ok(()),
            Ok(_) => self.reader.save_accepted(bytes).await,
            Err(error) => Err(error),
        };
        if let Err(error) = saved {
            tracing::warn!(error = chain(&error), "accepted copy of the rules not saved");
        }
    }

    fn is_due(&self, refresh: &RulesRefresh, now: Timestamp) -> bool {
        let interval =
            if self.in_force.load().is_confirmed { self.interval } else { FIRST_READ_RETRY.min(self.interval) };
        has_elapsed(interval, refresh.last_read, now)
    }
}

#[async_trait]
impl<R: RuleReader> RuleSource for CachedRules<R> {
    async fn current(&self, now: Timestamp) -> Result<Arc<RuleSet>, UnavailableError> {
        let refresh = if self.in_force.load().is_confirmed {
            // A caller that finds a read in progress does not wait for it: the last rules are good enough.
            self.refresh.try_lock().ok()
        } else {
            Some(self.refresh.lock().await)
        };
        if let Some(mut refresh) = refresh
            && self.is_due(&refresh, now)
        {
            // The future has 20 KB. Without a box, each push would move that for nothing.
            Box::pin(self.update(&mut refresh, now)).await;
        }
        let unknown = || UnavailableError::new("the rules are not known", "they could not be read since the start");
        self.in_force.load().rules.clone().ok_or_else(unknown)
    }

    fn refused(&self) -> Option<RefusedRules> {
        self.in_force.load().refused.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::adapters::fixtures::LogLines;

    /// A reader whose file and copy a test sets, and which records its calls.
    #[derive(Debug, Default)]
    struct FakeRuleReader {
        file: StdMutex<Option<Result<(String, String), ()>>>,
        accepted: StdMutex<Option<String>>,
        hides_copy: AtomicBool,
        calls: StdMutex<Vec<&'static str>>,
    }

    impl FakeRuleReader {
        fn with_file(text: &str) -> Self {
            let reader = Self::default();
            reader.set_file(text);
            reader
        }

        fn set_file(&self, text: &str) {
            *self.file.lock().unwrap() = Some(Ok((text.to_owned(), text.to_owned())));
        }

        fn remove_file(&self) {
            *self.file.lock().unwrap() = None;
        }

        fn fail_reads(&self) {
            *self.file.lock().unwrap() = Some(Err(()));
        }

        fn accepted(&self) -> Option<String> {
            self.accepted.lock().unwrap().clone()
        }

        fn calls(&self) -> Vec<&'static str> {
            std::mem::take(&mut *self.calls.lock().unwrap())
        }
    }

    impl RuleReader for &FakeRuleReader {
        fn name(&self) -> &str {
            "rules.toml"
        }

        async fn read(&self, known: Option<&str>) -> Result<ConditionalRead, UnavailableError> {
            self.calls.lock().unwrap().push("read");
            tokio::task::yield_now().await;
            match self.file.lock().unwrap().clone() {
                None => Ok(ConditionalRead::NotFound),
                Some(Ok((version, _))) if known == Some(&version) => Ok(ConditionalRead::NotModified),
                Some(Ok((version, text))) => Ok(ConditionalRead::Modified { version, bytes: text.into() }),
                Some(Err(())) => Err(UnavailableError::new("the bucket did not answer", "no route")),
            }
        }

        async fn read_accepted(&self) -> Result<Option<Vec<u8>>, UnavailableError> {
            self.calls.lock().unwrap().push("read copy");
            if self.hides_copy.load(Ordering::Relaxed) {
                return Err(UnavailableError::new("the bucket did not answer", "no route"));
            }
            Ok(self.accepted.lock().unwrap().clone().map(String::into_bytes))
        }

        async fn save_accepted(&self, bytes: &[u8]) -> Result<(), UnavailableError> {
            self.calls.lock().unwrap().push("save");
            *self.accepted.lock().unwrap() = Some(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(())
        }
    }

    const TWO_HOURS: &str = "max_age = \"2h\"\n";
    const THREE_HOURS: &str = "max_age = \"3h\"\n";
    const INVALID: &str = "max_age = 7\nmax_ages = 7\n";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn cached(reader: &FakeRuleReader) -> CachedRules<&FakeRuleReader> {
        CachedRules::new(reader, SignedDuration::from_mins(1))
    }

    /// `max_age` identifies the rules in force: 1 hour is the built-in rules' own.
    async fn hours(cached: &CachedRules<&FakeRuleReader>, second: i64) -> i64 {
        cached.current(at(second)).await.unwrap().max_age.as_hours()
    }

    #[tokio::test]
    async fn without_a_file_the_built_in_rules_are_in_force() {
        let reader = FakeRuleReader::default();
        let cached = cached(&reader);
        let rules = cached.current(at(0)).await.unwrap();
        assert_eq!((rules.max_age.as_hours(), reader.calls()), (1, vec!["read"]));
        assert!(Arc::ptr_eq(&rules, &cached.current(at(60)).await.unwrap()), "they are not parsed again");
    }

    #[tokio::test]
    async fn a_changed_file_is_in_force_after_a_minute_and_not_before() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        let cached = cached(&reader);
        assert_eq!(hours(&cached, 0).await, 2);
        reader.set_file(THREE_HOURS);
        assert_eq!(hours(&cached, 59).await, 2);
        assert_eq!(hours(&cached, 60).await, 3);
    }

    #[tokio::test]
    async fn the_file_is_read_once_a_minute_however_many_pushes_come() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        let cached = cached(&reader);
        tokio::join!(hours(&cached, 0), hours(&cached, 0), hours(&cached, 1));
        for second in 0..120 {
            hours(&cached, second).await;
        }
        assert_eq!(reader.calls().iter().filter(|call| **call == "read").count(), 2);
    }

    #[tokio::test]
    async fn a_push_during_a_read_uses_the_last_rules() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        let cached = cached(&reader);
        hours(&cached, 0).await;
        reader.set_file(THREE_HOURS);
        let (during, beside) = tokio::join!(hours(&cached, 60), hours(&cached, 60));
        assert_eq!((during, beside), (3, 2));
    }

    #[tokio::test]
    async fn an_invalid_file_is_refused_and_each_of_its_errors_logged_once() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        let cached = cached(&reader);
        hours(&cached, 0).await;
        reader.set_file(INVALID);
        let log = LogLines::capture();
        for minute in 1..5 {
            assert_eq!(hours(&cached, minute * 60).await, 2);
        }
        assert_eq!(log.containing("rules.toml:1:").len(), 1, "{log:?}");
        assert_eq!(log.containing("rules.toml:2:").len(), 1, "{log:?}");
        reader.set_file(THREE_HOURS);
        assert_eq!(hours(&cached, 300).await, 3);
    }

    #[tokio::test]
    async fn warnings_of_an_accepted_file_are_logged_once() {
        let reader = FakeRuleReader::with_file("max_age = \"2h\"\n[[rule]]\nid = \"soap-low\"\nabove = 10\n");
        let log = LogLines::capture();
        let cached = cached(&reader);
        assert_eq!((hours(&cached, 0).await, hours(&cached, 60).await), (2, 2));
        assert_eq!(log.containing("rules.toml:4:9: `above` has the opposite direction").len(), 1, "{log:?}");
        reader.set_file("max_age = \"3h\"\n[[rule]]\nid = \"soap-low\"\nbelow = 10\n");
        assert_eq!(hours(&cached, 120).await, 3);
        assert_eq!(log.containing("warning=").len(), 1, "{log:?}");
    }

    #[tokio::test]
    async fn a_start_with_an_invalid_file_uses_the_accepted_copy() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        hours(&cached(&reader), 0).await;
        assert_eq!(reader.accepted().as_deref(), Some(TWO_HOURS));
        reader.set_file(INVALID);
        let restarted = cached(&reader);
        assert_eq!(hours(&restarted, 0).await, 2);
        assert_eq!(hours(&restarted, 60).await, 2);
        assert_eq!(reader.accepted().as_deref(), Some(TWO_HOURS), "an invalid text is never saved");
    }

    #[tokio::test]
    async fn a_start_with_an_invalid_file_and_no_copy_uses_the_built_in_rules() {
        let reader = FakeRuleReader::with_file(INVALID);
        assert_eq!(hours(&cached(&reader), 0).await, 1);
    }

    #[tokio::test]
    async fn a_start_with_the_accepted_rules_writes_nothing() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        hours(&cached(&reader), 0).await;
        assert_eq!(reader.calls(), ["read", "read copy", "save"]);
        hours(&cached(&reader), 0).await;
        assert_eq!(reader.calls(), ["read", "read copy"]);
    }

    #[tokio::test]
    async fn a_removed_file_puts_the_built_in_rules_in_force() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        let cached = cached(&reader);
        hours(&cached, 0).await;
        reader.remove_file();
        assert_eq!(hours(&cached, 60).await, 1);
        reader.set_file(TWO_HOURS);
        assert_eq!(hours(&cached, 120).await, 2);
    }

    #[tokio::test]
    async fn a_failing_read_leaves_the_last_rules_and_is_logged_once() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        let cached = cached(&reader);
        hours(&cached, 0).await;
        reader.fail_reads();
        let log = LogLines::capture();
        for minute in 1..5 {
            assert_eq!(hours(&cached, minute * 60).await, 2);
        }
        assert_eq!(log.containing("rules not read").len(), 1, "{log:?}");
        reader.set_file(THREE_HOURS);
        assert_eq!(hours(&cached, 300).await, 3);
    }

    #[tokio::test]
    async fn a_start_that_cannot_read_the_file_uses_the_copy_and_retries_soon() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        hours(&cached(&reader), 0).await;
        reader.fail_reads();
        let restarted = cached(&reader);
        assert_eq!(hours(&restarted, 0).await, 2);
        reader.set_file(THREE_HOURS);
        assert_eq!(hours(&restarted, 0).await, 2);
        assert_eq!(hours(&restarted, 1).await, 3);
    }

    #[tokio::test]
    async fn a_start_that_can_read_neither_file_nor_copy_has_no_rules() {
        let reader = FakeRuleReader::default();
        reader.fail_reads();
        let cached = cached(&reader);
        let error = cached.current(at(0)).await.unwrap_err();
        assert_eq!(error.chain(), "the rules are not known: they could not be read since the start");
        reader.set_file(THREE_HOURS);
        assert!(cached.current(at(0)).await.is_err(), "the next read is after a second, not with each push");
        assert_eq!(hours(&cached, 1).await, 3);
        reader.fail_reads();
        assert_eq!(hours(&cached, 70).await, 3);
    }

    #[tokio::test]
    async fn the_accepted_copy_is_read_again_while_the_file_cannot_be_read() {
        let reader = FakeRuleReader::with_file(TWO_HOURS);
        hours(&cached(&reader), 0).await;
        reader.fail_reads();
        reader.hides_copy.store(true, Ordering::Relaxed);
        let restarted = cached(&reader);
        assert!(restarted.current(at(0)).await.is_err());
        reader.hides_copy.store(false, Ordering::Relaxed);
        assert_eq!(hours(&restarted, 1).await, 2);
        reader.calls();
        assert_eq!(hours(&restarted, 2).await, 2);
        assert_eq!(reader.calls(), ["read"], "once it is in force, the copy is not read again");
    }

    #[tokio::test]
    async fn a_file_that_is_readable_again_but_invalid_gives_way_to_the_copy_or_the_built_in_rules() {
        for (accepted, expected) in [(None, 1), (Some(TWO_HOURS), 2)] {
            let reader = FakeRuleReader::default();
            *reader.accepted.lock().unwrap() = accepted.map(str::to_owned);
            reader.hides_copy.store(true, Ordering::Relaxed);
            reader.fail_reads();
            let cached = cached(&reader);
            assert!(cached.current(at(0)).await.is_err());
            reader.set_file(INVALID);
            assert!(cached.current(at(1)).await.is_err(), "the copy is still unknown");
            reader.hides_copy.store(false, Ordering::Relaxed);
            assert_eq!(hours(&cached, 2).await, expected);
            assert!(cached.refused().is_some());
            reader.set_file(THREE_HOURS);
            assert_eq!((hours(&cached, 61).await, hours(&cached, 62).await), (expected, 3));
        }
    }
}

//! Rules kept in memory, and when they are read again: the part that is the same for a bucket and for a file.

use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::cached_credentials::has_passed;
use crate::domain::rules::{RefusedRules, RuleSet};
use crate::ingest::ports::{RuleSource, UnavailableError, chain};

/// Where the first read failed, pushes are stored and evaluated later: it is tried again this soon.
const FIRST_READ_AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// What a reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The version that the caller has seen already.
    Unchanged,
    /// No rules file: the compiled-in pack is meant.
    Nothing,
    /// Another version.
    Rules {
        /// Changes whenever the text does.
        version: String,
        /// The file as it is.
        bytes: Vec<u8>,
    },
}

/// Reads a rules file from where it is kept.
pub trait RuleReader: Send + Sync {
    /// What faults call the file: `config/rules.toml`.
    fn name(&self) -> &str;

    /// Reads the file, unless it still is of the version `seen`.
    ///
    /// # Errors
    /// [`UnavailableError`] where it cannot be read now; a retry can help.
    fn read(&self, seen: Option<&str>) -> impl Future<Output = Result<Found, UnavailableError>> + Send;

    /// The file that was accepted last, by this process or another; `None` where nothing is kept.
    ///
    /// # Errors
    /// [`UnavailableError`] where it cannot be read now; a retry can help.
    fn accepted(&self) -> impl Future<Output = Result<Option<Vec<u8>>, UnavailableError>> + Send;

    /// Keeps an accepted file for processes that start while the file is broken.
    ///
    /// # Errors
    /// [`UnavailableError`] where it was not confirmed as kept; a retry can help.
    fn keep_accepted(&self, bytes: &[u8]) -> impl Future<Output = Result<(), UnavailableError>> + Send;
}

/// Rules from `R`, as last read and accepted; the compiled-in pack if there is no file.
///
/// The file is read at first use and looked at again at most once an interval. A broken version is refused as a whole,
/// every fault of it logged once; the last accepted rules stay in force.
#[derive(Debug)]
pub struct CachedRules<R> {
    reader: R,
    interval: SignedDuration,
    in_force: RwLock<InForce>,
    /// Held while reading.
    reads: Mutex<Reads>,
}

#[derive(Clone, Debug, Default)]
struct InForce {
    /// `None` as long as the reader has said nothing.
    rules: Option<Arc<RuleSet>>,
    /// Whether they are what the reader said, and not what was accepted before it fell silent.
    are_settled: bool,
    /// The version that was read last, if it was refused.
    refused: Option<RefusedRules>,
}

#[derive(Debug, Default)]
struct Reads {
    /// When the last one began.
    last: Option<Timestamp>,
    /// The version that was read last, accepted or not.
    seen: Option<String>,
    /// Whether the last one failed, so that a failure that goes on is logged once.
    is_failing: bool,
    /// Whether the accepted text was asked for because the file could not be read, which is worth doing once.
    has_fallen_back: bool,
    /// Whether there was one, and it is in force.
    found_accepted: bool,
}

impl<R: RuleReader> CachedRules<R> {
    /// Nothing is read yet. `interval` is how often the file is looked at again.
    pub fn new(reader: R, interval: SignedDuration) -> Self {
        Self { reader, interval, in_force: RwLock::default(), reads: Mutex::default() }
    }

    /// Reads the file now, for a start that must not go on with other rules than somebody chose: the file's, or, if that has
    /// faults, the ones that were accepted last.
    ///
    /// # Errors
    /// What is wrong, one text a fault: the file cannot be read, or has faults and no rules were ever accepted. Only another
    /// file can help.
    pub async fn open(reader: R, interval: SignedDuration, now: Timestamp) -> Result<Self, Vec<String>> {
        let cached = Self::new(reader, interval);
        let mut reads = Reads::default();
        let faults = cached.update(&mut reads, now).await;
        if !faults.is_empty() && (reads.is_failing || !reads.found_accepted) {
            return Err(faults);
        }
        Ok(Self { reads: Mutex::new(reads), ..cached })
    }

    fn in_force(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put_in_force(&self, rules: RuleSet, are_settled: bool, refused: Option<RefusedRules>) {
        let in_force = InForce { rules: Some(Arc::new(rules)), are_settled, refused };
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = in_force;
    }

    fn refuse(&self, refused: RefusedRules) {
        self.in_force.write().unwrap_or_else(PoisonError::into_inner).refused = Some(refused);
    }

    /// Puts rules of a file in force, and logs their warnings.
    fn accept(&self, rules: RuleSet, version: &str) {
        for warning in &rules.warnings {
            tracing::warn!(file = self.reader.name(), version, %warning, "rules accepted with a warning");
        }
        self.put_in_force(rules, true, None);
    }

    fn parse(&self, bytes: &[u8]) -> Result<RuleSet, Vec<impl Display + use<R>>> {
        RuleSet::read(self.reader.name(), bytes)
    }

    /// Looks at the file again. What is wrong with it, one text a fault.
    async fn update(&self, reads: &mut Reads, now: Timestamp) -> Vec<String> {
        let had_failed = std::mem::replace(&mut reads.is_failing, false);
        reads.last = Some(now);
        match self.reader.read(reads.seen.as_deref()).await {
            Ok(Found::Unchanged) => Vec::new(),
            Ok(Found::Nothing) => {
                self.return_to_pack(reads);
                Vec::new()
            }
            Ok(Found::Rules { version, bytes }) => self.judge(reads, version, &bytes).await,
            Err(fault) => {
                reads.is_failing = true;
                if !had_failed {
                    tracing::warn!(
                        file = self.reader.name(),
                        fault = chain(&fault),
                        "the rules could not be read; the last ones stay, if there are any"
                    );
                }
                self.fall_back(reads).await;
                vec![chain(&fault)]
            }
        }
    }

    fn return_to_pack(&self, reads: &mut Reads) {
        if reads.seen.take().is_some() {
            tracing::info!(file = self.reader.name(), "the rules file is gone; the compiled-in rules are in force");
        }
        self.put_in_force(RuleSet::pack(), true, None);
    }

    async fn judge(&self, reads: &mut Reads, version: String, bytes: &[u8]) -> Vec<String> {
        let faults = match self.parse(bytes) {
            Ok(rules) => {
                tracing::info!(file = self.reader.name(), version, "rules accepted");
                self.accept(rules, &version);
                self.keep(bytes).await;
                Vec::new()
            }
            Err(faults) => {
                for fault in &faults {
                    tracing::error!(file = self.reader.name(), version, %fault, "new rules are refused; the last ones stay");
                }
                self.fall_back(reads).await;
                self.refuse(RefusedRules::of(self.reader.name(), &version, &faults));
                faults.iter().map(ToString::to_string).collect()
            }
        };
        // Looked at again as long as no rules are in force for it.
        reads.seen = self.in_force().are_settled.then_some(version);
        faults
    }

    /// Where no rules were accepted since the start: those that were accepted before it, else the pack if the file is there and
    /// broken. If either could not be read, nothing changes.
    async fn fall_back(&self, reads: &mut Reads) {
        let was_asked = reads.is_failing && std::mem::replace(&mut reads.has_fallen_back, true);
        if self.in_force().are_settled || was_asked {
            return;
        }
        let kept = match self.reader.accepted().await {
            Ok(kept) => kept,
            Err(fault) => {
                tracing::warn!(fault = chain(&fault), "the rules accepted last could not be read");
                return;
            }
        };
        match kept.and_then(|bytes| self.parse(&bytes).ok()) {
            Some(rules) => {
                tracing::warn!("the rules that were accepted last are in force");
                // Not settled by a read that failed: the file itself is still unknown.
                self.put_in_force(rules, !reads.is_failing, None);
                reads.found_accepted = true;
            }
            None if reads.is_failing => {}
            None => {
                tracing::warn!("the compiled-in rules are in force");
                self.put_in_force(RuleSet::pack(), true, None);
            }
        }
    }

    async fn keep(&self, bytes: &[u8]) {
        let kept = match self.reader.accepted().await {
            // A start with the same rules writes nothing.
            Ok(Some(kept)) if kept == bytes => Ok(()),
            Ok(_) => self.reader.keep_accepted(bytes).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = kept {
            tracing::warn!(fault = chain(&fault), "the accepted rules were not kept for a start with broken ones");
        }
    }

    fn is_due(&self, reads: &Reads, now: Timestamp) -> bool {
        let interval = if self.in_force().are_settled { self.interval } else { FIRST_READ_AGAIN.min(self.interval) };
        has_passed(interval, reads.last, now)
    }
}

#[async_trait]
impl<R: RuleReader> RuleSource for CachedRules<R> {
    async fn current(&self, now: Timestamp) -> Result<Arc<RuleSet>, UnavailableError> {
        let before = self.in_force();
        let reads = if before.are_settled {
            // Whoever finds another reading does not wait for it: the last rules are good enough.
            self.reads.try_lock().ok()
        } else {
            Some(self.reads.lock().await)
        };
        let rules = match reads {
            Some(mut reads) if self.is_due(&reads, now) => {
                self.update(&mut reads, now).await;
                self.in_force().rules
            }
            // Read again: another may have finished while this one waited.
            Some(_) => self.in_force().rules,
            None => before.rules,
        };
        rules.ok_or_else(|| UnavailableError::new("the rules are not known", "they could not be read since the start"))
    }

    fn refused(&self) -> Option<RefusedRules> {
        self.in_force().refused
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::adapters::log_lines::LogLines;

    /// A bucket that holds what it is told to, and notes what is asked of it.
    #[derive(Debug, Default)]
    struct Memory {
        file: StdMutex<Option<Result<(String, String), ()>>>,
        accepted: StdMutex<Option<String>>,
        hides_accepted: AtomicBool,
        asked: StdMutex<Vec<&'static str>>,
    }

    impl Memory {
        fn holding(text: &str) -> Self {
            let memory = Self::default();
            memory.holds(text);
            memory
        }

        fn holds(&self, text: &str) {
            *self.file.lock().unwrap() = Some(Ok((text.to_owned(), text.to_owned())));
        }

        fn holds_nothing(&self) {
            *self.file.lock().unwrap() = None;
        }

        fn is_silent(&self) {
            *self.file.lock().unwrap() = Some(Err(()));
        }

        fn accepted(&self) -> Option<String> {
            self.accepted.lock().unwrap().clone()
        }

        fn asked(&self) -> Vec<&'static str> {
            std::mem::take(&mut *self.asked.lock().unwrap())
        }
    }

    impl RuleReader for &Memory {
        fn name(&self) -> &str {
            "rules.toml"
        }

        async fn read(&self, seen: Option<&str>) -> Result<Found, UnavailableError> {
            self.asked.lock().unwrap().push("read");
            tokio::task::yield_now().await;
            match self.file.lock().unwrap().clone() {
                None => Ok(Found::Nothing),
                Some(Ok((version, _))) if seen == Some(&version) => Ok(Found::Unchanged),
                Some(Ok((version, text))) => Ok(Found::Rules { version, bytes: text.into() }),
                Some(Err(())) => Err(UnavailableError::new("the bucket did not answer", "no route")),
            }
        }

        async fn accepted(&self) -> Result<Option<Vec<u8>>, UnavailableError> {
            self.asked.lock().unwrap().push("accepted");
            if self.hides_accepted.load(Ordering::Relaxed) {
                return Err(UnavailableError::new("the bucket did not answer", "no route"));
            }
            Ok(self.accepted.lock().unwrap().clone().map(String::into_bytes))
        }

        async fn keep_accepted(&self, bytes: &[u8]) -> Result<(), UnavailableError> {
            self.asked.lock().unwrap().push("keep");
            *self.accepted.lock().unwrap() = Some(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(())
        }
    }

    const TWO_HOURS: &str = "max_age = \"2h\"\n";
    const THREE_HOURS: &str = "max_age = \"3h\"\n";
    const BROKEN: &str = "max_age = 7\nmax_ages = 7\n";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn cached(memory: &Memory) -> CachedRules<&Memory> {
        CachedRules::new(memory, SignedDuration::from_mins(1))
    }

    /// The one setting by which these tests tell rules apart; the pack's is 1.
    async fn hours(cached: &CachedRules<&Memory>, second: i64) -> i64 {
        cached.current(at(second)).await.unwrap().max_age.as_hours()
    }

    #[tokio::test]
    async fn no_file_means_the_pack() {
        let memory = Memory::default();
        assert_eq!(hours(&cached(&memory), 0).await, 1);
        assert_eq!(memory.asked(), ["read"]);
    }

    #[tokio::test]
    async fn a_changed_file_is_in_force_after_a_minute_and_not_before() {
        let memory = Memory::holding(TWO_HOURS);
        let cached = cached(&memory);
        assert_eq!(hours(&cached, 0).await, 2);
        memory.holds(THREE_HOURS);
        assert_eq!(hours(&cached, 59).await, 2);
        assert_eq!(hours(&cached, 60).await, 3);
    }

    #[tokio::test]
    async fn the_file_is_looked_at_once_a_minute_however_many_pushes_come() {
        let memory = Memory::holding(TWO_HOURS);
        let cached = cached(&memory);
        tokio::join!(hours(&cached, 0), hours(&cached, 0), hours(&cached, 1));
        for second in 0..120 {
            hours(&cached, second).await;
        }
        assert_eq!(memory.asked().iter().filter(|asked| **asked == "read").count(), 2);
    }

    #[tokio::test]
    async fn a_push_that_finds_another_reading_goes_on_with_the_last_rules() {
        let memory = Memory::holding(TWO_HOURS);
        let cached = cached(&memory);
        hours(&cached, 0).await;
        memory.holds(THREE_HOURS);
        let (reading, beside) = tokio::join!(hours(&cached, 60), hours(&cached, 60));
        assert_eq!((reading, beside), (3, 2));
    }

    #[tokio::test]
    async fn a_broken_file_is_refused_with_every_fault_once_and_the_last_rules_stay() {
        let memory = Memory::holding(TWO_HOURS);
        let cached = cached(&memory);
        hours(&cached, 0).await;
        memory.holds(BROKEN);
        let log = LogLines::capture();
        for minute in 1..5 {
            assert_eq!(hours(&cached, minute * 60).await, 2);
        }
        assert_eq!(log.containing("rules.toml:1:").len(), 1, "{log:?}");
        assert_eq!(log.containing("rules.toml:2:").len(), 1, "{log:?}");
        memory.holds(THREE_HOURS);
        assert_eq!(hours(&cached, 300).await, 3);
    }

    #[tokio::test]
    async fn warnings_of_an_accepted_file_are_logged_once() {
        let memory = Memory::holding("max_age = \"2h\"\n[[rule]]\nid = \"soap-low\"\nabove = 10\n");
        let log = LogLines::capture();
        let opened = CachedRules::open(&memory, SignedDuration::from_mins(1), at(0)).await.unwrap();
        assert_eq!((hours(&opened, 60).await, hours(&cached(&memory), 0).await), (2, 2));
        assert_eq!(log.containing("rules.toml:4:9: `above` is the other direction").len(), 2, "{log:?}");
        memory.holds("max_age = \"3h\"\n[[rule]]\nid = \"soap-low\"\nbelow = 10\n");
        assert_eq!(hours(&opened, 120).await, 3);
        assert_eq!(log.containing("warning=").len(), 2, "{log:?}");
    }

    #[tokio::test]
    async fn a_start_with_a_broken_file_uses_what_was_accepted_last() {
        let memory = Memory::holding(TWO_HOURS);
        hours(&cached(&memory), 0).await;
        assert_eq!(memory.accepted().as_deref(), Some(TWO_HOURS));
        memory.holds(BROKEN);
        let started_anew = cached(&memory);
        assert_eq!(hours(&started_anew, 0).await, 2);
        assert_eq!(hours(&started_anew, 60).await, 2);
        assert_eq!(memory.accepted().as_deref(), Some(TWO_HOURS), "a broken text is never kept");
    }

    #[tokio::test]
    async fn a_start_with_a_broken_file_and_nothing_accepted_uses_the_pack() {
        let memory = Memory::holding(BROKEN);
        assert_eq!(hours(&cached(&memory), 0).await, 1);
    }

    #[tokio::test]
    async fn a_start_with_the_accepted_rules_writes_nothing() {
        let memory = Memory::holding(TWO_HOURS);
        hours(&cached(&memory), 0).await;
        assert_eq!(memory.asked(), ["read", "accepted", "keep"]);
        hours(&cached(&memory), 0).await;
        assert_eq!(memory.asked(), ["read", "accepted"]);
    }

    #[tokio::test]
    async fn a_file_that_is_taken_away_gives_way_to_the_pack() {
        let memory = Memory::holding(TWO_HOURS);
        let cached = cached(&memory);
        hours(&cached, 0).await;
        memory.holds_nothing();
        assert_eq!(hours(&cached, 60).await, 1);
        memory.holds(TWO_HOURS);
        assert_eq!(hours(&cached, 120).await, 2);
    }

    #[tokio::test]
    async fn what_cannot_be_read_leaves_the_last_rules_and_is_logged_once() {
        let memory = Memory::holding(TWO_HOURS);
        let cached = cached(&memory);
        hours(&cached, 0).await;
        memory.is_silent();
        let log = LogLines::capture();
        for minute in 1..5 {
            assert_eq!(hours(&cached, minute * 60).await, 2);
        }
        assert_eq!(log.containing("could not be read").len(), 1, "{log:?}");
        memory.holds(THREE_HOURS);
        assert_eq!(hours(&cached, 300).await, 3);
    }

    #[tokio::test]
    async fn a_start_that_cannot_read_uses_what_was_accepted_and_tries_again_soon() {
        let memory = Memory::holding(TWO_HOURS);
        hours(&cached(&memory), 0).await;
        memory.is_silent();
        let started_anew = cached(&memory);
        assert_eq!(hours(&started_anew, 0).await, 2);
        memory.holds(THREE_HOURS);
        assert_eq!(hours(&started_anew, 0).await, 2);
        assert_eq!(hours(&started_anew, 1).await, 3);
    }

    #[tokio::test]
    async fn a_start_that_can_read_nothing_has_no_rules_until_it_can() {
        let memory = Memory::default();
        memory.is_silent();
        let cached = cached(&memory);
        let fault = cached.current(at(0)).await.unwrap_err();
        assert_eq!(fault.chain(), "the rules are not known: they could not be read since the start");
        memory.holds(THREE_HOURS);
        assert!(cached.current(at(0)).await.is_err(), "it asks again after a second, not with each push");
        assert_eq!(hours(&cached, 1).await, 3);
        memory.is_silent();
        assert_eq!(hours(&cached, 70).await, 3);
    }

    #[tokio::test]
    async fn a_file_that_could_not_be_read_and_then_is_broken_gives_way_to_what_was_accepted_or_to_the_pack() {
        for (accepted, expected) in [(None, 1), (Some(TWO_HOURS), 2)] {
            let memory = Memory::default();
            *memory.accepted.lock().unwrap() = accepted.map(str::to_owned);
            memory.hides_accepted.store(true, Ordering::Relaxed);
            memory.is_silent();
            let cached = cached(&memory);
            assert!(cached.current(at(0)).await.is_err());
            memory.holds(BROKEN);
            assert!(cached.current(at(1)).await.is_err(), "what was accepted last is still not known");
            memory.hides_accepted.store(false, Ordering::Relaxed);
            assert_eq!(hours(&cached, 2).await, expected);
            assert!(cached.refused().is_some());
            memory.holds(THREE_HOURS);
            assert_eq!((hours(&cached, 61).await, hours(&cached, 62).await), (expected, 3));
        }
    }

    #[tokio::test]
    async fn a_strict_start_names_every_fault_where_no_rules_were_ever_accepted() {
        let memory = Memory::holding(BROKEN);
        let faults = CachedRules::open(&memory, SignedDuration::from_secs(1), at(0)).await.unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        memory.is_silent();
        let faults = CachedRules::open(&memory, SignedDuration::from_secs(1), at(0)).await.unwrap_err();
        assert_eq!(faults, ["the bucket did not answer: no route"]);
        memory.holds(TWO_HOURS);
        let cached = CachedRules::open(&memory, SignedDuration::from_secs(1), at(0)).await.unwrap();
        assert_eq!(hours(&cached, 0).await, 2);
        memory.holds(BROKEN);
        let cached = CachedRules::open(&memory, SignedDuration::from_secs(1), at(0)).await.unwrap();
        assert_eq!(hours(&cached, 0).await, 2, "those that were accepted last");
        memory.is_silent();
        let faults = CachedRules::open(&memory, SignedDuration::from_secs(1), at(0)).await.unwrap_err();
        assert_eq!(faults, ["the bucket did not answer: no route"], "perhaps another file was meant");
    }
}

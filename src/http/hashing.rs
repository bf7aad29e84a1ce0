//! Slow password hashes: computed once for each client, few at a time, and where they hold nobody up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::auth::HashCheck;
use crate::domain::digest::Digest;

/// Pairs of name and password remembered to have held: more than an installation has clients.
const REMEMBERED: usize = 256;
/// Computations at a time. Each may take 128 MiB and a processor.
const AT_A_TIME: usize = 2;
/// How long a push waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// No turn came in time. A retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// What was checked, and the turns for what has to be.
#[derive(Debug)]
pub(super) struct Hashing {
    /// The identities of checks that held, the one used last at the end. Digests only: nothing secret in clear.
    held: Mutex<VecDeque<Digest>>,
    turns: Arc<Semaphore>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self { held: Mutex::default(), turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// The name of the first check that holds, `None` where none does.
    ///
    /// # Errors
    /// [`Busy`] where others' checks took too long.
    pub(super) async fn first_that_holds(&self, checks: Vec<HashCheck>) -> Result<Option<String>, Busy> {
        if let Some(name) = self.remembered(&checks) {
            return Ok(Some(name));
        }
        let turn = tokio::time::timeout(TURN_WITHIN, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        // Whoever had the turn before may have been the same client.
        if let Some(name) = self.remembered(&checks) {
            return Ok(Some(name));
        }
        let computed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            checks.into_iter().find(HashCheck::holds)
        });
        let holds = computed.await.map_err(|_| Busy)?;
        Ok(holds.map(|check| {
            self.remember(check.identity);
            check.username
        }))
    }

    fn remembered(&self, checks: &[HashCheck]) -> Option<String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (location, check) = checks.iter().find_map(|check| {
            let location = held.iter().position(|identity| *identity == check.identity)?;
            Some((location, check))
        })?;
        held.remove(location);
        held.push_back(check.identity);
        Some(check.username.clone())
    }

    fn remember(&self, identity: Digest) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= REMEMBERED {
            held.pop_front();
        }
        held.push_back(identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Check, Client, Credentials, Login, Secret};

    /// argon2id of "password" with the least memory there is.
    fn hash() -> String {
        let least = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).unwrap());
        argon2::PasswordHasher::hash_password_with_salt(&least, b"password", b"somesalt").unwrap().to_string()
    }

    fn checks(password: &str) -> Vec<HashCheck> {
        let client = Client { username: "test".into(), password: Secret::new(hash()) };
        let login = Login { username: "test".into(), password: Secret::new(password.into()) };
        match Credentials::of(vec![client]).unwrap().check(&login) {
            Check::Hashed(checks) => checks,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_password_that_held_is_not_computed_again_and_a_wrong_one_is_never_remembered() {
        let hashing = Hashing::new();
        assert_eq!(hashing.first_that_holds(checks("passwore")).await, Ok(None));
        assert_eq!(hashing.remembered(&checks("passwore")), None);
        assert_eq!(hashing.first_that_holds(checks("password")).await.unwrap().as_deref(), Some("test"));
        // With no turn left, only what is remembered gets an answer.
        hashing.turns.close();
        assert_eq!(hashing.first_that_holds(checks("password")).await.unwrap().as_deref(), Some("test"));
        assert_eq!(hashing.first_that_holds(checks("passwore")).await, Err(Busy));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded_and_what_is_used_stays() {
        let hashing = Hashing::new();
        hashing.first_that_holds(checks("password")).await.unwrap();
        for number in 0..10_000_u32 {
            hashing.remember(Digest::of(&number.to_be_bytes()));
            assert!(hashing.remembered(&checks("password")).is_some());
        }
        assert_eq!(hashing.held.lock().unwrap().len(), REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_does_not_wait_for_ever_for_its_turn() {
        let hashing = Hashing::new();
        let all = Arc::clone(&hashing.turns).acquire_many_owned(2).await.unwrap();
        assert_eq!(hashing.first_that_holds(checks("password")).await, Err(Busy));
        drop(all);
    }
}

//! Verifies slow password hashes: a few at a time, on threads that may block. Successful checks are cached.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::auth::HashCheck;
use crate::domain::digest::Digest;

/// Size of the cache: more entries than an installation has clients.
const CACHED: usize = 256;
/// Checks at a time. Each can take 128 MiB and a processor.
const PERMITS: usize = 2;
/// How long a push waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY: Problem = Problem::Busy { resource: "password hashes" };

pub(super) struct HashVerifier {
    /// The identities of successful checks, the one used last at the end. Digests contain no secret in clear.
    verified: Mutex<VecDeque<Digest>>,
    permits: Arc<Semaphore>,
}

impl HashVerifier {
    pub(super) fn new() -> Self {
        Self { verified: Mutex::default(), permits: Arc::new(Semaphore::new(PERMITS)) }
    }

    /// The client of the first check that succeeds; `None` if all fail.
    ///
    /// # Errors
    /// [`Problem::Busy`] if there is no permit in time. A retry can help.
    pub(super) async fn verify_any(&self, checks: Vec<HashCheck>) -> Result<Option<String>, Problem> {
        if let Some(client) = self.cached(&checks) {
            return Ok(Some(client));
        }
        let permit = tokio::time::timeout(PERMIT_TIMEOUT, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| BUSY)?.map_err(|_| BUSY)?;
        // Another push of the same client may have had the permit before.
        if let Some(client) = self.cached(&checks) {
            return Ok(Some(client));
        }
        let verifying = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            checks.into_iter().find(HashCheck::verify)
        });
        let verified = verifying.await.map_err(|_| BUSY)?;
        Ok(verified.map(|check| {
            self.cache(check.identity);
            check.username
        }))
    }

    fn cached(&self, checks: &[HashCheck]) -> Option<String> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, check) = checks.iter().find_map(|check| {
            let index = verified.iter().position(|identity| *identity == check.identity)?;
            Some((index, check))
        })?;
        verified.remove(index);
        verified.push_back(check.identity);
        Some(check.username.clone())
    }

    fn cache(&self, identity: Digest) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= CACHED {
            verified.pop_front();
        }
        verified.push_back(identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Client, Credentials, Login, LoginCheck, Secret};

    /// The argon2id hash of "password" with the least memory.
    fn hash() -> String {
        let least = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).unwrap());
        argon2::PasswordHasher::hash_password_with_salt(&least, b"password", b"somesalt").unwrap().to_string()
    }

    fn checks(password: &str) -> Vec<HashCheck> {
        let client = Client { username: "test".into(), password: Secret::new(hash()) };
        let login = Login { username: "test".into(), password: Secret::new(password.into()) };
        match Credentials::from_clients(vec![client]).unwrap().verify_login(&login) {
            LoginCheck::Hashed(checks) => checks,
            _ => panic!("the password is hashed"),
        }
    }

    #[tokio::test]
    async fn a_verified_password_is_cached_and_a_wrong_one_is_not() {
        let verifier = HashVerifier::new();
        assert_eq!(verifier.verify_any(checks("passwore")).await, Ok(None));
        assert_eq!(verifier.cached(&checks("passwore")), None);
        assert_eq!(verifier.verify_any(checks("password")).await.unwrap().as_deref(), Some("test"));
        // Without permits, only the cache answers.
        verifier.permits.close();
        assert_eq!(verifier.verify_any(checks("password")).await.unwrap().as_deref(), Some("test"));
        assert_eq!(verifier.verify_any(checks("passwore")).await, Err(BUSY));
    }

    #[tokio::test]
    async fn the_cache_is_bounded_and_keeps_the_entry_used_last() {
        let verifier = HashVerifier::new();
        verifier.verify_any(checks("password")).await.unwrap();
        for number in 0..10_000_u32 {
            verifier.cache(Digest::of(&number.to_be_bytes()));
            assert!(verifier.cached(&checks("password")).is_some());
        }
        assert_eq!(verifier.verified.lock().unwrap().len(), CACHED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_waits_a_limited_time_for_a_permit() {
        let verifier = HashVerifier::new();
        let all = Arc::clone(&verifier.permits).acquire_many_owned(2).await.unwrap();
        assert_eq!(verifier.verify_any(checks("password")).await, Err(BUSY));
        drop(all);
    }
}

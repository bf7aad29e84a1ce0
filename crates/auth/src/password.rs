//! Stored passwords: plain text, or a hash in the PHC string format.

use argon2::{Argon2, PasswordHash, PasswordVerifier as _};
use scrypt::Scrypt;

use super::secret::Secret;
use domain::digest::Digest;

/// Most memory of one hash, in bytes. RFC 9106's second recommended option takes 64 MiB, scrypt's customary `ln=17,r=8` takes 128.
/// The function has 512 MB.
const MOST_MEMORY: u64 = 128 << 20;
/// Most work of one hash, in bytes of memory times passes over it: about half a second of one processor.
const MOST_WORK: u64 = 512 << 20;
/// Least length of a hash, in bytes.
const LEAST_OUTPUT: usize = 16;

/// The password hash cannot be verified. Contains no part of it. A retry cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PasswordError {
    /// The hash is malformed, has no salt, or has fewer than 128 bits.
    #[error("an incomplete password hash: $argon2id$v=19$m=…,t=…,p=…$salt$hash is expected")]
    Malformed,
    /// The kind of hash is not supported.
    #[error("a password hash of an unsupported kind: use $argon2id$ or $scrypt$")]
    Kind,
    /// The hash takes too much memory or time, or has more than 16 lanes.
    #[error(
        "a password hash that costs too much: use at most 128 MiB of memory, 512 MiB of memory times passes, and 16 lanes"
    )]
    Cost,
}

#[derive(Clone)]
pub(super) enum Password {
    /// The digest of the password.
    Plain(Digest),
    Hashed(Box<SlowHash>),
}

/// A hash by argon2id or scrypt, within the limits of cost.
#[derive(Clone)]
pub(super) struct SlowHash {
    parsed: PasswordHash,
    is_scrypt: bool,
    /// The digest of the hash's text.
    pub(super) identity: Digest,
}

impl Password {
    pub(super) fn parse(text: &Secret) -> Result<Self, PasswordError> {
        let text = text.expose();
        let identity = Digest::of(text.as_bytes());
        if !is_supported_hash(text) {
            return if is_like_hash(text) { Err(PasswordError::Kind) } else { Ok(Self::Plain(identity)) };
        }
        let parsed = PasswordHash::new(text).map_err(|_| PasswordError::Malformed)?;
        let is_complete = parsed.salt.is_some() && parsed.hash.as_ref().is_some_and(|hash| hash.len() >= LEAST_OUTPUT);
        if !is_complete {
            return Err(PasswordError::Malformed);
        }
        let is_scrypt = text.starts_with("$scrypt$");
        let (memory, passes) = if is_scrypt { scrypt_cost(&parsed) } else { argon2_cost(&parsed) }?;
        if memory > MOST_MEMORY || memory.saturating_mul(passes) > MOST_WORK {
            return Err(PasswordError::Cost);
        }
        Ok(Self::Hashed(Box::new(SlowHash { parsed, is_scrypt, identity })))
    }
}

impl SlowHash {
    /// Compares a password with the hash. Takes the time and memory that the hash requires.
    pub(super) fn verify(&self, password: &str) -> bool {
        let password = password.as_bytes();
        let verified = if self.is_scrypt {
            Scrypt::new().verify_password(password, &self.parsed)
        } else {
            Argon2::default().verify_password(password, &self.parsed)
        };
        verified.is_ok()
    }
}

pub(super) fn is_supported_hash(text: &str) -> bool {
    text.starts_with("$argon2id$") || text.starts_with("$scrypt$")
}

/// Whether `text` looks like any hash. As a plain password it would authenticate everyone who has seen the hash.
///
/// Recognizes `$kind$…` of crypt(3), `{KIND}…` of LDAP (RFC 2307), and `kind$…$…` of web frameworks. `ops/credentials.py` has the same
/// rules.
fn is_like_hash(text: &str) -> bool {
    let has_kind = |end: char, is_part: fn(char) -> bool| {
        let kind = text.get(1..).and_then(|rest| rest.split_once(end)).map(|(kind, _)| kind);
        kind.is_some_and(|kind| !kind.is_empty() && kind.chars().all(is_part))
    };
    match text.chars().next() {
        Some('$') => {
            has_kind('$', |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | 'P' | 'H' | 'S'))
        }
        Some('{') => has_kind('}', |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-'),
        _ => {
            let kinds = ["argon2", "bcrypt", "md5", "pbkdf2", "scrypt", "sha1", "sha256", "sha512"];
            kinds.iter().any(|kind| text.starts_with(kind)) && text.matches('$').count() >= 2
        }
    }
}

/// Memory in bytes, and passes over it.
fn argon2_cost(hash: &PasswordHash) -> Result<(u64, u64), PasswordError> {
    let params = argon2::Params::try_from(hash).map_err(|_| PasswordError::Malformed)?;
    // Lanes add no cost: they are computed one after the other, in the same memory. RFC 9106 recommends four.
    if params.p_cost() > 16 {
        return Err(PasswordError::Cost);
    }
    Ok((u64::from(params.m_cost()) * 1024, u64::from(params.t_cost())))
}

/// Memory in bytes (128·N·r, RFC 7914 §2), and passes over it.
fn scrypt_cost(hash: &PasswordHash) -> Result<(u64, u64), PasswordError> {
    let params = scrypt::Params::try_from(hash).map_err(|_| PasswordError::Malformed)?;
    let memory = params.n().saturating_mul(128).saturating_mul(u64::from(params.r()));
    // scrypt writes the memory once and reads it once.
    Ok((memory, 2 * u64::from(params.p())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "password", from the reference implementation's test.c.
    const ARGON2: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    /// passlib's documentation of `scrypt`, "password".
    const SCRYPT: &str = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";

    fn parse(text: &str) -> Result<Password, PasswordError> {
        Password::parse(&Secret::new(text.to_owned()))
    }

    fn matches(hash: &str, password: &str) -> bool {
        match parse(hash).unwrap() {
            Password::Hashed(hash) => hash.verify(password),
            Password::Plain(_) => panic!("the password is hashed"),
        }
    }

    #[test]
    fn published_hashes_match_their_password_and_no_other() {
        for hash in [ARGON2, SCRYPT] {
            assert!(matches(hash, "password"), "{hash}");
            assert!(!matches(hash, "passwore"), "{hash}");
        }
    }

    #[test]
    fn unsupported_hashes_are_rejected_and_similar_texts_are_passwords() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/data/password-hashes.json")).unwrap();
        let texts = |name: &str| cases[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
        for text in texts("hashes") {
            assert_eq!(parse(text).err(), Some(PasswordError::Kind), "{text}");
        }
        for text in texts("passwords") {
            assert!(matches!(parse(text), Ok(Password::Plain(_))), "{text}");
        }
    }

    #[test]
    fn incomplete_hashes_are_rejected() {
        for text in [
            "$argon2id$",
            "$argon2id$v=19$m=65536,t=2,p=1",
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ",
            // 12 bytes.
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMa",
            "$argon2id$v=19$m=0,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q",
            "$scrypt$ln=99,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        ] {
            assert_eq!(parse(text).err(), Some(PasswordError::Malformed), "{text}");
        }
    }

    #[test]
    fn the_cost_limits_are_exact() {
        let argon2 = |m: u64, t: u32, p: u32| parse(&ARGON2.replace("m=65536,t=2,p=1", &format!("m={m},t={t},p={p}")));
        assert!(argon2(128 << 10, 4, 1).is_ok());
        assert_eq!(argon2(128 << 10, 5, 1).err(), Some(PasswordError::Cost));
        assert_eq!(argon2((128 << 10) + 1, 1, 1).err(), Some(PasswordError::Cost));
        assert_eq!(argon2(1 << 22, 1_000, 1).err(), Some(PasswordError::Cost));
        assert!(argon2(64 << 10, 3, 4).is_ok(), "RFC 9106 §4, the second recommended option");
        assert!(argon2(64 << 10, 3, 16).is_ok());
        assert_eq!(argon2(64 << 10, 3, 17).err(), Some(PasswordError::Cost));
        let scrypt = |ln: u32, r: u32, p: u32| parse(&SCRYPT.replace("ln=16,r=8,p=1", &format!("ln={ln},r={r},p={p}")));
        assert!(scrypt(17, 8, 2).is_ok());
        assert_eq!(scrypt(17, 8, 3).err(), Some(PasswordError::Cost));
        assert_eq!(scrypt(17, 6, 3).err(), Some(PasswordError::Cost), "96 MiB six times");
        assert!(scrypt(17, 5, 3).is_ok());
        assert_eq!(scrypt(18, 8, 1).err(), Some(PasswordError::Cost));
    }
}

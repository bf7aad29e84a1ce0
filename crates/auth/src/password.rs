//! Passwords as the credentials hold them: the text itself, or a hash in the PHC string format.

use std::fmt;

use argon2::{Argon2, PasswordHash, PasswordVerifier as _};
use scrypt::Scrypt;

use super::secret::Secret;
use domain::digest::Digest;

/// Most memory that one hash may take, in bytes: RFC 9106's second choice is 64 MiB, and scrypt's customary `ln=17,r=8`
/// is 128. The function has 512 MB.
const MOST_MEMORY: u64 = 128 << 20;
/// Most work, in bytes written: about half a second of one processor, and a push waits for it once.
const MOST_WORK: u64 = 512 << 20;
/// Least bytes of a hash: 128 bits.
const LEAST_OUTPUT: usize = 16;
/// Why a text is not a usable hash. Holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// It begins as a hash does and is none, or one without salt or of fewer than 128 bits.
    Malformed,
    /// It is a hash of another kind.
    Kind,
    /// Checking it would take too much memory or time.
    Cost,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a password hash that is not whole: $argon2id$v=19$m=…,t=…,p=…$salt$hash is expected",
            Self::Kind => "a password hash of a kind that is not known here: $argon2id$ and $scrypt$ are",
            Self::Cost => "a password hash that costs too much: at most 128 MiB of memory, and 512 MiB times passes",
        })
    }
}

/// A password to compare with.
#[derive(Clone)]
pub(super) enum Password {
    /// Known by its text's digest.
    Plain(Digest),
    /// Known by a slow hash.
    Hashed(Box<Hash>),
}

/// A slow hash within bounds, argon2id or scrypt.
#[derive(Clone)]
pub(super) struct Hash {
    parsed: PasswordHash,
    is_scrypt: bool,
    /// Which hash this is, for the cache of those that were checked.
    pub(super) identity: Digest,
}

impl Password {
    pub(super) fn read(text: &Secret) -> Result<Self, PasswordError> {
        let text = text.expose();
        let is_scrypt = text.starts_with("$scrypt$");
        if !is_verified_hash(text) {
            return match looks_like_a_hash(text) {
                true => Err(PasswordError::Kind),
                false => Ok(Self::Plain(Digest::of(text.as_bytes()))),
            };
        }
        let parsed = PasswordHash::new(text).map_err(|_| PasswordError::Malformed)?;
        let is_whole = parsed.salt.is_some() && parsed.hash.as_ref().is_some_and(|hash| hash.len() >= LEAST_OUTPUT);
        if !is_whole {
            return Err(PasswordError::Malformed);
        }
        let (memory, passes) = if is_scrypt { scrypt_cost(&parsed) } else { argon2_cost(&parsed) }?;
        if memory > MOST_MEMORY || memory.saturating_mul(passes) > MOST_WORK {
            return Err(PasswordError::Cost);
        }
        Ok(Self::Hashed(Box::new(Hash { parsed, is_scrypt, identity: Digest::of(text.as_bytes()) })))
    }
}

impl Hash {
    /// Whether `password` is the one. Takes as long and as much memory as the hash asks for.
    pub(super) fn is_of(&self, password: &str) -> bool {
        let password = password.as_bytes();
        let verified = match self.is_scrypt {
            true => Scrypt::new().verify_password(password, &self.parsed),
            false => Argon2::default().verify_password(password, &self.parsed),
        };
        verified.is_ok()
    }
}

/// Whether `text` is written as a hash of a kind that is verified here.
pub(super) fn is_verified_hash(text: &str) -> bool {
    text.starts_with("$argon2id$") || text.starts_with("$scrypt$")
}

/// Whether `text` is written as hashes are. As a password it would let in whoever has seen the hash.
///
/// Three ways of writing one are known: `$kind$…` of crypt(3), `{KIND}…` of LDAP (RFC 2307), and `kind$…$…` of web frameworks.
/// `ops/credentials.py` decides in the same way.
fn looks_like_a_hash(text: &str) -> bool {
    let kind_ends_at = |end: char, is_part: fn(char) -> bool| {
        let kind = text.get(1..).and_then(|rest| rest.split_once(end)).map(|(kind, _)| kind);
        kind.is_some_and(|kind| !kind.is_empty() && kind.chars().all(is_part))
    };
    match text.chars().next() {
        Some('$') => {
            kind_ends_at('$', |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | 'P' | 'H' | 'S'))
        }
        Some('{') => kind_ends_at('}', |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-'),
        _ => {
            let kinds = ["argon2", "bcrypt", "md5", "pbkdf2", "scrypt", "sha1", "sha256", "sha512"];
            kinds.iter().any(|kind| text.starts_with(kind)) && text.matches('$').count() >= 2
        }
    }
}

/// Bytes of memory, and how often they are gone over.
fn argon2_cost(hash: &PasswordHash) -> Result<(u64, u64), PasswordError> {
    let params = argon2::Params::try_from(hash).map_err(|_| PasswordError::Malformed)?;
    // More lanes than this are threads elsewhere; here they are done one after the other, in the same memory.
    if params.p_cost() > 16 {
        return Err(PasswordError::Cost);
    }
    Ok((u64::from(params.m_cost()) * 1024, u64::from(params.t_cost())))
}

/// Bytes of memory (128·N·r, RFC 7914 §2), and how often they are gone over.
fn scrypt_cost(hash: &PasswordHash) -> Result<(u64, u64), PasswordError> {
    let params = scrypt::Params::try_from(hash).map_err(|_| PasswordError::Malformed)?;
    let memory = params.n().saturating_mul(128).saturating_mul(u64::from(params.r()));
    // Written once and read once.
    Ok((memory, 2 * u64::from(params.p())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "password", from the reference implementation's test.c.
    const ARGON2: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    /// passlib's documentation of `scrypt`, "password".
    const SCRYPT: &str = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";

    fn read(text: &str) -> Result<Password, PasswordError> {
        Password::read(&Secret::new(text.to_owned()))
    }

    fn is_of(hash: &str, password: &str) -> bool {
        match read(hash).unwrap() {
            Password::Hashed(hash) => hash.is_of(password),
            Password::Plain(_) => panic!("not taken for a hash"),
        }
    }

    #[test]
    fn the_published_hashes_are_of_their_password_and_of_no_other() {
        for hash in [ARGON2, SCRYPT] {
            assert!(is_of(hash, "password"), "{hash}");
            assert!(!is_of(hash, "passwore"), "{hash}");
        }
    }

    #[test]
    fn hashes_of_other_kinds_are_refused_and_what_looks_a_little_like_one_is_a_password() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/data/password-hashes.json")).unwrap();
        let texts = |name: &str| cases[name].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
        for text in texts("hashes") {
            assert_eq!(read(text).err(), Some(PasswordError::Kind), "{text}");
        }
        for text in texts("passwords") {
            assert!(matches!(read(text), Ok(Password::Plain(_))), "{text}");
        }
    }

    #[test]
    fn hashes_that_are_not_whole_are_refused() {
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
            assert_eq!(read(text).err(), Some(PasswordError::Malformed), "{text}");
        }
    }

    #[test]
    fn costs_are_bounded_one_step_either_side() {
        let argon2 = |m: u64, t: u32, p: u32| read(&ARGON2.replace("m=65536,t=2,p=1", &format!("m={m},t={t},p={p}")));
        assert!(argon2(128 << 10, 4, 1).is_ok());
        assert_eq!(argon2(128 << 10, 5, 1).err(), Some(PasswordError::Cost));
        assert_eq!(argon2((128 << 10) + 1, 1, 1).err(), Some(PasswordError::Cost));
        assert_eq!(argon2(1 << 22, 1_000, 1).err(), Some(PasswordError::Cost));
        assert!(argon2(64 << 10, 3, 4).is_ok(), "RFC 9106 §4, the second recommended option");
        assert!(argon2(64 << 10, 3, 16).is_ok());
        assert_eq!(argon2(64 << 10, 3, 17).err(), Some(PasswordError::Cost));
        let scrypt = |ln: u32, r: u32, p: u32| read(&SCRYPT.replace("ln=16,r=8,p=1", &format!("ln={ln},r={r},p={p}")));
        assert!(scrypt(17, 8, 2).is_ok());
        assert_eq!(scrypt(17, 8, 3).err(), Some(PasswordError::Cost));
        assert_eq!(scrypt(17, 6, 3).err(), Some(PasswordError::Cost), "96 MiB six times");
        assert!(scrypt(17, 5, 3).is_ok());
        assert_eq!(scrypt(18, 8, 1).err(), Some(PasswordError::Cost));
    }
}

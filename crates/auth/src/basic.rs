//! Names with passwords: Basic authentication (RFC 7617), and the same pair where a client asks for tokens.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use subtle::{Choice, ConstantTimeEq};

use super::credentials::{Client, Credentials};
use super::password::{Hash, Password};
use super::secret::Secret;
use domain::digest::Digest;

/// Standard alphabet; padding is required by RFC 7617's reference to RFC 4648, yet some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A name and a password as somebody sent them.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name. Anybody can send any.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Login {
    /// Takes an `Authorization` header's `Basic <base64 of user:password>` apart; `None` where it is something else. The
    /// scheme's case does not matter; the password may hold colons.
    #[must_use]
    pub fn of_basic(authorization: &str) -> Option<Self> {
        let (scheme, encoded) = authorization.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        Some(Self { username: username.to_owned(), password: Secret::new(password.to_owned()) })
    }
}

/// What comes of looking for a [`Login`] among the credentials.
#[derive(Debug)]
pub enum Check<'c> {
    /// It is this client's.
    Known(&'c Client),
    /// It is nobody's.
    Unknown,
    /// It is this client's if one of these slow computations says so.
    Hashed(Vec<HashCheck>),
}

/// The slow comparison of a password with its hash, to be done where it holds nobody up.
#[derive(Clone)]
pub struct HashCheck {
    /// Whose password it may be.
    pub username: String,
    /// Names the pair of name and password, and the hash: a cache of those that held can be kept by it, and holds
    /// nothing that is secret in clear.
    pub identity: Digest,
    password: Secret,
    hash: Box<Hash>,
}

impl HashCheck {
    /// Does it: whether the password is the client's. Takes about half a second and 128 MiB at most.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.hash.is_of(self.password.expose())
    }
}

impl std::fmt::Debug for HashCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashCheck").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Looks for a login among the clients.
    ///
    /// Takes the same time for a wrong guess however near it comes: digests are compared, every client's, to the end. That
    /// a name has a hashed password can be seen from the time it takes; names are no secrets.
    #[must_use]
    pub fn check(&self, login: &Login) -> Check<'_> {
        let name = Digest::of(login.username.as_bytes());
        let password = Digest::of(login.password.expose().as_bytes());
        let mut known = None;
        let mut hashed = Vec::new();
        for (client, expected) in self.entries() {
            let is_named = same(name, Digest::of(client.username.as_bytes()));
            match expected {
                Password::Plain(expected) if bool::from(is_named & same(password, *expected)) => known = Some(client),
                Password::Hashed(hash) if bool::from(is_named) => hashed.push(HashCheck {
                    username: client.username.clone(),
                    identity: Digest::of_fields(&[name.as_bytes(), password.as_bytes(), hash.identity.as_bytes()]),
                    password: login.password.clone(),
                    hash: hash.clone(),
                }),
                Password::Plain(_) | Password::Hashed(_) => {}
            }
        }
        match known {
            Some(client) => Check::Known(client),
            None if hashed.is_empty() => Check::Unknown,
            None => Check::Hashed(hashed),
        }
    }
}

fn same(a: Digest, b: Digest) -> Choice {
    a.as_bytes().ct_eq(b.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(username: &str, password: &str) -> Credentials {
        let client = Client { username: username.into(), password: Secret::new(password.into()) };
        Credentials::of(vec![client]).unwrap()
    }

    fn client<'c>(known: &'c Credentials, header: &str) -> Option<&'c str> {
        match known.check(&Login::of_basic(header)?) {
            Check::Known(client) => Some(&client.username),
            Check::Unknown => None,
            Check::Hashed(_) => panic!("nothing is hashed"),
        }
    }

    #[test]
    fn the_rfcs_own_examples_are_let_in() {
        // RFC 7617 §2 and §2.1 (UTF-8).
        let aladdin = credentials("Aladdin", "open sesame");
        assert_eq!(client(&aladdin, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Some("Aladdin"));
        assert_eq!(client(&credentials("test", "123£"), "Basic dGVzdDoxMjPCow=="), Some("test"));
    }

    #[test]
    fn the_scheme_is_known_in_any_case_and_without_padding() {
        let known = credentials("test", "123£");
        for header in ["basic dGVzdDoxMjPCow==", "BASIC  dGVzdDoxMjPCow==", " Basic dGVzdDoxMjPCow "] {
            assert!(client(&known, header).is_some(), "{header}");
        }
    }

    #[test]
    fn a_password_may_hold_colons() {
        let header = format!("Basic {}", BASE64.encode("user:a:b:"));
        assert!(client(&credentials("user", "a:b:"), &header).is_some());
        assert!(client(&credentials("user", "a"), &header).is_none());
    }

    #[test]
    fn everything_else_stays_outside() {
        let known = credentials("test", "123£");
        let latin1 = format!("Basic {}", BASE64.encode(b"test:123\xa3"));
        let wrong = |text: &str| format!("Basic {}", BASE64.encode(text));
        for header in [
            "",
            "Basic",
            "Basic ",
            "Bearer dGVzdDoxMjPCow==",
            "dGVzdDoxMjPCow==",
            "Basic !!!!",
            &latin1,
            &wrong("test"),
            &wrong("test:"),
            &wrong("test:123"),
            &wrong("test:123£ "),
            &wrong("Test:123£"),
            &wrong(":123£"),
        ] {
            assert!(client(&known, header).is_none(), "{header:?}");
        }
    }

    #[test]
    fn every_client_is_known_by_its_own_password_only() {
        let json = r#"{"clients":[{"username":"a","password":"1"},{"username":"b","password":"2"}]}"#;
        let known = Credentials::parse(json).unwrap();
        let name = |text: &str| client(&known, &format!("Basic {}", BASE64.encode(text)));
        assert_eq!(name("a:1"), Some("a"));
        assert_eq!(name("b:2"), Some("b"));
        assert_eq!(name("a:2"), None);
    }

    #[test]
    fn a_hashed_password_is_compared_apart_and_only_for_its_own_name() {
        // 8 KiB: the least there is, since a test's hash need not be slow.
        let least = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).unwrap());
        let hash =
            argon2::PasswordHasher::hash_password_with_salt(&least, b"password", b"somesalt").unwrap().to_string();
        let known = credentials("test", &hash);
        let check = |password: &str| {
            let login = Login { username: "test".into(), password: Secret::new(password.into()) };
            match known.check(&login) {
                Check::Hashed(mut checks) => checks.remove(0),
                other => panic!("{other:?}"),
            }
        };
        assert!(!check("passwore").holds());
        assert_ne!(check("passwore").identity, check("password").identity);
        assert!(check("password").holds());
        assert!(!check(&hash).holds(), "whoever has seen the hash does not know the password");
        let stranger = Login { username: "other".into(), password: Secret::new("password".into()) };
        assert!(matches!(known.check(&stranger), Check::Unknown));
    }

    #[test]
    fn a_hash_that_is_to_be_checked_does_not_print() {
        let hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let known = credentials("u", hash);
        let login = Login { username: "u".into(), password: Secret::new("hunter2".into()) };
        let Check::Hashed(checks) = known.check(&login) else { panic!("not taken for a hash") };
        assert_eq!(format!("{:?}", checks[0]), r#"HashCheck { username: "u", .. }"#);
    }
}

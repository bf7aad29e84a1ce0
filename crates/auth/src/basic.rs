//! Logins: Basic authentication (RFC 7617), and the client id and secret of a token request.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use subtle::{Choice, ConstantTimeEq};

use super::credentials::{Client, Credentials};
use super::password::{Password, SlowHash};
use super::secret::Secret;
use domain::digest::Digest;

/// RFC 7617 requires padding, but some clients omit it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A name and a password as a client sent them.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name, unverified.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Login {
    /// Parses the `Authorization` header `Basic <base64 of user:password>`; `None` if it is anything else. The scheme matches in
    /// any case. The password may contain colons.
    ///
    /// # Examples
    /// ```
    /// use auth::Login;
    ///
    /// let login = Login::from_basic_header("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
    /// assert_eq!((login.username.as_str(), login.password.expose()), ("Aladdin", "open sesame"));
    /// ```
    #[must_use]
    pub fn from_basic_header(authorization: &str) -> Option<Self> {
        let (scheme, encoded) = authorization.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        Some(Self { username: username.to_owned(), password: Secret::new(password.to_owned()) })
    }
}

/// The result of [`Credentials::verify_login`].
pub enum LoginCheck<'c> {
    /// The login is that of this client.
    Verified(&'c Client),
    /// The name or the password is wrong.
    Rejected,
    /// The client has a hashed password. The login is right if one of these checks succeeds.
    Hashed(Vec<HashCheck>),
}

/// A comparison of a password with a slow hash, to run on a thread that may block. Not `Debug`: it contains the password.
#[derive(Clone)]
pub struct HashCheck {
    /// The client whose password is compared.
    pub username: String,
    /// Identifies name, password and hash, as a key for caches of successful checks. Contains no secret in clear.
    pub identity: Digest,
    password: Secret,
    hash: Box<SlowHash>,
}

impl HashCheck {
    /// Compares the password with the hash. Takes up to half a second and 128 MiB.
    #[must_use]
    pub fn verify(&self) -> bool {
        self.hash.verify(self.password.expose())
    }
}

impl Credentials {
    /// Compares a login with all clients.
    ///
    /// Takes the same time for every wrong guess: it compares digests in constant time, with each client. The duration only shows
    /// whether a name has a hashed password. Names are not secret.
    ///
    /// # Examples
    /// ```
    /// use auth::{Credentials, Login, LoginCheck};
    ///
    /// let credentials = Credentials::parse(r#"{"username":"Aladdin","password":"open sesame"}"#)?;
    /// let login = Login::from_basic_header("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").unwrap();
    /// assert!(matches!(credentials.verify_login(&login), LoginCheck::Verified(client) if client.username == "Aladdin"));
    /// # Ok::<(), auth::CredentialsError>(())
    /// ```
    #[must_use]
    pub fn verify_login(&self, login: &Login) -> LoginCheck<'_> {
        let name = Digest::of(login.username.as_bytes());
        let password = Digest::of(login.password.expose().as_bytes());
        let mut verified = None;
        let mut hashed = Vec::new();
        for (client, expected) in self.clients_with_passwords() {
            let is_named = is_equal(name, Digest::of(client.username.as_bytes()));
            match expected {
                Password::Plain(digest) if bool::from(is_named & is_equal(password, *digest)) => {
                    verified = Some(client)
                }
                Password::Hashed(hash) if bool::from(is_named) => hashed.push(HashCheck {
                    username: client.username.clone(),
                    identity: Digest::of_fields(&[name.as_bytes(), password.as_bytes(), hash.identity.as_bytes()]),
                    password: login.password.clone(),
                    hash: hash.clone(),
                }),
                Password::Plain(_) | Password::Hashed(_) => {}
            }
        }
        match verified {
            Some(client) => LoginCheck::Verified(client),
            None if hashed.is_empty() => LoginCheck::Rejected,
            None => LoginCheck::Hashed(hashed),
        }
    }
}

fn is_equal(a: Digest, b: Digest) -> Choice {
    a.as_bytes().ct_eq(b.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(username: &str, password: &str) -> Credentials {
        let client = Client { username: username.into(), password: Secret::new(password.into()) };
        Credentials::from_clients(vec![client]).unwrap()
    }

    fn client<'c>(known: &'c Credentials, header: &str) -> Option<&'c str> {
        match known.verify_login(&Login::from_basic_header(header)?) {
            LoginCheck::Verified(client) => Some(&client.username),
            LoginCheck::Rejected => None,
            LoginCheck::Hashed(_) => panic!("no password is hashed"),
        }
    }

    #[test]
    fn the_examples_of_rfc_7617_are_verified() {
        // RFC 7617 §2 and §2.1 (UTF-8).
        let aladdin = credentials("Aladdin", "open sesame");
        assert_eq!(client(&aladdin, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Some("Aladdin"));
        assert_eq!(client(&credentials("test", "123£"), "Basic dGVzdDoxMjPCow=="), Some("test"));
    }

    #[test]
    fn the_scheme_matches_in_any_case_and_padding_is_optional() {
        let known = credentials("test", "123£");
        for header in ["basic dGVzdDoxMjPCow==", "BASIC  dGVzdDoxMjPCow==", " Basic dGVzdDoxMjPCow "] {
            assert!(client(&known, header).is_some(), "{header}");
        }
    }

    #[test]
    fn a_password_may_contain_colons() {
        let header = format!("Basic {}", BASE64.encode("user:a:b:"));
        assert!(client(&credentials("user", "a:b:"), &header).is_some());
        assert!(client(&credentials("user", "a"), &header).is_none());
    }

    #[test]
    fn everything_else_is_rejected() {
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
    fn each_client_is_verified_by_its_own_password_only() {
        let json = r#"{"clients":[{"username":"a","password":"1"},{"username":"b","password":"2"}]}"#;
        let known = Credentials::parse(json).unwrap();
        let name = |text: &str| client(&known, &format!("Basic {}", BASE64.encode(text)));
        assert_eq!(name("a:1"), Some("a"));
        assert_eq!(name("b:2"), Some("b"));
        assert_eq!(name("a:2"), None);
    }

    #[test]
    fn a_hashed_password_is_verified_separately_and_only_for_its_own_client() {
        // 8 KiB, the minimum: the hash of a test need not be slow.
        let least = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).unwrap());
        let hash =
            argon2::PasswordHasher::hash_password_with_salt(&least, b"password", b"somesalt").unwrap().to_string();
        let known = credentials("test", &hash);
        let check = |password: &str| {
            let login = Login { username: "test".into(), password: Secret::new(password.into()) };
            match known.verify_login(&login) {
                LoginCheck::Hashed(mut checks) => checks.remove(0),
                _ => panic!("the password is hashed"),
            }
        };
        assert!(!check("passwore").verify());
        assert_ne!(check("passwore").identity, check("password").identity);
        assert!(check("password").verify());
        assert!(!check(&hash).verify(), "the hash is not the password");
        let stranger = Login { username: "other".into(), password: Secret::new("password".into()) };
        assert!(matches!(known.verify_login(&stranger), LoginCheck::Rejected));
    }
}

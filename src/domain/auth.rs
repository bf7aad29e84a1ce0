//! Who may push: Basic authentication (RFC 7617) against the credentials of the operator's secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use subtle::{Choice, ConstantTimeEq};

use super::digest::Digest;

/// Standard alphabet; padding is required by RFC 7617's reference to RFC 4648, yet some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A text that must not be shown. Prints as `Secret(..)`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One client that may push.
#[derive(Clone, Debug, Deserialize)]
pub struct Client {
    /// Its name; appears in logs.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// Everybody who may push. Read from JSON: `{"clients":[{"username":"…","password":"…"}]}`, or the shorter
/// `{"username":"…","password":"…"}` for one. Other members are left to other doors.
#[derive(Clone, Debug)]
pub struct Credentials {
    clients: Vec<Client>,
}

/// Why a text is not credentials. Holds nothing of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsFault {
    /// It is not JSON of the right shape.
    #[error(
        "the credentials are not JSON of the form {{\"username\":\"…\",\"password\":\"…\"}} \
         or {{\"clients\":[…]}} (line {line}, column {column})"
    )]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// It names nobody.
    #[error("the credentials name no client")]
    Empty,
    /// A name or password is empty.
    #[error("client {0} of the credentials has an empty username or password")]
    Blank(usize),
    /// A name has a colon, which Basic authentication cannot carry (RFC 7617 §2).
    #[error("client {0} of the credentials has a colon in its username, which Basic authentication cannot carry")]
    Colon(usize),
}

impl Credentials {
    /// Reads credentials from their JSON.
    ///
    /// # Errors
    /// [`CredentialsFault`] where the text is something else. Only other text can help.
    pub fn parse(json: &str) -> Result<Self, CredentialsFault> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(default)]
            clients: Vec<Client>,
            username: Option<String>,
            password: Option<Secret>,
        }
        let shape = |line, column| CredentialsFault::Shape { line, column };
        let document: Document = serde_json::from_str(json).map_err(|fault| shape(fault.line(), fault.column()))?;
        let mut clients = document.clients;
        match (document.username, document.password) {
            (Some(username), Some(password)) => clients.push(Client { username, password }),
            (None, None) => {}
            _ => return Err(shape(1, 1)),
        }
        Self::of(clients)
    }

    /// Credentials of these clients.
    ///
    /// # Errors
    /// [`CredentialsFault`] where there is none, or one that Basic authentication cannot carry.
    pub fn of(clients: Vec<Client>) -> Result<Self, CredentialsFault> {
        if clients.is_empty() {
            return Err(CredentialsFault::Empty);
        }
        for (index, client) in clients.iter().enumerate() {
            if client.username.is_empty() || client.password.expose().is_empty() {
                return Err(CredentialsFault::Blank(index + 1));
            }
            if client.username.contains(':') {
                return Err(CredentialsFault::Colon(index + 1));
            }
        }
        Ok(Self { clients })
    }

    /// The client that an `Authorization` header's value proves to be, `None` where it proves nothing.
    ///
    /// Takes the same time for a wrong guess however near it comes: digests are compared, every client's, to the end.
    #[must_use]
    pub fn verify_basic(&self, authorization: &str) -> Option<&Client> {
        let (username, password) = decode_basic(authorization)?;
        let (name_digest, password_digest) = (Digest::of(username.as_bytes()), Digest::of(password.as_bytes()));
        let mut known = None;
        for client in &self.clients {
            let name = same(name_digest, Digest::of(client.username.as_bytes()));
            let password = same(password_digest, Digest::of(client.password.expose().as_bytes()));
            if bool::from(name & password) {
                known = Some(client);
            }
        }
        known
    }

    /// The clients.
    #[must_use]
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }
}

fn same(a: Digest, b: Digest) -> Choice {
    a.as_bytes().ct_eq(b.as_bytes())
}

/// Takes `Basic <base64 of user:password>` apart. The scheme's case does not matter; the password may hold colons.
fn decode_basic(authorization: &str) -> Option<(String, String)> {
    let (scheme, encoded) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(username: &str, password: &str) -> Credentials {
        let client = Client { username: username.into(), password: Secret::new(password.into()) };
        Credentials::of(vec![client]).unwrap()
    }

    #[test]
    fn the_rfcs_own_examples_are_let_in() {
        // RFC 7617 §2 and §2.1 (UTF-8).
        assert!(credentials("Aladdin", "open sesame").verify_basic("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").is_some());
        assert!(credentials("test", "123£").verify_basic("Basic dGVzdDoxMjPCow==").is_some());
    }

    #[test]
    fn the_scheme_is_known_in_any_case_and_without_padding() {
        let known = credentials("test", "123£");
        for header in ["basic dGVzdDoxMjPCow==", "BASIC  dGVzdDoxMjPCow==", " Basic dGVzdDoxMjPCow "] {
            assert!(known.verify_basic(header).is_some(), "{header}");
        }
    }

    #[test]
    fn a_password_may_hold_colons_and_a_username_may_not() {
        let header = format!("Basic {}", BASE64.encode("user:a:b:"));
        assert!(credentials("user", "a:b:").verify_basic(&header).is_some());
        assert!(credentials("user", "a").verify_basic(&header).is_none());
        assert_eq!(Credentials::parse(r#"{"username":"a:b","password":"c"}"#).unwrap_err(), CredentialsFault::Colon(1));
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
            assert!(known.verify_basic(header).is_none(), "{header:?}");
        }
    }

    #[test]
    fn every_client_is_known_by_its_own_password_only() {
        let json = r#"{"clients":[{"username":"a","password":"1"},{"username":"b","password":"2"}],"signing_key":"x"}"#;
        let known = Credentials::parse(json).unwrap();
        let name =
            |text: &str| known.verify_basic(&format!("Basic {}", BASE64.encode(text))).map(|c| c.username.clone());
        assert_eq!(name("a:1").as_deref(), Some("a"));
        assert_eq!(name("b:2").as_deref(), Some("b"));
        assert_eq!(name("a:2"), None);
    }

    #[test]
    fn what_names_nobody_is_refused_without_repeating_it() {
        let fault = |json| Credentials::parse(json).unwrap_err();
        assert_eq!(fault("{}"), CredentialsFault::Empty);
        assert_eq!(fault(r#"{"clients":[]}"#), CredentialsFault::Empty);
        assert_eq!(fault(r#"{"username":"a","password":""}"#), CredentialsFault::Blank(1));
        assert!(matches!(fault(r#"{"username":"hunter2"}"#), CredentialsFault::Shape { .. }));
        assert!(!fault(r#"{"username":"a","password":7hunter2}"#).to_string().contains("hunter2"));
    }

    #[test]
    fn a_secret_does_not_print() {
        assert!(!format!("{:?}", credentials("user", "hunter2")).contains("hunter2"));
    }
}

//! Who may push, and how a sender is authenticated: one file for each way, all of them pure functions of the credentials, of what
//! was sent, and of the time.
//!
//! Whatever is compared with a secret is compared by its SHA-256 digest and to the end, so that the time it takes tells
//! nothing of how near a guess came.

mod basic;
mod credentials;
mod jwt;
mod method;
mod password;
mod secret;
mod signature;
mod token;

pub use self::basic::{Check, HashCheck, Login};
pub use self::credentials::{Client, Credentials, CredentialsError, SIGNING_KEY_BYTES, signing_key_of};
pub use self::jwt::TokenError;
pub use self::method::{AuthMethod, AuthMethods, AuthMethodsError};
pub use self::password::PasswordError;
pub use self::secret::Secret;
pub use self::signature::SharedAccess;
pub use self::token::{ACCESS_SECONDS, Issued, SCOPE};

//! Who may push, and how a sender is authenticated: one file for each way, all of them pure functions of the credentials, of what
//! was sent, and of the time.
//!
//! Whatever is compared with a secret is compared by its SHA-256 digest and to the end, so that the time it takes tells
//! nothing of how near a guess came.

mod basic;
mod credentials;
mod door;
mod jwt;
mod password;
mod secret;
mod signature;
mod token;

pub use self::basic::{Check, HashCheck, Login};
pub use self::credentials::{Client, Credentials, CredentialsFault, SIGNING_KEY_BYTES, signing_key_of};
pub use self::door::{Door, Doors, DoorsFault};
pub use self::jwt::TokenFault;
pub use self::password::PasswordFault;
pub use self::secret::Secret;
pub use self::signature::SharedAccess;
pub use self::token::{ACCESS_SECONDS, Issued, SCOPE};

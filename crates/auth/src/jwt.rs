//! Signed tokens (RFC 7515, RFC 7519) of the one algorithm that our own tokens have: HS256, by RustCrypto's HMAC.
//!
//! A token names its algorithm and is not believed: every other one is refused. What is valid when is decided by the
//! callers, who are given the time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The one algorithm (RFC 7518 §3.2).
const ALGORITHM: &str = "HS256";
/// Longest token that is looked at, in bytes: API Gateway takes headers of 10 KB in all.
const LONGEST: usize = 8 * 1024;
/// Seconds that two clocks may differ.
pub(super) const LEEWAY: i64 = 60;

/// Why a token is not taken. No retry of the same token can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token, or one of an algorithm that is not taken.
    #[error("not a token that is taken here")]
    Malformed,
    /// Its signature is wrong.
    #[error("wrongly signed")]
    Signature,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not come.
    #[error("not yet valid")]
    Early,
    /// Somebody else made it.
    #[error("of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("for another audience")]
    Audience,
    /// It is for another use, such as a refresh token where an access token is asked for.
    #[error("of another kind")]
    Kind,
    /// Its client is no longer known.
    #[error("of a client that is not known")]
    Client,
    /// It does not allow to push.
    #[error("without the scope that is asked for")]
    Scope,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

/// The claims of a token in compact form (RFC 7515 §7.1), if one of the keys has signed it and it is of this kind (`typ`).
///
/// # Errors
/// [`TokenError::Malformed`] if it is too long, is not in compact form, names another algorithm, has extensions that must
/// be understood, or claims that are not what is read; [`TokenError::Signature`], [`TokenError::Kind`].
pub(super) fn verified<'k, T: DeserializeOwned>(
    token: &str,
    kind: &str,
    keys: impl IntoIterator<Item = &'k [u8]>,
) -> Result<T, TokenError> {
    let parts = || {
        let (message, signature) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = json(header)?;
        // RFC 7515 §4.1.11: what must be understood and is not makes the token invalid.
        let is_ours = header.alg == ALGORITHM && header.crit.is_none();
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        is_ours.then_some((message, header.typ, claims, signature))
    };
    let (message, typ, claims, signature) = parts().ok_or(TokenError::Malformed)?;
    // In constant time.
    let is_signed_by = |key| mac(key, message.as_bytes()).is_some_and(|mac| mac.verify_slice(&signature).is_ok());
    if !keys.into_iter().any(is_signed_by) {
        return Err(TokenError::Signature);
    }
    if typ.as_deref() != Some(kind) {
        return Err(TokenError::Kind);
    }
    json(claims).ok_or(TokenError::Malformed)
}

/// A token of this kind (`typ`) and these claims, signed with `key`.
pub(super) fn signed<T: Serialize>(kind: &str, claims: &T, key: &[u8]) -> Option<String> {
    let header = serde_json::json!({ "typ": kind, "alg": ALGORITHM }).to_string();
    let claims = serde_json::to_vec(claims).ok()?;
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = mac(key, message.as_bytes())?.finalize().into_bytes();
    Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// What HMAC makes of `message`. A key has any length, so there is always one.
pub(super) fn mac(key: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    Some(Hmac::new_from_slice(key).ok()?.chain_update(message))
}

fn json<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The times in a token, in Unix seconds; with fractions, which RFC 7519 §2 allows.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Times {
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl Times {
    /// Whether a token of these times is valid at `now`, in Unix seconds.
    pub(super) fn check(self, now: i64) -> Result<(), TokenError> {
        #[expect(clippy::cast_precision_loss, reason = "exact until the year 285 million")]
        let (now, leeway) = (now as f64, LEEWAY as f64);
        if now >= self.exp + leeway {
            return Err(TokenError::Expired);
        }
        let begins = [self.nbf, self.iat].into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
        if begins > now + leeway { Err(TokenError::Early) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Why a token that no key has signed is not taken.
    fn fault(token: &str) -> TokenError {
        verified::<Value>(token, "JWT", []).unwrap_err()
    }

    #[test]
    fn the_rfcs_token_by_hmac_is_verified_and_a_changed_one_is_not() {
        // RFC 7515 appendix A.1.
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let verified = |token: &str, kind| super::verified::<Value>(token, kind, [&key[..]]);
        let claims = verified(token, "JWT").unwrap();
        assert_eq!(claims, json!({"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true}));
        assert_eq!(verified(&token.replace(".dBj", ".eBj"), "JWT"), Err(TokenError::Signature));
        assert_eq!(verified(token, "at+jwt"), Err(TokenError::Kind));
    }

    #[test]
    fn hmac_is_what_the_rfc_publishes() {
        // RFC 4231 §4.2 to §4.8.
        let counted: Vec<u8> = (1..=25).collect();
        let long = b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.";
        for (key, message, expected) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counted, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            // Truncated to 128 bits there.
            (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (&[0xaa; 131], long, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        ] {
            let mac = mac(key, message).unwrap();
            let signature = mac.clone().finalize().into_bytes();
            let shown: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(shown.starts_with(expected), "{shown}");
            assert!(mac.clone().verify_slice(&signature).is_ok());
            assert!(mac.verify_slice(&signature[..16]).is_err(), "a part of it is none");
        }
    }

    #[test]
    fn times_have_a_minute_of_leeway_on_either_side() {
        let check = |exp: i64, nbf: Option<i64>, now| {
            serde_json::from_value::<Times>(json!({"exp": exp, "nbf": nbf})).unwrap().check(now)
        };
        assert_eq!(check(1000, None, 1059), Ok(()));
        assert_eq!(check(1000, None, 1060), Err(TokenError::Expired));
        assert_eq!(check(1000, Some(900), 840), Ok(()));
        assert_eq!(check(1000, Some(900), 839), Err(TokenError::Early));
        assert!(serde_json::from_value::<Times>(json!({"nbf": 1})).is_err(), "a token that never ends is none");
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused() {
        let token = |header: Value| format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert_eq!(fault(&token(json!({"alg": "HS256"}))), TokenError::Signature);
        for wrong in [json!({"alg": "HS256", "crit": ["exp"]}), json!({"alg": "none"}), json!({"typ": "JWT"}), json!(7)]
        {
            assert_eq!(fault(&token(wrong)), TokenError::Malformed);
        }
        for text in ["", ".", "..", "a.b", "a.b.c.d", &"a".repeat(9000)] {
            assert_eq!(fault(text), TokenError::Malformed, "{text}");
        }
    }

    #[test]
    fn a_token_has_a_length() {
        // What is not signed yet can be as long as one likes.
        let token = |length: usize| {
            let start = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
            format!("{start}{}", "A".repeat(length - start.len()))
        };
        assert_eq!(fault(&token(LONGEST)), TokenError::Signature);
        assert_eq!(fault(&token(LONGEST + 1)), TokenError::Malformed);
    }
}

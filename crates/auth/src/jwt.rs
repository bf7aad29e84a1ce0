//! Signed tokens (RFC 7515, RFC 7519) by HS256, the one algorithm of our own tokens.
//!
//! A token that names any other algorithm is rejected.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use sha2::Sha256;

/// RFC 7518 §3.2.
const ALGORITHM: &str = "HS256";
/// Longest token, in bytes: API Gateway accepts 10 KB of headers.
const LONGEST: usize = 8 * 1024;
/// Most difference of two clocks, in seconds.
pub(super) const LEEWAY: i64 = 60;

/// The token is not accepted. A retry with the same token cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token, or of an unsupported algorithm.
    #[error("malformed or unsupported token")]
    Malformed,
    /// No signing key has signed it.
    #[error("wrong signature")]
    Signature,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It is not yet valid.
    #[error("not yet valid")]
    Early,
    /// It has another issuer.
    #[error("wrong issuer")]
    Issuer,
    /// It is for another audience.
    #[error("wrong audience")]
    Audience,
    /// It is for another use, for example a refresh token instead of an access token.
    #[error("wrong kind of token")]
    Kind,
    /// Its client is unknown or was removed.
    #[error("unknown client")]
    Client,
    /// It does not permit to push.
    #[error("missing scope")]
    Scope,
}

#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

/// The claims of a token in compact form (RFC 7515 §7.1) that one of `keys` has signed, of this kind (`typ`).
///
/// # Errors
/// [`TokenError::Malformed`] if it is too long, not in compact form, of another algorithm, has critical extensions, or has
/// other claims than `T`; [`TokenError::Signature`], [`TokenError::Kind`].
pub(super) fn verify<'k, T: DeserializeOwned>(
    token: &str,
    kind: &str,
    keys: impl IntoIterator<Item = &'k [u8]>,
) -> Result<T, TokenError> {
    let parts = || {
        let (message, signature) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        let (header, claims) = message.split_once('.')?;
        let header: TokenHeader = decode(header)?;
        // RFC 7515 §4.1.11: an extension that is critical and unknown makes the token invalid.
        let is_supported = header.alg == ALGORITHM && header.crit.is_none();
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        is_supported.then_some((message, header.typ, claims, signature))
    };
    let (message, typ, claims, signature) = parts().ok_or(TokenError::Malformed)?;
    // `verify_slice` takes constant time.
    let is_signed_by = |key| mac(key, message.as_bytes()).is_some_and(|mac| mac.verify_slice(&signature).is_ok());
    if !keys.into_iter().any(is_signed_by) {
        return Err(TokenError::Signature);
    }
    if typ.as_deref() != Some(kind) {
        return Err(TokenError::Kind);
    }
    decode(claims).ok_or(TokenError::Malformed)
}

/// A token of this kind (`typ`), signed with `key`.
pub(super) fn sign(kind: &str, claims: &Value, key: &[u8]) -> Option<String> {
    let [header, claims] = [&json!({ "typ": kind, "alg": ALGORITHM }), claims].map(|part| part.to_string());
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = mac(key, message.as_bytes())?.finalize().into_bytes();
    Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The HMAC of `message`. HMAC accepts keys of any length, so this is never `None`.
pub(super) fn mac(key: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    Some(Hmac::new_from_slice(key).ok()?.chain_update(message))
}

fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The times of a token, in Unix seconds. RFC 7519 §2 permits fractions.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct TokenTimes {
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl TokenTimes {
    /// # Errors
    /// [`TokenError::Expired`] or [`TokenError::Early`] at `now`, in Unix seconds.
    pub(super) fn verify(self, now: i64) -> Result<(), TokenError> {
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
    use super::*;

    fn error(token: &str) -> TokenError {
        verify::<Value>(token, "JWT", []).unwrap_err()
    }

    #[test]
    fn the_hmac_token_of_rfc_7515_is_verified_and_a_changed_one_is_not() {
        // RFC 7515 appendix A.1.
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let verify = |token: &str, kind| super::verify::<Value>(token, kind, [&key[..]]);
        let claims = verify(token, "JWT").unwrap();
        assert_eq!(claims, json!({"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true}));
        assert_eq!(verify(&token.replace(".dBj", ".eBj"), "JWT"), Err(TokenError::Signature));
        assert_eq!(verify(token, "at+jwt"), Err(TokenError::Kind));
    }

    #[test]
    fn hmac_matches_the_test_vectors_of_rfc_4231() {
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
            // The RFC truncates this one to 128 bits.
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
            let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(hex.starts_with(expected), "{hex}");
            assert!(mac.clone().verify_slice(&signature).is_ok());
            assert!(mac.verify_slice(&signature[..16]).is_err(), "a truncated signature is wrong");
        }
    }

    #[test]
    fn token_times_have_a_minute_of_leeway() {
        let check = |exp: i64, nbf: Option<i64>, now| {
            serde_json::from_value::<TokenTimes>(json!({"exp": exp, "nbf": nbf})).unwrap().verify(now)
        };
        assert_eq!(check(1000, None, 1059), Ok(()));
        assert_eq!(check(1000, None, 1060), Err(TokenError::Expired));
        assert_eq!(check(1000, Some(900), 840), Ok(()));
        assert_eq!(check(1000, Some(900), 839), Err(TokenError::Early));
        assert!(serde_json::from_value::<TokenTimes>(json!({"nbf": 1})).is_err(), "exp is required");
    }

    #[test]
    fn unknown_critical_extensions_are_rejected() {
        let token = |header: Value| format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert_eq!(error(&token(json!({"alg": "HS256"}))), TokenError::Signature);
        for wrong in [json!({"alg": "HS256", "crit": ["exp"]}), json!({"alg": "none"}), json!({"typ": "JWT"}), json!(7)]
        {
            assert_eq!(error(&token(wrong)), TokenError::Malformed);
        }
        for text in ["", ".", "..", "a.b", "a.b.c.d", &"a".repeat(9000)] {
            assert_eq!(error(text), TokenError::Malformed, "{text}");
        }
    }

    #[test]
    fn a_token_has_a_size_limit() {
        let token = |length: usize| {
            let start = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
            format!("{start}{}", "A".repeat(length - start.len()))
        };
        assert_eq!(error(&token(LONGEST)), TokenError::Signature);
        assert_eq!(error(&token(LONGEST + 1)), TokenError::Malformed);
    }
}

//! Our own OAuth tokens: signed by HS256 (RFC 7519), issued by `POST /oauth2/token`, verified with each push.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::credentials::Credentials;

/// Lifetime of an access token, in seconds. After a password ends, the tokens that it got work for at most this long.
pub const ACCESS_SECONDS: i64 = 900;
/// Lifetime of a refresh token, in seconds: 90 days. Each use gives a new one.
const REFRESH_SECONDS: i64 = 90 * 86_400;
/// The only scope.
pub const SCOPE: &str = "push";
/// The issuer and the audience of our tokens.
const ISSUER: &str = "smartclean-push";
/// The header of an access token (RFC 9068 §2.1). The kind is signed, so that no token can be used as the other.
const ACCESS: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;
/// The header of a refresh token.
const REFRESH: &str = r#"{"alg":"HS256","typ":"refresh+jwt"}"#;
/// Most difference of two clocks, in seconds.
pub(super) const LEEWAY: i64 = 60;

/// The tokens that a client gets. Not `Debug`, so that no log contains them.
#[derive(Clone)]
pub struct TokenPair {
    /// Authenticates pushes.
    pub access: String,
    /// Gets the next pair.
    pub refresh: String,
}

/// The token is not accepted. A retry with the same token cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token.
    #[error("malformed token")]
    Malformed,
    /// No signing key has signed it.
    #[error("wrong signature")]
    Signature,
    /// It is for another use, for example a refresh token instead of an access token.
    #[error("wrong kind of token")]
    Kind,
    /// Signed, but not with the claims that this service issues.
    #[error("wrong issuer, audience or scope")]
    Claims,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// Its client is unknown or was removed.
    #[error("unknown client")]
    Client,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    scope: String,
    exp: i64,
}

impl Credentials {
    /// Issues tokens to `client` at `now`, in Unix seconds. `id` must be unique. `None` if there is no signing key; a retry helps only
    /// after the operator adds one.
    ///
    /// # Examples
    /// ```
    /// use auth::Credentials;
    ///
    /// let json = r#"{"username":"u","password":"p","signing_key":"a-key-of-thirty-two-bytes-or-more"}"#;
    /// let credentials = Credentials::parse(json).unwrap();
    /// let tokens = credentials.issue_tokens("u", "id-1", 1_800_000_000).unwrap();
    /// assert_eq!(credentials.verify_access_token(&tokens.access, 1_800_000_060).unwrap(), "u");
    /// assert!(credentials.verify_access_token(&tokens.refresh, 1_800_000_060).is_err());
    /// ```
    #[must_use]
    pub fn issue_tokens(&self, client: &str, id: &str, now: i64) -> Option<TokenPair> {
        let key = self.signing_keys().first()?.expose().as_bytes();
        let token = |header: &str, seconds: i64, suffix: &str| {
            let claims = json!({
                "iss": ISSUER, "sub": client, "aud": ISSUER, "scope": SCOPE,
                "iat": now, "exp": now + seconds, "jti": format!("{id}-{suffix}"),
            });
            sign(header, &claims, key)
        };
        Some(TokenPair { access: token(ACCESS, ACCESS_SECONDS, "a")?, refresh: token(REFRESH, REFRESH_SECONDS, "r")? })
    }

    /// The client of an access token that is valid at `now`, in Unix seconds.
    ///
    /// # Errors
    /// [`TokenError`] if the token is not valid. A retry with the same token cannot help.
    pub fn verify_access_token(&self, token: &str, now: i64) -> Result<String, TokenError> {
        self.verify_token(ACCESS, token, now)
    }

    /// The client of a refresh token that is valid at `now`, in Unix seconds.
    ///
    /// # Errors
    /// [`TokenError`] if the token is not valid. A retry with the same token cannot help.
    pub fn verify_refresh_token(&self, token: &str, now: i64) -> Result<String, TokenError> {
        self.verify_token(REFRESH, token, now)
    }

    fn verify_token(&self, header: &str, token: &str, now: i64) -> Result<String, TokenError> {
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let signature = decoded(signature)?;
        // `verify_slice` takes constant time.
        let is_signed_by =
            |key: &[u8]| mac(key, message.as_bytes()).is_some_and(|mac| mac.verify_slice(&signature).is_ok());
        if !self.signing_keys().iter().any(|key| is_signed_by(key.expose().as_bytes())) {
            return Err(TokenError::Signature);
        }
        // The whole header is compared, and never parsed: a token cannot choose its algorithm.
        let claims = message.strip_prefix(&URL_SAFE_NO_PAD.encode(header)).and_then(|rest| rest.strip_prefix('.'));
        let claims = decoded(claims.ok_or(TokenError::Kind)?)?;
        let Claims { iss, sub, aud, scope, exp } =
            serde_json::from_slice(&claims).map_err(|_| TokenError::Malformed)?;
        if [iss.as_str(), &aud, &scope] != [ISSUER, ISSUER, SCOPE] {
            return Err(TokenError::Claims);
        }
        if now >= exp.saturating_add(LEEWAY) {
            return Err(TokenError::Expired);
        }
        // The client may have been removed since the token was issued.
        let is_known = self.clients().iter().any(|client| client.username == sub);
        if is_known { Ok(sub) } else { Err(TokenError::Client) }
    }
}

/// A token in compact form (RFC 7515 §7.1), signed with `key`.
fn sign(header: &str, claims: &Value, key: &[u8]) -> Option<String> {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = mac(key, message.as_bytes())?.finalize().into_bytes();
    Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The HMAC of `message`. HMAC accepts keys of any length, so this is never `None`.
pub(super) fn mac(key: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    Some(Hmac::new_from_slice(key).ok()?.chain_update(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn credentials(letter: &str) -> Credentials {
        let key = letter.repeat(32);
        Credentials::parse(&format!(r#"{{"username":"u","password":"p","signing_key":"{key}"}}"#)).unwrap()
    }

    fn part(token: &str, index: usize) -> Value {
        let part = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    /// A correctly signed token with these changes to the claims.
    fn signed(header: &str, changes: &Value) -> String {
        let mut claims =
            json!({"iss": ISSUER, "sub": "u", "aud": ISSUER, "scope": SCOPE, "iat": NOW, "exp": NOW + 900});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        sign(header, &claims, "k".repeat(32).as_bytes()).unwrap()
    }

    #[test]
    fn an_access_token_has_client_scope_and_expiry() {
        let issued = credentials("k").issue_tokens("u", "id", NOW).unwrap();
        assert_eq!(part(&issued.access, 0), json!({"typ": "at+jwt", "alg": "HS256"}));
        assert_eq!(
            part(&issued.access, 1),
            json!({"iss": ISSUER, "sub": "u", "aud": ISSUER, "scope": "push", "iat": NOW, "exp": NOW + 900, "jti": "id-a"})
        );
    }

    #[test]
    fn each_token_is_valid_for_its_own_use_until_it_expires() {
        let known = credentials("k");
        let issued = known.issue_tokens("u", "id", NOW).unwrap();
        assert_eq!(known.verify_access_token(&issued.access, NOW).unwrap(), "u");
        assert_eq!(known.verify_access_token(&issued.access, NOW + 959).unwrap(), "u");
        assert_eq!(known.verify_access_token(&issued.access, NOW + 960), Err(TokenError::Expired));
        assert_eq!(known.verify_refresh_token(&issued.refresh, NOW + 80 * 86_400).unwrap(), "u");
        assert_eq!(known.verify_access_token(&issued.refresh, NOW), Err(TokenError::Kind));
        assert_eq!(known.verify_refresh_token(&issued.access, NOW), Err(TokenError::Kind));
    }

    #[test]
    fn tokens_stay_valid_after_one_rotation_and_not_after_two() {
        let issued = credentials("1").issue_tokens("u", "id", NOW).unwrap();
        let once = credentials("2").with_previous(&credentials("1"));
        assert_eq!(once.verify_access_token(&issued.access, NOW).unwrap(), "u");
        assert_eq!(once.verify_refresh_token(&issued.refresh, NOW).unwrap(), "u");
        let twice = credentials("3").with_previous(&credentials("2"));
        assert_eq!(twice.verify_refresh_token(&issued.refresh, NOW), Err(TokenError::Signature));
        assert!(
            once.issue_tokens("u", "id", NOW).is_some_and(|new| twice.verify_access_token(&new.access, NOW).is_ok())
        );
    }

    #[test]
    fn each_wrong_claim_has_its_own_error() {
        let known = credentials("k");
        assert_eq!(known.verify_access_token(&signed(ACCESS, &json!({})), NOW).unwrap(), "u");
        for (changes, error) in [
            (json!({"iss": "somebody"}), TokenError::Claims),
            (json!({"aud": "somebody"}), TokenError::Claims),
            (json!({"aud": [ISSUER]}), TokenError::Malformed),
            (json!({"exp": NOW - 60}), TokenError::Expired),
            (json!({"exp": null}), TokenError::Malformed),
            (json!({"exp": "9999999999"}), TokenError::Malformed),
            (json!({"exp": i64::MIN}), TokenError::Expired),
            (json!({"scope": "pull"}), TokenError::Claims),
            (json!({"sub": "gone"}), TokenError::Client),
        ] {
            assert_eq!(known.verify_access_token(&signed(ACCESS, &changes), NOW), Err(error), "{changes}");
        }
        assert_eq!(
            known.verify_access_token(&signed(r#"{"alg":"HS256","typ":"JWT"}"#, &json!({})), NOW),
            Err(TokenError::Kind)
        );
        // Signed with the key, but not as this service signs.
        for header in [r#"{"alg":"none","typ":"at+jwt"}"#, r#"{"alg":"HS256","typ":"at+jwt","crit":["x"]}"#, "{}", ""] {
            assert_eq!(known.verify_access_token(&signed(header, &json!({})), NOW), Err(TokenError::Kind), "{header}");
        }
        assert_eq!(known.verify_access_token(&signed(ACCESS, &json!({"exp": i64::MAX})), NOW).unwrap(), "u");
    }

    #[test]
    fn a_token_of_another_key_or_algorithm_is_rejected() {
        let known = credentials("k");
        let good = signed(ACCESS, &json!({}));
        let (message, signature) = good.rsplit_once('.').unwrap();
        let payload = message.split_once('.').unwrap().1;
        let with_header =
            |header: Value| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()));
        for (token, error) in [
            (with_header(json!({"alg": "none", "typ": "at+jwt"})), TokenError::Signature),
            (with_header(json!({"alg": "HS512", "typ": "at+jwt"})), TokenError::Signature),
            (with_header(json!({"alg": "RS256", "typ": "at+jwt"})), TokenError::Signature),
            (with_header(json!({"alg": "HS256", "typ": "at+jwt", "x": 1})), TokenError::Signature),
            (format!("{message}."), TokenError::Signature),
            (message.to_owned(), TokenError::Signature),
            (payload.to_owned(), TokenError::Malformed),
            (good[..good.len() - 1].to_owned(), TokenError::Malformed),
            (good.replace('.', " "), TokenError::Malformed),
        ] {
            assert_eq!(known.verify_access_token(&token, NOW), Err(error), "{token}");
        }
        assert_eq!(credentials("x").verify_access_token(&good, NOW), Err(TokenError::Signature));
        let keyless = Credentials::parse(r#"{"username":"u","password":"p"}"#).unwrap();
        assert_eq!(keyless.verify_access_token(&good, NOW), Err(TokenError::Signature));
        assert!(keyless.issue_tokens("u", "id", NOW).is_none());
    }

    #[test]
    fn text_that_is_no_token_is_rejected() {
        for text in ["", ".", "..", "a.b", "a.b.c.d", &"a".repeat(9000), &".".repeat(9000)] {
            assert!(credentials("k").verify_access_token(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn the_hmac_token_of_rfc_7515_is_verified_and_a_changed_one_is_not() {
        // RFC 7515 appendix A.1.
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        for (signature, is_right) in [
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", true),
            ("eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", false),
        ] {
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            assert_eq!(mac(&key, message.as_bytes()).unwrap().verify_slice(&signature).is_ok(), is_right);
        }
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
}

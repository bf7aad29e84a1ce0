//! Signed tokens (RFC 7515, RFC 7519), as far as every issuer's are the same.
//!
//! `jsonwebtoken` reads them and is given HMAC here, by RustCrypto. Whether a public key's signature is right is computed
//! by whoever calls. Its own clock is not used: what is valid when is decided by the callers, who are given the time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, decode_header};
use serde::de::DeserializeOwned;
use sha2::Sha256;

/// Longest token that is looked at, in bytes: API Gateway takes headers of 10 KB in all.
const LONGEST: usize = 8 * 1024;
/// Seconds that two clocks may differ.
pub(super) const LEEWAY: i64 = 60;

/// Why a token is not taken. No retry of the same token can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is no token, or one of an algorithm that is not taken.
    #[error("not a token that is taken here")]
    Malformed,
    /// No key of that id is known.
    #[error("signed by an unknown key")]
    Key,
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

/// The header of a token whose signature was not looked at yet.
pub(super) fn header(token: &str) -> Result<Header, TokenFault> {
    if token.len() > LONGEST {
        return Err(TokenFault::Malformed);
    }
    let header = decode_header(token).map_err(|_| TokenFault::Malformed)?;
    // RFC 7515 §4.1.11: what must be understood and is not makes the token invalid.
    if header.crit.is_some() { Err(TokenFault::Malformed) } else { Ok(header) }
}

/// The claims of a token that is signed by `key` with `algorithm`, whatever the token says of its algorithm.
pub(super) fn verified<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<T, TokenFault> {
    install();
    let mut signature_alone = Validation::new(algorithm);
    signature_alone.required_spec_claims.clear();
    signature_alone.validate_exp = false;
    signature_alone.validate_aud = false;
    let token = decode(token, key, &signature_alone).map_err(|fault| match fault.kind() {
        ErrorKind::InvalidSignature => TokenFault::Signature,
        _ => TokenFault::Malformed,
    })?;
    Ok(token.claims)
}

/// What a public key is said to have signed.
pub struct Signed<'t> {
    /// How.
    pub algorithm: Algorithm,
    /// With the private part of this key.
    pub key: &'t DecodingKey,
    /// What.
    pub message: &'t [u8],
    /// The signature.
    pub signature: &'t [u8],
}

/// The claims of a token whose signature by `key` with `algorithm` `is_signed` finds right, whatever the token says of its
/// algorithm.
pub(super) fn verified_by<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    is_signed: impl FnOnce(&Signed<'_>) -> bool,
) -> Result<T, TokenFault> {
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed);
    let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
    let (_, claims) = message.split_once('.').ok_or(TokenFault::Malformed)?;
    let (claims, signature) = (decoded(claims)?, decoded(signature)?);
    if !is_signed(&Signed { algorithm, key, message: message.as_bytes(), signature: &signature }) {
        return Err(TokenFault::Signature);
    }
    serde_json::from_slice(&claims).map_err(|_| TokenFault::Malformed)
}

/// A token of these claims, signed with HS256.
pub(super) fn signed<T: serde::Serialize>(kind: &str, claims: &T, key: &[u8]) -> Option<String> {
    install();
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(kind.to_owned());
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(key)).ok()
}

/// The times in a token, in Unix seconds; with fractions, which RFC 7519 §2 allows.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub(super) struct Times {
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl Times {
    /// Whether a token of these times is valid at `now`, in Unix seconds.
    pub(super) fn check(self, now: i64) -> Result<(), TokenFault> {
        #[expect(clippy::cast_precision_loss, reason = "exact until the year 285 million")]
        let (now, leeway) = (now as f64, LEEWAY as f64);
        if now >= self.exp + leeway {
            return Err(TokenFault::Expired);
        }
        let begins = [self.nbf, self.iat].into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
        if begins > now + leeway { Err(TokenFault::Early) } else { Ok(()) }
    }
}

fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| match (algorithm, key.family()) {
            (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hs256::of(key.as_bytes())?)),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        verifier_factory: |algorithm, key| match (algorithm, key.family()) {
            (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hs256::of(key.try_get_as_bytes()?)?)),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Fails where it is installed already.
    let _ = PROVIDER.install_default();
}

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn of(key: &[u8]) -> Result<Self, Error> {
        Hmac::new_from_slice(key).map(Self).map_err(|_| ErrorKind::InvalidKeyFormat.into())
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        // In constant time.
        self.0.clone().chain_update(message).verify_slice(signature).map_err(|_| SignatureError::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_rfcs_token_by_hmac_is_verified_and_a_changed_one_is_not() {
        // RFC 7515 appendix A.1.
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = DecodingKey::from_secret(&key);
        let claims: Value = verified(token, &key, Algorithm::HS256).unwrap();
        assert_eq!(claims, json!({"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true}));
        let changed = token.replace(".dBj", ".eBj");
        assert_eq!(verified::<Value>(&changed, &key, Algorithm::HS256).unwrap_err(), TokenFault::Signature);
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
            let mac = Hs256::of(key).unwrap();
            let signature = mac.try_sign(message).unwrap();
            let shown: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(shown.starts_with(expected), "{shown}");
            assert!(mac.verify(message, &signature).is_ok());
            assert!(mac.verify(message, &signature[..16].to_vec()).is_err(), "a part of it is none");
        }
    }

    #[test]
    fn times_have_a_minute_of_leeway_on_either_side() {
        let check = |exp: i64, nbf: Option<i64>, now| {
            serde_json::from_value::<Times>(json!({"exp": exp, "nbf": nbf})).unwrap().check(now)
        };
        assert_eq!(check(1000, None, 1059), Ok(()));
        assert_eq!(check(1000, None, 1060), Err(TokenFault::Expired));
        assert_eq!(check(1000, Some(900), 840), Ok(()));
        assert_eq!(check(1000, Some(900), 839), Err(TokenFault::Early));
        assert!(serde_json::from_value::<Times>(json!({"nbf": 1})).is_err(), "a token that never ends is none");
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused() {
        let token = |header: Value| format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert!(header(&token(json!({"alg": "HS256"}))).is_ok());
        for wrong in [json!({"alg": "HS256", "crit": ["exp"]}), json!({"alg": "none"}), json!({"typ": "JWT"}), json!(7)]
        {
            assert_eq!(header(&token(wrong)).unwrap_err(), TokenFault::Malformed);
        }
        for text in ["", ".", "..", "a.b", "a.b.c.d", &"a".repeat(9000)] {
            assert_eq!(header(text).unwrap_err(), TokenFault::Malformed, "{text}");
        }
    }

    #[test]
    fn a_token_has_a_length() {
        // What is not signed yet can be as long as one likes.
        let token = |length: usize| {
            let start = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
            format!("{start}{}", "A".repeat(length - start.len()))
        };
        assert!(header(&token(LONGEST)).is_ok());
        assert_eq!(header(&token(LONGEST + 1)), Err(TokenFault::Malformed));
    }
}

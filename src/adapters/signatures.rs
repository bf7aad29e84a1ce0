//! Whether a public key's signature is right: by what TLS uses, which is ring in the command and aws-lc in the function.

#[cfg(feature = "function")]
use aws_lc_rs::signature as keys;
use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
#[cfg(not(feature = "function"))]
use ring::signature as keys;

use crate::domain::auth::Signed;

/// By RSA (2048 bits or more, PKCS #1 v1.5) or ECDSA; by anything else it is not.
pub(super) fn is_signed(signed: &Signed<'_>) -> bool {
    let Signed { algorithm, key, message, signature } = *signed;
    let rsa = match algorithm {
        Algorithm::RS256 => Some(&keys::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Some(&keys::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Some(&keys::RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    };
    let verified = match (key.kind(), rsa, algorithm) {
        (RsaModulusExponent { n, e }, Some(rsa), _) => {
            keys::RsaPublicKeyComponents { n, e }.verify(rsa, message, signature)
        }
        (SecretOrDer(point), _, Algorithm::ES256) => {
            keys::UnparsedPublicKey::new(&keys::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
        }
        (SecretOrDer(point), _, Algorithm::ES384) => {
            keys::UnparsedPublicKey::new(&keys::ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
        }
        _ => return false,
    };
    verified.is_ok()
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "function")]
    use aws_lc_rs::rand::SystemRandom;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use jsonwebtoken::DecodingKey;
    #[cfg(not(feature = "function"))]
    use ring::rand::SystemRandom;
    use serde_json::{Value, json};
    use sha2::Sha256;

    use super::*;
    use crate::domain::auth::{KeySet, Outside, TokenFault};

    const NOW: i64 = 1_800_000_000;

    /// An issuer with a key made for this test.
    struct Issuer(keys::EcdsaKeyPair);

    impl Issuer {
        fn new() -> Self {
            let (kind, random) = (&keys::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
            let key = keys::EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
            #[cfg(feature = "function")]
            let pair = keys::EcdsaKeyPair::from_pkcs8(kind, key.as_ref());
            #[cfg(not(feature = "function"))]
            let pair = keys::EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random);
            Self(pair.unwrap())
        }

        fn jwk(&self, kid: &str) -> Value {
            let point = keys::KeyPair::public_key(&self.0).as_ref();
            let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
            json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": part(1..33), "y": part(33..65)})
        }

        fn keys(&self) -> KeySet {
            KeySet::parse(&json!({"keys": [self.jwk("1"), {"kty": "new"}]}).to_string()).unwrap()
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let message = format!("{}.{}", part(header), part(claims));
            let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn outside() -> Outside {
        Outside::new(Some("https://issuer.example".into()), Some("us".into()), None).unwrap().unwrap()
    }

    fn by_shared_secret(claims: &Value, key: &[u8]) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(claims));
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(&message).finalize();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()))
    }

    fn is_right(token: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        is_signed(&Signed { algorithm, key, message: message.as_bytes(), signature: &signature })
    }

    #[test]
    fn the_rfcs_tokens_by_rsa_and_ecdsa_are_verified_and_by_no_other_algorithm() {
        // RFC 7515 appendix A.2 and A.3.
        let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let rsa = DecodingKey::from_rsa_components("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ", "AQAB").unwrap();
        let rs256 = format!(
            "eyJhbGciOiJSUzI1NiJ9.{payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        );
        let ec = DecodingKey::from_ec_components(
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        )
        .unwrap();
        let es256 = format!(
            "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        );
        assert!(is_right(&rs256, &rsa, Algorithm::RS256));
        assert!(is_right(&es256, &ec, Algorithm::ES256));
        for (token, key, algorithm) in [
            (&rs256, &ec, Algorithm::RS256),
            (&rs256, &rsa, Algorithm::RS384),
            (&rs256, &rsa, Algorithm::ES256),
            (&es256, &rsa, Algorithm::ES256),
            (&es256, &ec, Algorithm::HS256),
            (&es256.replace(".DtE", ".EtE"), &ec, Algorithm::ES256),
        ] {
            assert!(!is_right(token, key, algorithm), "{algorithm:?}");
        }
    }

    #[test]
    fn only_the_issuers_own_keys_count_and_only_with_their_algorithm() {
        let (issuer, stranger) = (Issuer::new(), Issuer::new());
        let good = json!({"iss": "https://issuer.example", "aud": "us", "sub": "vendor", "exp": NOW + 600, "iat": NOW});
        let check = |token: &str| outside().check(token, &issuer.keys(), is_signed, NOW);
        assert!(check(&issuer.sign(&json!({"alg": "ES256"}), &good)).is_ok(), "of one key a token need not say which");
        assert_eq!(check(&stranger.sign(&json!({"alg": "ES256", "kid": "1"}), &good)), Err(TokenFault::Signature));
        assert_eq!(check(&issuer.sign(&json!({"alg": "ES256", "kid": "2"}), &good)), Err(TokenFault::Key));
        for alg in ["none", "HS256", "RS256", "ES384", "EdDSA", "PS256"] {
            assert_eq!(
                check(&issuer.sign(&json!({"alg": alg, "kid": "1"}), &good)),
                Err(TokenFault::Malformed),
                "{alg}"
            );
        }
        // The public key as a shared secret.
        let public = issuer.jwk("1").to_string();
        let confused = by_shared_secret(&good, public.as_bytes());
        assert!(check(&confused).is_err());
        let oct =
            KeySet::parse(&json!({"keys": [{"kty": "oct", "kid": "1", "k": URL_SAFE_NO_PAD.encode("k")}]}).to_string());
        let by_oct = by_shared_secret(&good, b"k");
        assert!(outside().check(&by_oct, &oct.unwrap(), is_signed, NOW).is_err());
        let for_encryption = {
            let mut key = issuer.jwk("1");
            key["use"] = "enc".into();
            KeySet::parse(&json!({"keys": [key]}).to_string()).unwrap()
        };
        let token = issuer.sign(&json!({"alg": "ES256", "kid": "1"}), &good);
        assert_eq!(outside().check(&token, &for_encryption, is_signed, NOW), Err(TokenFault::Key));
    }
}

//! Signatures of our webhook calls, as [Standard Webhooks](https://www.standardwebhooks.com) defines them: HMAC-SHA256 of id, time
//! and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;

use super::secret::Secret;
use super::token::mac;

/// Least length of a key, in bytes.
const KEY_BYTES: usize = 16;

/// The key of a webhook. Not `Debug`: with it, anyone can sign.
#[derive(Clone)]
pub struct WebhookKey(Vec<u8>);

impl WebhookKey {
    /// Parses `whsec_` and Base64 of at least 16 bytes; `None` if it is anything else.
    #[must_use]
    pub fn parse(secret: &Secret) -> Option<Self> {
        let key = STANDARD.decode(secret.expose().strip_prefix("whsec_")?).ok()?;
        (key.len() >= KEY_BYTES).then_some(Self(key))
    }

    /// The value of the header `webhook-signature` for a body that is sent at `timestamp`, in seconds since 1970.
    ///
    /// # Examples
    /// ```
    /// let key = auth::WebhookKey::parse(&auth::Secret::new("whsec_plJ3nmyCDGBKInavdOK15jsl".to_owned())).unwrap();
    /// let body = r#"{"event_type":"ping","data":{"success":true}}"#;
    /// let signature = key.sign("msg_loFOjxBNrRLzqYUf", 1_731_705_121, body);
    /// assert_eq!(signature, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=");
    /// ```
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signature = mac(&self.0, format!("{id}.{timestamp}.{body}").as_bytes());
        let signature = signature.map(|mac| STANDARD.encode(mac.finalize().into_bytes())).unwrap_or_default();
        format!("v1,{signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_prefix_and_enough_bytes() {
        let parse = |text: &str| WebhookKey::parse(&Secret::new(text.to_owned())).is_some();
        assert!(parse("whsec_plJ3nmyCDGBKInavdOK15jsl"));
        assert!(parse(&format!("whsec_{}", STANDARD.encode([7; KEY_BYTES]))));
        for other in
            ["plJ3nmyCDGBKInavdOK15jsl", "whsec_", "whsec_hunter2!", &format!("whsec_{}", STANDARD.encode([7; 15]))]
        {
            assert!(!parse(other), "{other}");
        }
    }
}

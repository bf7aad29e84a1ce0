//! Links to pages of the receiver, and their QR codes.

use qrcode::types::QrError;
use qrcode::{EcLevel, QrCode};
use smartclean_push::domain::display::is_hidden;

/// The beginning of a link, `https://push.example.com`, without a slash at the end.
///
/// # Errors
/// What is wrong with `text`.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    match uri.authority() {
        Some(host) if is_http && uri.path() == "/" && uri.query().is_none() && !host.as_str().contains('@') => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("write https:// and the host of the receiver, without a path: https://push.example.com".to_owned()),
    }
}

/// The QR code of a link. A sixth of it may be covered or dirty.
///
/// # Errors
/// If the link is too long.
pub(super) fn qr_code(link: &str) -> Result<QrCode, QrError> {
    QrCode::with_error_correction_level(link, EcLevel::M)
}

/// The name of a team on pages: 1 to 40 visible characters.
///
/// # Errors
/// What is wrong with `text`.
pub(super) fn team(text: &str) -> Result<String, String> {
    match text.trim() {
        team if (1..=40).contains(&team.chars().count()) && !team.contains(is_hidden) => Ok(team.to_owned()),
        _ => Err("write 1 to 40 visible characters".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_a_host_alone() {
        for (text, base) in [
            ("https://push.example.com", "https://push.example.com"),
            ("https://push.example.com/", "https://push.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(base_url(text).as_deref(), Ok(base));
        }
        for wrong in [
            "",
            "push.example.com",
            "ftp://push.example.com",
            "https://push.example.com/push",
            "https://push.example.com?a=b",
            "https://user@push.example.com",
            "https://push example.com",
        ] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_team_has_1_to_40_visible_characters() {
        assert_eq!(team(" Night shift ").as_deref(), Ok("Night shift"));
        assert!(team(&"夜".repeat(40)).is_ok());
        for wrong in ["", "  ", &"x".repeat(41), "a\u{202e}b", "a\nb"] {
            assert!(team(wrong).is_err(), "{wrong:?}");
        }
    }
}

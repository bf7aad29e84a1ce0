//! The channels of an own server: `[email]` and `[webhook]`. Secrets stand in the credentials file; a rules file has their names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::RuleSet;
use super::audience::is_address;
use super::diagnostic::{Position, Positioned};
use super::document::TableReader;

/// Where an example is.
const REMEDY: &str = "docs/operate.md has an example";

/// How an own server sends email.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// The host of the SMTP server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether TLS begins with the first byte. Otherwise the server must offer STARTTLS.
    pub is_implicit_tls: bool,
    /// The sender: `SmartClean <alerts@example.com>`.
    pub from: String,
    /// The username, and the name of the secret with the password.
    pub login: Option<(String, String)>,
    /// The recipients of everything that no audience with addresses is told.
    pub to: Vec<String>,
}

/// How an own server calls a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The `https:` URL.
    pub url: String,
    /// The name of the secret that signs.
    pub secret: String,
}

impl Webhook {
    /// Scheme and host of the URL. The rest can be a secret.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("https://{}", authority(&self.url))
    }
}

/// Whether messages may be sent to this address: not if it is unspecified or link-local. Clouds offer credentials at a link-local
/// address.
#[must_use]
pub fn is_reachable(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_unicast_link_local(),
    }
}

impl RuleSet {
    /// The email addresses of the audiences `to`, each with the language of its first audience; those of `[email]` if they have
    /// none, as notices and messages to everybody.
    #[must_use]
    pub fn email_recipients(&self, to: &[String]) -> BTreeMap<&str, &str> {
        let addressed = self.audiences.iter().rev().filter(|audience| to.contains(&audience.id));
        let addresses = addressed
            .flat_map(|audience| audience.emails.iter().map(|email| (email.as_str(), audience.language.as_str())));
        let addresses: BTreeMap<&str, &str> = addresses.collect();
        if !addresses.is_empty() {
            return addresses;
        }
        let others = self.email.iter().flat_map(|email| &email.to);
        others.map(|address| (address.as_str(), self.language(to))).collect()
    }
}

/// Whether `text` has the form of a host name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(address) => address.parse::<IpAddr>().is_ok(),
        None => text
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))),
    }
}

/// The host and the port of a URL, as it has them.
fn authority(url: &str) -> &str {
    url.split(['/', '?', '#']).nth(2).unwrap_or_default()
}

/// The host and the port of `mail.example.com:587`.
fn host_and_port(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (authority, default_port),
    };
    is_host(host).then(|| (host.trim_matches(['[', ']']), port))
}

/// Reads `[email]`.
pub(super) fn read_email(table: &mut TableReader<'_, '_>) -> Option<Email> {
    only_table(table, "email", |table, position| {
        ["smtp", "from", "to"].into_iter().for_each(|key| table.require(key, position, REMEDY));
        let server = parsed(table, "smtp", "smtp://HOST:PORT or smtps://HOST:PORT", |url| {
            let (scheme, authority) = url.split_once("://")?;
            let is_implicit_tls = scheme == "smtps";
            let (host, port) = host_and_port(authority, if is_implicit_tls { 465 } else { 587 })?;
            (is_implicit_tls || scheme == "smtp").then(|| (host.to_owned(), port, is_implicit_tls))
        });
        let (from, to) = (table.nonblank("from"), table.texts("to"));
        let (username, password) = (table.nonblank("username"), read_secret_name(table, "password"));
        if username.is_some() != password.is_some() {
            table.diagnostics.suggest(position, "`username` and `password` belong together", "write both, or none");
        }
        for Positioned { value, position } in from.iter().chain(to.iter().flatten()) {
            let address = value.trim_end_matches('>').rsplit_once('<').map_or(value.as_str(), |(_, address)| address);
            if !is_address(address) {
                let message = format!("`{value}` is no email address");
                table.diagnostics.suggest(position, message, "write it as name@example.com");
            }
        }
        let (host, port, is_implicit_tls) = server?;
        let login = username.map(|username| username.value).zip(password);
        let to = to?.into_iter().map(|to| to.value).collect();
        Some(Email { host, port, is_implicit_tls, from: from?.value, login, to })
    })
}

/// Reads `[webhook]`.
pub(super) fn read_webhook(table: &mut TableReader<'_, '_>) -> Option<Webhook> {
    only_table(table, "webhook", |table, position| {
        ["url", "secret"].into_iter().for_each(|key| table.require(key, position, REMEDY));
        let url = parsed(table, "url", "https://HOST/PATH, with a host that is not link-local", |url| {
            url.strip_prefix("https://")?;
            let (host, _) = host_and_port(authority(url), 443)?;
            let is_allowed = host.parse().map_or(true, is_reachable) && url.chars().all(|c| c.is_ascii_graphic());
            is_allowed.then(|| url.to_owned())
        });
        let secret = read_secret_name(table, "secret");
        Some(Webhook { url: url?, secret: secret? })
    })
}

/// Reads a table that can be there once.
fn only_table<'i, T>(
    table: &mut TableReader<'_, 'i>,
    key: &'static str,
    read: impl FnMut(&mut TableReader<'_, 'i>, &Position) -> Option<T>,
) -> Option<T> {
    let Positioned { mut value, position } = table.tables(key, "a table", read)?;
    if value.len() > 1 {
        table.diagnostics.suggest(&position, format!("several `[[{key}]]`"), format!("write one [{key}]"));
    }
    value.pop()
}

/// Reads a URL. A diagnostic does not repeat it, because it may contain a password.
fn parsed<T>(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
    wanted: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let Positioned { value, position } = table.nonblank(key)?;
    let parsed = parse(&value);
    if parsed.is_none() {
        let suggestion = format!("write {wanted}, without a username and password");
        table.diagnostics.suggest(&position, format!("`{key}` is not a URL that can be used"), suggestion);
    }
    parsed
}

/// Reads the name of a secret.
fn read_secret_name(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<String> {
    let Positioned { value, position } = table.nonblank(key)?;
    if value.starts_with("whsec_") {
        let message = format!("`{key}` is a secret, and a rules file has only names of secrets");
        let suggestion = "write {\"secrets\": {\"webhook\": \"…\"}} in the credentials file, and \"webhook\" here";
        table.diagnostics.suggest(&position, message, suggestion);
    }
    Some(value)
}

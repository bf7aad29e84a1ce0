//! Email by SMTP with TLS, over one connection for all messages that are due.

use std::error::Error as _;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lettre::Address;
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;

use crate::domain::rules::RuleSet;
use crate::domain::rules::channels::Email;
use crate::domain::state::Channel;
use crate::ingest::ports::{
    AlertPublisher, CredentialSource, OutgoingMessage, PublishOutcome, Refusal, UnavailableError, chain,
};

/// How long connecting may take, with TLS and the login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to accept a message. It may search it for viruses and spam.
const DATA_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends email by the SMTP server of the rules.
pub struct EmailPublisher {
    /// The credentials, whose secrets contain the password.
    pub credentials: Arc<dyn CredentialSource>,
}

/// The server refused a command, or the connection broke.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
struct CommandError {
    /// The reply of the server, or what happened instead.
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A reply of 500 or above: a retry cannot help.
    Permanent,
    /// A reply below 500, such as greylisting.
    Transient,
    /// No reply.
    Broken,
}

impl EmailPublisher {
    async fn connect(&self, email: &Email) -> Result<AsyncSmtpConnection, CommandError> {
        let login = match &email.login {
            Some((username, secret)) => Some(Credentials::new(username.clone(), self.secret(secret).await?)),
            None => None,
        };
        let connecting = async {
            let client = ClientId::Domain(domain(&email.from).to_owned());
            let tls = TlsParameters::new(email.host.clone())?;
            let implicit_tls = email.is_implicit_tls.then(|| tls.clone());
            let server = (email.host.as_str(), email.port);
            let mut connection = AsyncSmtpConnection::connect_tokio1(server, None, &client, implicit_tls, None).await?;
            if !email.is_implicit_tls {
                connection.starttls(tls, &client).await?;
            }
            if let Some(login) = &login {
                connection.auth(DEFAULT_MECHANISMS, login).await?;
            }
            Ok(connection)
        };
        within(CONNECT_TIMEOUT, connecting).await
    }

    /// Sends the messages over one connection, and opens another one after it breaks.
    ///
    /// # Errors
    /// If no connection can be opened.
    async fn send_each(
        &self,
        email: &Email,
        messages: &[OutgoingMessage],
        outcomes: &mut Vec<PublishOutcome>,
    ) -> Result<(), CommandError> {
        let mut open = None;
        for message in messages {
            let mut connection = match open.take() {
                Some(connection) => connection,
                None => self.connect(email).await?,
            };
            match send(&mut connection, email, message).await {
                Ok(outcome) => {
                    outcomes.push(outcome);
                    open = Some(connection);
                }
                Err(error) => outcomes.push(PublishOutcome::failed(NOT_SENT, error.text)),
            }
        }
        if let Some(mut connection) = open {
            let _ = within(COMMAND_TIMEOUT, connection.quit()).await;
        }
        Ok(())
    }

    async fn secret(&self, name: &str) -> Result<String, CommandError> {
        let known = self.credentials.current(Timestamp::now()).await.map_err(|error| broken(chain(&error)))?;
        let secret = known.secret(name).ok_or_else(|| broken(format!("the credentials have no secret \"{name}\"")))?;
        Ok(secret.expose().to_owned())
    }
}

#[async_trait]
impl AlertPublisher for EmailPublisher {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn is_on(&self, rules: &RuleSet) -> bool {
        rules.email.is_some()
    }

    async fn publish(&self, rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        let mut outcomes = Vec::new();
        if let Some(email) = &rules.email
            && let Err(error) = self.send_each(email, messages, &mut outcomes).await
        {
            // The others would fail in the same way.
            outcomes.resize_with(messages.len(), || PublishOutcome::failed(NOT_SENT, error.text.clone()));
        }
        outcomes
    }
}

const NOT_SENT: &str = "the SMTP server did not take the message";

/// Sends a message to those of its recipients that are not done.
///
/// # Errors
/// If the connection cannot be used any more, or the server refuses the sender.
async fn send(
    connection: &mut AsyncSmtpConnection,
    email: &Email,
    message: &OutgoingMessage,
) -> Result<PublishOutcome, CommandError> {
    let from: Mailbox = email.from.parse().map_err(|error| broken(format!("`from` of the rules: {error}")))?;
    let text = text(from.clone(), message).map_err(broken)?;
    command(connection, Mail::new(Some(from.email), Vec::new())).await?;
    let (mut outcome, mut accepted) = (PublishOutcome::default(), Vec::new());
    for recipient in message.to.iter().filter(|recipient| !message.done.contains(recipient)) {
        let reply = match recipient.parse::<Address>() {
            Ok(address) => command(connection, Rcpt::new(address, Vec::new())).await.map(drop),
            Err(error) => Err(CommandError { text: error.to_string(), kind: Kind::Permanent }),
        };
        match reply {
            Ok(()) => accepted.push(recipient),
            Err(error) => record(&mut outcome, recipient, error)?,
        }
    }
    if accepted.is_empty() {
        command(connection, Rset).await?;
        return Ok(outcome);
    }
    command(connection, Data).await?;
    match within(DATA_TIMEOUT, connection.message(&text)).await {
        Ok(response) => {
            outcome.reply = Some(reply(&response));
            outcome.done.extend(accepted.into_iter().cloned());
        }
        Err(error) => accepted.into_iter().try_for_each(|recipient| record(&mut outcome, recipient, error.clone()))?,
    }
    Ok(outcome)
}

/// Records that the server did not take the message for a recipient.
fn record(outcome: &mut PublishOutcome, recipient: &str, error: CommandError) -> Result<(), CommandError> {
    match error.kind {
        Kind::Permanent => {
            outcome.done.push(recipient.to_owned());
            outcome.refusals.push(Refusal { recipient: recipient.to_owned(), reply: error.text });
        }
        Kind::Transient => outcome.failure = Some(UnavailableError::new(NOT_SENT, error.text)),
        Kind::Broken => return Err(error),
    }
    Ok(())
}

/// The message with its headers. Message ids are derived from ids of alerts, so that a repetition has the same id, and from the
/// language unless it is English: mail programs can hide one of two messages with the same id. They also
/// show messages as a thread if they refer to the same id, also to one that was never sent because its alert was in a digest
/// (RFC 5256, `REFERENCES`, step 1).
fn text(from: Mailbox, message: &OutgoingMessage) -> Result<Vec<u8>, String> {
    let rendered = &message.rendered;
    let language = match rendered.html.language.as_str() {
        "en" => String::new(),
        other => format!(".{other}"),
    };
    let id = |id: &str| format!("<{id}{language}@{}>", from.email.domain());
    let mut builder = Message::builder().message_id(Some(id(&rendered.id))).subject(rendered.subject.as_str());
    if !rendered.threads.is_empty() {
        let threads = rendered.threads.iter().map(|alert| id(alert)).collect::<Vec<_>>().join(" ");
        builder = builder.in_reply_to(threads.clone()).references(threads);
    }
    for to in &message.to {
        builder = builder.to(to.parse().map_err(|error| format!("{to}: {error}"))?);
    }
    let body = MultiPart::alternative_plain_html(rendered.email.clone(), rendered.html.page());
    let message = builder.from(from).multipart(body).map_err(|error| error.to_string())?;
    Ok(message.formatted())
}

async fn command(connection: &mut AsyncSmtpConnection, command: impl Display) -> Result<Response, CommandError> {
    within(COMMAND_TIMEOUT, connection.command(command)).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, SmtpError>>) -> Result<T, CommandError> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(CommandError::from(error)),
        Err(_) => Err(broken(format!("no reply within {} s", limit.as_secs()))),
    }
}

impl From<SmtpError> for CommandError {
    fn from(error: SmtpError) -> Self {
        let kind = if error.is_permanent() {
            Kind::Permanent
        } else if error.is_transient() {
            Kind::Transient
        } else {
            Kind::Broken
        };
        let text = match (error.status(), error.source()) {
            (Some(code), Some(reply)) => format!("{code} {reply}"),
            _ => error.to_string(),
        };
        Self { text, kind }
    }
}

fn broken(text: String) -> CommandError {
    CommandError { text, kind: Kind::Broken }
}

/// `250 2.0.0 Ok`.
fn reply(response: &Response) -> String {
    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "))
}

/// The domain of an address.
fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or("localhost", |(_, domain)| domain.trim_end_matches('>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::Message as Facts;
    use crate::domain::alert::notice::Notice;
    use crate::notify::render::Renderer;
    use crate::notify::rendered::Rendered;

    /// The header lines of a notice in this language with these threads, unfolded.
    fn headers(language: &str, threads: &[String]) -> Vec<String> {
        let notice = Facts::Notice(Notice::NothingArrives { since: Timestamp::UNIX_EPOCH });
        let (rules, id) = (RuleSet::pack(), "7".repeat(32));
        let rendered = Renderer::new(&rules, language).render(&notice);
        let rendered = Rendered { id, threads: threads.to_vec(), ..rendered };
        let message = OutgoingMessage { rendered, to: vec!["me@example.com".to_owned()], done: Vec::new() };
        let text = String::from_utf8(text("alerts@example.com".parse().unwrap(), &message).unwrap()).unwrap();
        let (headers, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(headers.lines().all(|line| line.len() < 100), "{headers}");
        headers.replace("\r\n ", " ").lines().map(str::to_owned).collect()
    }

    fn ids_of(headers: &[String], name: &str) -> Vec<String> {
        let ids = headers.iter().find_map(|line| line.strip_prefix(name)).unwrap();
        ids.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_message_refers_to_its_threads_in_short_lines() {
        let threads: Vec<String> = (0..10).map(|number| format!("{number:032}")).collect();
        let headers = headers("en", &threads);
        let expected: Vec<String> = threads.iter().map(|id| format!("<{id}@example.com>")).collect();
        for header in ["In-Reply-To: ", "References: "] {
            assert_eq!(ids_of(&headers, header), expected, "{header}");
        }
    }

    #[test]
    fn a_message_in_another_language_has_an_id_and_a_thread_of_its_own() {
        let thread = ["8".repeat(32)];
        for (language, suffix) in [("en", ""), ("zh-Hans", ".zh-Hans")] {
            let headers = headers(language, &thread);
            let id = |digit: &str| format!("<{}{suffix}@example.com>", digit.repeat(32));
            assert_eq!(ids_of(&headers, "Message-ID: "), [id("7")]);
            assert_eq!(ids_of(&headers, "In-Reply-To: "), [id("8")]);
            assert_eq!(ids_of(&headers, "References: "), [id("8")]);
        }
    }
}

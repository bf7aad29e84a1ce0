//! `serve`: the push endpoint on a laptop or a server.

mod channels;
mod compaction;
mod listener;
mod try_it;

use std::io::{self, IsTerminal as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use analysis::words::plural;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use sd_notify::NotifyState;
use smartclean_push::adapters::cached_credentials::CachedCredentials;
use smartclean_push::adapters::cached_rules::{CachedRules, RuleReader as _};
use smartclean_push::adapters::local::sqlite::{SqliteOpenError, SqliteStore};
use smartclean_push::adapters::local::{
    AlertLog, CredentialFile, EmailPublisher, FolderStore, RuleFile, WebhookPublisher, ensure_credentials,
};
use smartclean_push::auth::{AuthMethod, AuthMethods, Credentials};
use smartclean_push::config;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::utf8;
use smartclean_push::hosts::server;
use smartclean_push::http::{App, Authenticator};
use smartclean_push::ingest::decode::MAX_DECODED;
use smartclean_push::ingest::ports::{CredentialSource, RuleSource};
use smartclean_push::ingest::{Environment, Ingest, PublicUrl};
use smartclean_push::notify::read_rules;
use smartclean_push::telemetry;
use smartclean_push::telemetry::command::MetricsRegistry;
use tokio::task::JoinSet;

use self::compaction::{CompactAt, compact_at, compact_daily};
use self::try_it::try_it;
use crate::output::{note, print};
use crate::rules::listed;
use crate::stop::{Signals, runtime};
use crate::{Failure, OrFailure as _, environment};

/// Receive pushes on this machine: store readings in a folder, write alerts to the terminal and a file
///
/// Runs the same handler as the Lambda function, without a cloud. The data folder has everything: readings under raw/, items
/// that could not be read under rejected/, and a line for each alert message in alerts.ndjson.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push serve
  smartclean-push serve --listen 0.0.0.0:8080 --data /var/lib/smartclean-push --rules rules.toml
  PUSH_USERNAME=smartclean PUSH_PASSWORD=… smartclean-push serve

SmartClean pushes over HTTPS only. To receive its pushes, put a TLS proxy such as Caddy or nginx in front.")]
pub(super) struct ServeCommand {
    /// Address or name and port to listen on. Port 0 is a free one; :8080 is on 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = listen_address)]
    listen: SocketAddr,
    /// Data folder. It is created if it does not exist
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    data: PathBuf,
    /// Your rules file, laid over the built-in rules. It is read again when it changes
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Credentials of clients: JSON such as {"username":"…","password":"…"}. Without it, PUSH_USERNAME and PUSH_PASSWORD from
    /// the environment; without these, credentials are created in the data folder at the first start
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Auth methods that clients may use, separated by commas: basic, oauth, event-hub
    #[arg(long = "auth", value_name = "METHODS", default_value_t = AuthMethods::default(), value_parser = served_auth_methods)]
    auth_methods: AuthMethods,
    /// URL of this server, such as https://push.example.com: for links in messages, by default the URL of the last push; and the
    /// host in the signatures of Event Hubs. Required by the auth method event-hub
    #[arg(long, value_name = "URL")]
    public_url: Option<PublicUrl>,
    /// Time of the daily compaction in UTC, as `compact` does it; or off
    #[arg(long, value_name = "TIME", default_value = "18:00", value_parser = compact_at)]
    compact: CompactAt,
}

/// The file of the state, in the data folder.
const STATE_FILE: &str = "state.db";
/// How often a sweep runs.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Bytes of decoded pushes in memory at a time: two of the largest. Evaluating them takes several times as much memory.
const BODY_BUDGET: usize = 2 * MAX_DECODED;
/// How long a push waits for its part of the budget.
const PERMIT_WITHIN: Duration = Duration::from_secs(10);
/// How often the rules file is checked for changes.
const RELOAD_RULES_EVERY: SignedDuration = SignedDuration::from_secs(2);

impl ServeCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let metrics = telemetry::command::start(config::verbosity());
        // One more thread for each of the largest pushes in memory: each keeps a thread busy for a while.
        let threads = std::thread::available_parallelism().map_or(1, usize::from) + BODY_BUDGET / MAX_DECODED;
        runtime(threads)?.block_on(self.serve(metrics))
    }

    async fn serve(self, metrics: MetricsRegistry) -> Result<(), Failure> {
        let data = &self.data;
        let unusable = |error| Failure::of_folder(data, "--data", &error);
        let (store, removed) = FolderStore::open(data).map_err(unusable)?;
        if removed > 0 {
            tracing::info!(removed, "unfinished files removed");
        }
        let publisher = AlertLog::open(data).map_err(unusable)?;
        let state = SqliteStore::open(&data.join(STATE_FILE)).map_err(|error| self.state_failure(&error))?;
        let rules = load_rules(self.rules.as_deref(), data).await?;
        let (credentials, file) = self.load_credentials()?;
        self.check_auth_methods(&credentials)?;
        // Before the server listens, so that an early Ctrl-C is graceful as well.
        let stop = stop_requested(Signals::listen()?);
        let listener = listener::listen(self.listen).await.map_err(|error| self.listen_failure(&error))?;
        let address = listener.local_addr().map_err(|error| self.listen_failure(&error))?;
        let started = Timestamp::now();
        tracing::info!(version = smartclean_push::VERSION, "started");
        let in_force = rules.current(started).await?;
        let kept_in = file.as_ref().map_or("PUSH_USERNAME and PUSH_PASSWORD".into(), |path| path.display().to_string());
        channels::check_secrets(&in_force, &credentials, &kept_in).map_err(Failure::new)?;
        self.print_welcome(address, &credentials, &kept_in, &in_force, rules.refused().is_some());
        let source = || -> Box<dyn CredentialSource> {
            match &file {
                Some(path) => Box::new(CachedCredentials::new(CredentialFile { path: path.clone() })),
                None => Box::new(Arc::clone(&credentials)),
            }
        };
        let secrets: Arc<dyn CredentialSource> = source().into();
        let (email, webhook) =
            (EmailPublisher { credentials: Arc::clone(&secrets) }, WebhookPublisher { credentials: secrets });
        let ingest = Ingest::new(Environment {
            store: Box::new(store.clone()),
            journal: Some(Box::new(store)),
            state: Box::new(state),
            replay_rate_limit: None,
            publisher: Box::new(publisher),
            background: vec![Box::new(email), Box::new(webhook)],
            rules,
        })
        .with_public_url(self.public_url.clone());
        let public_host = self.public_url.as_ref().map(|url| url.host().to_owned());
        let authenticator =
            Authenticator::new(source()).with_auth_methods(self.auth_methods).with_public_host(public_host);
        let app = Arc::new(
            App::new(ingest, authenticator)
                .with_pages()
                .with_metrics(move || metrics.to_open_metrics())
                .with_body_budget(BODY_BUDGET, PERMIT_WITHIN),
        );
        // Dropping the set cancels its tasks.
        let mut tasks = JoinSet::new();
        for channel in app.ingest().background_channels() {
            tasks.spawn(server::deliver_each(Arc::clone(&app), channel));
        }
        tasks.spawn(server::sweep_every(Arc::clone(&app), SWEEP_EVERY));
        tasks.spawn(server::evaluate_pending_every(Arc::clone(&app), SWEEP_EVERY, started));
        if let CompactAt::Daily(at) = self.compact {
            tasks.spawn(compact_daily(self.data.clone(), at));
        }
        // Without systemd, this does nothing. systemd keeps a copy of the socket.
        sd_notify::notify_with_fds(&[NotifyState::Ready, NotifyState::FdStore], &[listener.as_fd()])
            .or_failure("systemd cannot be notified")?;
        match server::serve(app, listener, server::ServerLimits::default(), stop).await {
            0 => Ok(()),
            cut_off => Err(Failure::new(format!("{cut_off} requests took too long to finish and were cut off"))),
        }
    }

    /// Fails if an enabled auth method lacks its credentials.
    fn check_auth_methods(&self, credentials: &Credentials) -> Result<(), Failure> {
        if let Some(lack) = credentials.missing_for(self.auth_methods) {
            return Err(Failure::new(format!(
                "{lack}: add it to the credentials file, or leave the auth method out of --auth"
            )));
        }
        if self.auth_methods.contains(AuthMethod::EventHub) && self.public_url.is_none() {
            return Err(Failure::usage(
                "the auth method event-hub requires --public-url: the URL that SmartClean was given, without a path, such as \
                 https://push.example.com. A signature for any other host is refused",
            ));
        }
        Ok(())
    }

    fn state_failure(&self, error: &SqliteOpenError) -> Failure {
        let (data, state) = (self.data.display(), self.data.join(STATE_FILE));
        let state = state.display();
        let failure = Failure::new(format!("{state}: {error}"));
        let SqliteOpenError::Damaged(_) = error else { return failure };
        let rules = self.rules.as_ref().map(|rules| format!(" --rules {}", rules.display())).unwrap_or_default();
        failure.with_remedy(&format!(
            "Stored readings are safe. Move {state} away, and {state}-wal and {state}-shm if they are there: messages that wait \
             in it are lost, and cleanings by a button. Rebuild the rest from the readings, then start again: smartclean-push \
             replay raw --from {data} --state {state}{rules}"
        ))
    }

    fn listen_failure(&self, error: &io::Error) -> Failure {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "something else listens there. Choose another port, for example --listen 127.0.0.1:8081"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 need more rights. Choose a higher one with --listen",
            _ => "choose another address with --listen",
        };
        Failure::new(format!("cannot listen on {}: {error}; {hint}", self.listen))
    }

    /// Prints the URL, the credentials, and a line to paste that raises an alert.
    fn print_welcome(
        &self,
        address: SocketAddr,
        credentials: &Credentials,
        kept_in: &str,
        rules: &RuleSet,
        is_refused: bool,
    ) {
        let laid_over = match self.rules.as_deref().map(Path::display) {
            None => "built in".to_owned(),
            Some(path) if is_refused => {
                format!("as they were accepted last. {path} has faults: smartclean-push check {path}")
            }
            Some(path) => format!("built in, with {path}"),
        };
        print(format_args!(
            "\
Receiving pushes at  http://{address}/push{messages}
Credentials          {kept_in}
Data                 {data}
Rules                {count}, {laid_over}
Alerts               {alerts}

{try_it}

Stop with Ctrl-C.

",
            messages = if self.auth_methods.takes_pushes() { "" } else { "/messages" },
            data = self.data.display(),
            count = rules.rules.len(),
            alerts = channels::describe(rules, &self.data),
            // The password is for the terminal alone: a journal keeps what is printed.
            try_it = try_it(address, self.auth_methods, credentials, kept_in, io::stdout().is_terminal()),
        ));
    }

    /// Loads credentials from the file, else from the environment, else makes them at the first start. Also returns the file;
    /// `None` if they come from the environment. Warns if other users can read it.
    fn load_credentials(&self) -> Result<(Arc<Credentials>, Option<PathBuf>), Failure> {
        let path = if let Some(path) = &self.credentials {
            path.clone()
        } else if let Some(client) = environment::client()? {
            let credentials = Credentials::from_clients(vec![client]).or_failure("PUSH_USERNAME and PUSH_PASSWORD")?;
            return Ok((Arc::new(credentials), None));
        } else {
            ensure_credentials(&self.data).or_failure("credentials cannot be made")?
        };
        let name = path.display();
        let bytes = std::fs::read(&path).or_failure(format_args!("the credentials file {name} cannot be read"))?;
        let credentials = Credentials::parse(utf8::text(&bytes).or_failure(&name)?).or_failure(&name)?;
        let mode = std::fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o044 != 0 {
            tracing::warn!("others on this machine can read the credentials file; to end that: chmod 600 {name}");
        }
        Ok((Arc::new(credentials), Some(path)))
    }
}

/// The built-in rules, or those of the file. Fails if the file cannot be read, or if it is invalid and no other version of it was
/// accepted before.
async fn load_rules(path: Option<&Path>, data: &Path) -> Result<Box<dyn RuleSource>, Failure> {
    let Some(path) = path else { return Ok(Box::new(Arc::new(RuleSet::pack()))) };
    let (file, name) = (RuleFile::new(path.to_owned(), data), path.display().to_string());
    let bytes = std::fs::read(path).or_failure(format_args!("the rules file {name} cannot be read"))?;
    if let Err(faults) = read_rules(&name, &bytes)
        && file.read_accepted().await?.is_none_or(|copy| read_rules(&name, &copy).is_err())
    {
        let count = plural(faults.len(), "fault");
        return Err(Failure::new(format!("the rules file {name} has {count}:\n{}", listed(&faults))));
    }
    Ok(Box::new(CachedRules::new(file, RELOAD_RULES_EVERY)))
}

/// Completes when the user or the system requests the end. The second request ends the process at once.
async fn stop_requested(mut signals: Signals) {
    signals.next().await;
    note("\nStopping: requests that have begun are finished first.");
    tokio::spawn(async move { signals.exit_at_next().await });
}

/// Parses `--listen`. IPv4 goes first among the addresses of a name: most clients of this machine try it.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    const EXPECTED: &str = "name an address and a port, for example 127.0.0.1:8080, localhost:8080 or :8080";
    let host = if text.starts_with(':') { "127.0.0.1" } else { "" };
    let addresses = format!("{host}{text}").to_socket_addrs().map_err(|error| format!("{error}; {EXPECTED}"))?;
    addresses.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| format!("it has no address; {EXPECTED}"))
}

/// Parses `--auth`.
fn served_auth_methods(list: &str) -> Result<AuthMethods, String> {
    match list.parse() {
        Ok(auth_methods) if auth_methods == AuthMethods::new(&[AuthMethod::Iot]) => Err(
            "by iot alone nobody can push: AWS IoT hands readings to the function on AWS and not to `serve`. Add basic, \
             oauth or event-hub"
                .to_owned(),
        ),
        Ok(auth_methods) => Ok(auth_methods),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_may_be_names_or_ports_alone() {
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(listen_address(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in ["8080", "localhost", "127.0.0.1:99999", ":", ""] {
            assert!(listen_address(text).unwrap_err().contains("localhost:8080"), "{text}");
        }
    }
}

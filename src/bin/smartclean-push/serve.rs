//! `serve`: the push endpoint on a machine of one's own.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use smartclean_push::adapters::files::{AlertLog, FolderStore, ensure_credentials};
use smartclean_push::adapters::memory::{FixedCredentials, FixedRules};
use smartclean_push::domain::auth::Credentials;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::hosts::server;
use smartclean_push::http::App;
use smartclean_push::ingest::Ingest;
use tokio::net::TcpListener;

use crate::{Failure, environment};

/// Receive pushes here: raw readings into a folder, alerts on the terminal and in a file
///
/// The same handler as the Lambda function, with no cloud at all. Everything is kept in the data folder: raw readings
/// under raw/, what could not be read under rejected/, one line for each alert message in alerts.ndjson.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push serve
  smartclean-push serve --listen 0.0.0.0:8080 --data /var/lib/smartclean-push --rules rules.toml
  PUSH_USERNAME=smartclean PUSH_PASSWORD=… smartclean-push serve

SmartClean pushes over HTTPS only: for pushes from outside put a TLS proxy such as Caddy or nginx in front.")]
pub(super) struct Serve {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Folder for everything that is kept; made if it is not there
    #[arg(long, value_name = "FOLDER", default_value = "data")]
    data: PathBuf,
    /// Rules of your own, laid over the built-in ones
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Who may push: JSON such as {"username":"…","password":"…"}. Else PUSH_USERNAME and PUSH_PASSWORD from the
    /// environment, else made at the first start and kept in the data folder
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
}

/// Credentials and where they are kept.
struct KnownCredentials {
    credentials: Credentials,
    kept_in: String,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|fault| Failure::new(format!("the program cannot start: {fault}")))?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), Failure> {
        let data = &self.data;
        let in_folder = |fault: io::Error| {
            Failure::new(format!(
                "the data folder {} cannot be used: {fault}. Choose another with --data",
                data.display()
            ))
        };
        let (store, removed) = FolderStore::open(data).map_err(in_folder)?;
        if removed > 0 {
            tracing::info!(removed, "unfinished files of an earlier run removed");
        }
        let publisher = AlertLog::open(data).map_err(in_folder)?;
        let rules = Arc::new(read_rules(self.rules.as_deref())?);
        let known = self.known_credentials()?;
        // Heard from now on, so that an early Ctrl-C is graceful as well.
        let end = end_asked_for().map_err(|fault| Failure::new(format!("signals cannot be received: {fault}")))?;
        let listener = TcpListener::bind(self.listen).await.map_err(|fault| self.cannot_listen(&fault))?;
        let address = listener.local_addr().map_err(|fault| self.cannot_listen(&fault))?;
        welcome(address, data, &known, self.rules.as_deref(), rules.rules.len());
        let credentials = FixedCredentials(Arc::new(known.credentials));
        let app = Arc::new(App::new(Ingest::new(store, publisher, FixedRules(rules)), credentials));
        match server::serve(app, listener, end).await {
            0 => Ok(()),
            cut_off => Err(Failure::new(format!("{cut_off} requests took too long to finish and were cut off"))),
        }
    }

    fn cannot_listen(&self, fault: &io::Error) -> Failure {
        let hint = match fault.kind() {
            io::ErrorKind::AddrInUse => {
                "something else listens there. Choose another port, for example --listen 127.0.0.1:8081"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 need more rights. Choose a higher one with --listen",
            _ => "choose another address with --listen",
        };
        Failure::new(format!("cannot listen on {}: {fault}; {hint}", self.listen))
    }

    /// From the file, else the environment, else made at the first start.
    fn known_credentials(&self) -> Result<KnownCredentials, Failure> {
        if let Some(path) = &self.credentials {
            return credentials_from(path);
        }
        if let Some(client) = environment::client()? {
            let credentials = Credentials::of(vec![client])
                .map_err(|fault| Failure::new(format!("PUSH_USERNAME and PUSH_PASSWORD: {fault}")))?;
            return Ok(KnownCredentials { credentials, kept_in: "PUSH_USERNAME and PUSH_PASSWORD".to_owned() });
        }
        let path = ensure_credentials(&self.data)
            .map_err(|fault| Failure::new(format!("credentials cannot be made: {fault}")))?;
        credentials_from(&path)
    }
}

fn credentials_from(path: &Path) -> Result<KnownCredentials, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|fault| Failure::new(format!("the credentials file {shown} cannot be read: {fault}")))?;
    let credentials = Credentials::parse(&text).map_err(|fault| Failure::new(format!("{shown}: {fault}")))?;
    Ok(KnownCredentials { credentials, kept_in: shown.to_string() })
}

fn read_rules(path: Option<&Path>) -> Result<RuleSet, Failure> {
    let Some(path) = path else { return Ok(RuleSet::pack()) };
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|fault| Failure::new(format!("the rules file {shown} cannot be read: {fault}")))?;
    RuleSet::parse(&shown, &text).map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let count = match lines.len() {
            1 => "a fault".to_owned(),
            count => format!("{count} faults"),
        };
        Failure::new(format!("the rules file has {count}:\n{}", lines.join("\n")))
    })
}

/// Completes when the user or the system asks for the end. A second Ctrl-C is not waited for: it ends the process.
fn end_asked_for() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            let _ = writeln!(anstream::stderr(), "\nStopping: requests that have begun are finished first.");
            tokio::spawn(async move {
                interrupt.recv().await;
                std::process::exit(130);
            });
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Says what runs where, and gives a line to paste that makes an alert.
fn welcome(address: SocketAddr, data: &Path, known: &KnownCredentials, rules: Option<&Path>, count: usize) {
    let rules = rules.map_or("built in".to_owned(), |path| format!("built in, with {}", path.display()));
    let client = known.credentials.clients().first();
    let (username, password) = client.map_or(("", ""), |client| (&client.username, client.password.expose()));
    let _ = writeln!(
        anstream::stdout(),
        "\
Receiving pushes at  http://{address}/push
Credentials          {kept_in}
Data                 {data}
Rules                {count}, {rules}

Try it: this pushes a reading that raises an alert. Paste it into another terminal.

{curl}

Stop with Ctrl-C.
",
        kept_in = known.kept_in,
        data = data.display(),
        curl = curl_line(address, username, password),
    );
}

/// A line for any POSIX shell. It computes its time when it is run, so that the reading is fresh an hour later too.
fn curl_line(address: SocketAddr, username: &str, password: &str) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => format!("127.0.0.1:{}", address.port()),
        _ => address.to_string(),
    };
    let user = quoted(&format!("{username}:{password}"));
    let reading = r#"{\"DevType\":\"SMARTCLEAN#ODRDTR_BATT_V1\",\"DEVID\":\"demo-air-quality\",\"Display\":\"Indoor Air Quality\",\"PID\":\"demo-building\",\"InsID\":\"demo-washroom\",\"Region\":\"Asia/Singapore\",\"unixT\":'$(date +%s)',\"v\":{\"amm\":270,\"aqi\":103,\"rh\":730,\"temp\":304}}"#;
    format!("curl -u {user} http://{host}/push -H 'Content-Type: application/json' -d '[\"{reading}\"]'")
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_with_quotes_stays_one_word_of_the_shell() {
        assert_eq!(quoted("a'b $c"), r"'a'\''b $c'");
    }

    #[test]
    fn the_line_to_paste_is_a_batch_once_the_shell_has_run_it() {
        let line = curl_line("0.0.0.0:8080".parse().unwrap(), "u", "p'w");
        let script = format!("curl() {{ for word; do printf '%s\\n' \"$word\"; done; }}\n{line}");
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let words: Vec<_> = words.lines().collect();
        assert_eq!(words[..3], ["-u", "u:p'w", "http://127.0.0.1:8080/push"]);
        let items: Vec<String> = serde_json::from_str(words.last().unwrap()).unwrap();
        let reading: serde_json::Value = serde_json::from_str(&items[0]).unwrap();
        assert!(reading["unixT"].as_i64().unwrap() > 1_700_000_000);
    }
}

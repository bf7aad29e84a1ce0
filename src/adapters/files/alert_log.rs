//! Messages as lines of `alerts.ndjson`, one for each that SNS would get, and on the terminal for whoever watches.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Style};

use crate::domain::alert::render::{Attribute, Rendered};
use crate::ingest::ports::{AlertPublisher, Unavailable};

/// The file's name in the data folder.
const FILE: &str = "alerts.ndjson";

/// Appends messages to a file and shows them on standard output.
#[derive(Clone, Debug)]
pub struct AlertLog {
    file: Arc<Mutex<File>>,
}

impl AlertLog {
    /// Opens the log in `folder`, making the file if it is not there.
    ///
    /// # Errors
    /// Where the file cannot be made or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(folder.join(FILE))?;
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    fn append(&self, messages: &[Rendered]) -> io::Result<()> {
        let mut lines = String::new();
        for message in messages {
            lines.push_str(&message.record().to_string());
            lines.push('\n');
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write, so that lines of one push stay together and none is ever half there for a reader.
        file.write_all(lines.as_bytes())?;
        file.sync_data()
    }
}

impl AlertPublisher for AlertLog {
    async fn publish(&self, messages: &[Rendered]) -> Vec<Result<(), Unavailable>> {
        let (log, owned) = (self.clone(), messages.to_vec());
        let written = tokio::task::spawn_blocking(move || log.append(&owned)).await.map_err(io::Error::other).flatten();
        let failed = match written {
            Ok(()) => {
                show(messages);
                None
            }
            Err(fault) => Some(Arc::new(fault)),
        };
        let outcome = || match &failed {
            None => Ok(()),
            Some(fault) => Err(Unavailable::new("the alert log did not take the message", Arc::clone(fault))),
        };
        messages.iter().map(|_| outcome()).collect()
    }
}

/// Shows messages, coloured by severity where it is a terminal that shows colours. That nobody watches is no failure.
fn show(messages: &[Rendered]) {
    let mut out = anstream::stdout().lock();
    for message in messages {
        let style = style(message);
        let _ = writeln!(out, "{style}ALERT {}{style:#}\n      {}", message.subject, message.sms);
    }
    let _ = out.flush();
}

fn style(message: &Rendered) -> Style {
    let severity = message.attributes.iter().find(|(name, _)| *name == "severity").map(|(_, value)| match value {
        Attribute::One(one) => one.as_str(),
        Attribute::Many(many) => many.first().map_or("", String::as_str),
    });
    let colour = match severity {
        Some("critical" | "high") => AnsiColor::Red,
        Some("medium") => AnsiColor::Yellow,
        _ => AnsiColor::Cyan,
    };
    Style::new().bold().fg_color(Some(colour.into()))
}

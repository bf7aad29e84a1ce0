//! Messages as lines of `alerts.ndjson`, one for each that SNS would get, and on the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use async_trait::async_trait;

use crate::domain::rules::RuleSet;
use crate::domain::state::Channel;
use crate::ingest::ports::{AlertPublisher, OutgoingMessage, PublishOutcome};
use crate::notify::attributes::Attribute;
use crate::notify::rendered::Rendered;

/// The file's name in the data folder.
const FILE: &str = "alerts.ndjson";

/// Appends messages to a file and prints them on standard output.
#[derive(Clone, Debug)]
pub struct AlertLog {
    file: Arc<Mutex<File>>,
}

impl AlertLog {
    /// Opens the log in `folder`, and creates the file if there is none.
    ///
    /// # Errors
    /// If the file cannot be created or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(folder.join(FILE))?;
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    fn append(&self, messages: &[OutgoingMessage]) -> io::Result<()> {
        let lines: String = messages.iter().map(|message| format!("{}\n", message.rendered.record())).collect();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Another process may append too, such as `replay raw --alerts`: truncating must not remove its lines.
        file.lock()?;
        let appended = append_lines(&mut file, lines);
        file.unlock()?;
        appended
    }
}

/// Appends whole lines, all of them or none.
fn append_lines(file: &mut File, mut lines: String) -> io::Result<()> {
    let length = file.metadata()?.len();
    // A line that was cut off by a full disk or a power failure must not spoil the next one.
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            lines.insert(0, '\n');
        }
    }
    // One write, so that readers never see a part of a push's lines.
    if let Err(error) = file.write_all(lines.as_bytes()) {
        // A disk that becomes full takes a part of them. If truncating fails too, the next append starts a new line.
        let _ = file.set_len(length);
        return Err(error);
    }
    file.sync_data()
}

#[async_trait]
impl AlertPublisher for AlertLog {
    fn channel(&self) -> Channel {
        Channel::Log
    }

    async fn publish(&self, _rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        let (log, owned) = (self.clone(), messages.to_vec());
        let appended =
            tokio::task::spawn_blocking(move || log.append(&owned)).await.map_err(io::Error::other).flatten();
        let appended = appended.map(|()| print(messages)).map_err(Arc::new);
        let outcome = || match &appended {
            Ok(()) => PublishOutcome { reply: Some("written".to_owned()), ..PublishOutcome::default() },
            Err(error) => PublishOutcome::failed("the alert log did not take the message", Arc::clone(error)),
        };
        messages.iter().map(|_| outcome()).collect()
    }
}

/// Prints messages, coloured by severity on a terminal that supports it. A closed output is not an error.
fn print(messages: &[OutgoingMessage]) {
    let mut out = anstream::stdout().lock();
    for OutgoingMessage { rendered: message, .. } in messages {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for (before, after) in [("", "{}\n"), ("{}\n", "{}\n{}\n"), ("{}\n{\"id", "{}\n{\"id\n{}\n")] {
            fs::write(&path, before).unwrap();
            let log = AlertLog::open(folder.path()).unwrap();
            append_lines(&mut log.file.lock().unwrap(), "{}\n".to_owned()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            append_lines(&mut log.file.lock().unwrap(), "{}\n".to_owned()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{after}{{}}\n"), "once is enough");
        }
    }
}

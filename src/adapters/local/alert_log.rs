//! Messages as lines of `alerts.ndjson`, one for each that SNS would get, and on the terminal for whoever watches.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use async_trait::async_trait;

use crate::ingest::ports::{AlertPublisher, UnavailableError};
use crate::notify::attributes::Attribute;
use crate::notify::render::Rendered;

/// The file's name in the data folder.
const FILE: &str = "alerts.ndjson";

/// Appends messages to a file and shows them on standard output.
#[derive(Clone, Debug)]
pub struct AlertLog {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug)]
struct Lines {
    file: File,
    /// Whether the last one is half there: the disk was full, or the machine went down. Nobody was told that it was sent.
    is_half: bool,
}

impl AlertLog {
    /// Opens the log in `folder`, making the file if it is not there.
    ///
    /// # Errors
    /// Where the file cannot be made or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(folder.join(FILE))?;
        let mut last = Vec::new();
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_to_end(&mut last)?;
        }
        let is_half = last.last().is_some_and(|last| *last != b'\n');
        Ok(Self { lines: Arc::new(Mutex::new(Lines { file, is_half })) })
    }

    fn append(&self, messages: &[Rendered]) -> io::Result<()> {
        let mut lines = String::new();
        for message in messages {
            lines.push_str(&message.record().to_string());
            lines.push('\n');
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).append(&lines)
    }
}

impl Lines {
    /// Appends whole lines, all of them or none.
    fn append(&mut self, lines: &str) -> io::Result<()> {
        // Another process may append as well, such as `replay raw --alerts`: its lines must not be cut off below.
        self.file.lock()?;
        let appended = self.append_locked(lines);
        self.file.unlock()?;
        appended
    }

    fn append_locked(&mut self, lines: &str) -> io::Result<()> {
        // What was cut off must not take the next line with it.
        let lines = if self.is_half { format!("\n{lines}") } else { lines.to_owned() };
        let before = self.file.metadata()?.len();
        // One write, so that lines of one push stay together and none is ever half there for a reader.
        if let Err(fault) = self.file.write_all(lines.as_bytes()) {
            // But a disk that becomes full takes a part of them.
            self.is_half |= self.file.set_len(before).is_err();
            return Err(fault);
        }
        self.is_half = false;
        self.file.sync_data()
    }
}

#[async_trait]
impl AlertPublisher for AlertLog {
    async fn publish(&self, messages: &[Rendered]) -> Vec<Result<(), UnavailableError>> {
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
            Some(fault) => Err(UnavailableError::new("the alert log did not take the message", Arc::clone(fault))),
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_line_that_was_cut_off_does_not_take_the_next_one_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for (before, after) in [("", "{}\n"), ("{}\n", "{}\n{}\n"), ("{}\n{\"id", "{}\n{\"id\n{}\n")] {
            fs::write(&path, before).unwrap();
            let log = AlertLog::open(folder.path()).unwrap();
            log.lines.lock().unwrap().append("{}\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            log.lines.lock().unwrap().append("{}\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{after}{{}}\n"), "once is enough");
        }
    }
}

//! Results on standard output; messages and progress on standard error.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use smartclean_push::domain::display;

use crate::{Failure, OrFailure as _};

/// The format of a command's results.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum OutputFormat {
    /// Lines and tables to read
    #[default]
    Text,
    /// JSON to process
    Json,
}

impl OutputFormat {
    /// Prints `results`: as JSON, or as `text` writes them.
    pub(super) fn print<R: Serialize>(self, results: &R, text: impl FnOnce(&R) -> String) -> Result<(), Failure> {
        print_results(match self {
            Self::Text => text(results),
            Self::Json => serde_json::to_string(results).or_failure("the results cannot be written as JSON")? + "\n",
        })
    }
}

/// Prints a message for people.
pub(super) fn print(text: impl Display) {
    let _ = write!(anstream::stdout(), "{text}");
}

/// Prints results, which can go to a file. A reader that has closed the pipe, such as `head`, is no error.
///
/// # Errors
/// If standard output cannot be written, for example because the disk is full.
pub(super) fn print_results(text: impl Display) -> Result<(), Failure> {
    let mut output = anstream::stdout();
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.or_failure("standard output cannot be written"),
    }
}

/// Prints a message to standard error. Characters that could control a terminal become blanks.
pub(super) fn note(message: impl Display) {
    let _ = writeln!(anstream::stderr(), "{}", display::lines(&message.to_string()));
}

/// Writes a report into a file.
pub(super) fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).or_failure(format_args!("{} cannot be written", path.display()))?;
    note(format_args!("The report is in {}", path.display()));
    Ok(())
}

/// A progress bar with the time left and a message. It is shown on a terminal only.
pub(super) fn progress_bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {eta} left");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A line for each of the first ten `items`, and how many more there are. Items can have names that come from sensors.
pub(super) fn list(prefix: &str, items: &[String]) -> String {
    const LISTED: usize = 10;
    let mut text: String = items.iter().take(LISTED).map(|item| format!("{prefix}{}\n", display::line(item))).collect();
    if items.len() > LISTED {
        text += &format!("and {} more\n", items.len() - LISTED);
    }
    text
}

//! The error of a command.

use std::fmt::Display;
use std::io;
use std::path::Path;

use history::ArchiveError;
use smartclean_push::ingest::ports::UnavailableError;

/// The exit code after Ctrl-C, as shells have it: 128 and the number of the signal.
pub(super) const INTERRUPTED: u8 = 130;

/// The reason why a command failed: what happened, and what to do next.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) exit: u8,
}

impl Failure {
    /// A failure with exit code 1: something did not work, or faults were found.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 1 }
    }

    /// A failure with exit code 2: the command line is wrong.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: 2 }
    }

    /// A failure with exit code 130: the user pressed Ctrl-C.
    pub(super) fn interrupted(next: &str) -> Self {
        Self { message: format!("interrupted. {next}"), exit: INTERRUPTED }
    }

    /// A folder cannot be used. `option` is the option that names it.
    pub(super) fn of_folder(folder: &Path, option: &str, error: &io::Error) -> Self {
        let folder = folder.display();
        Self::new(match error.kind() {
            io::ErrorKind::ResourceBusy => format!(
                "`smartclean-push serve` uses the data folder {folder}. Stop it, or choose another folder with {option}"
            ),
            _ => format!("the folder {folder} cannot be used: {error}. Choose another with {option}"),
        })
    }

    /// Adds what to do next.
    pub(super) fn with_remedy(self, remedy: &str) -> Self {
        Self { message: format!("{}. {remedy}", self.message), ..self }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<UnavailableError> for Failure {
    fn from(error: UnavailableError) -> Self {
        Self::new(error.chain())
    }
}

/// Turns an error into a [`Failure`] that says what failed.
pub(super) trait OrFailure<T> {
    /// A failure with exit code 1.
    fn or_failure(self, what: impl Display) -> Result<T, Failure>;

    /// A failure with exit code 2.
    fn or_usage(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Display> OrFailure<T> for Result<T, E> {
    fn or_failure(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{what}: {error}")))
    }

    fn or_usage(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::usage(format!("{what}: {error}")))
    }
}

//! What is wrong with a rules file, all of it at once, each with its place.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place in a rules file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file's name, as its reader knows it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong with a rules file. Prints as `rules.toml:12:8: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where.
    pub location: Location,
    /// What.
    pub message: String,
    /// What to do about it, where that can be guessed.
    pub suggestion: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)?;
        self.suggestion.iter().try_for_each(|suggestion| write!(f, "; {suggestion}"))
    }
}

/// A rules file that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What its reader calls it: `config/rules.toml`.
    pub file: String,
    /// Which version of it; changes whenever the text does.
    pub version: String,
    /// Its first faults, each with its place.
    pub faults: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl Refused {
    /// Most faults that are told; a person mends the first ones first.
    const MOST: usize = 20;

    /// `version` of `file`, which has these faults.
    pub fn of(file: &str, version: &str, faults: &[impl fmt::Display]) -> Self {
        let told = faults.iter().take(Self::MOST).map(ToString::to_string).collect();
        let more = faults.len().saturating_sub(Self::MOST);
        Self { file: file.to_owned(), version: version.to_owned(), faults: told, more }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) location: Location,
}

impl<T> At<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), location: self.location }
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// What `look` finds in a rule. Where a file changes a rule of another one, and what it leaves as it is does not go with
    /// that, the fault is where the file names the rule: the other one is right, and often nobody's to mend.
    pub(super) fn of_rule<T>(&mut self, place: &Location, look: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.0.len();
        let found = look(self);
        for fault in self.0.iter_mut().skip(before).filter(|fault| fault.location.file != place.file) {
            fault.location = place.clone();
        }
        found
    }

    pub(super) fn add(&mut self, location: &Location, message: impl Into<String>) {
        self.maybe_suggest(location, message, None);
    }

    pub(super) fn suggest(&mut self, location: &Location, message: impl Into<String>, suggestion: impl Into<String>) {
        self.maybe_suggest(location, message, Some(suggestion.into()));
    }

    pub(super) fn maybe_suggest(
        &mut self,
        location: &Location,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        let (message, suggestion) = (in_a_line(message.into()), suggestion.map(in_a_line));
        self.0.push(Fault { location: location.clone(), message, suggestion });
    }

    /// `value`, or the faults in the order of the file.
    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<Fault>> {
        let mut faults = self.0;
        if faults.is_empty() {
            return Ok(value);
        }
        faults.sort();
        faults.dedup();
        Err(faults)
    }
}

/// `text` without anything that could break a line or command a terminal: what it quotes of the file may do both.
fn in_a_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character.is_control() {
            true => shown.extend(character.escape_debug()),
            false => shown.push(character),
        }
    }
    shown
}

/// "did you mean `amm`?", where one of `known` is near enough to what was written.
pub(super) fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let wanted = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name))
        // 0.75: keeps "temprature" and "amonia", drops words that share only a first letter.
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

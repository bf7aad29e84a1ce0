//! What is wrong with a rules file, all of it at once, each with its place.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::utf8::NotUtf8;

/// A place in a rules file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// Where.
    #[serde(flatten)]
    pub location: Location,
    /// What.
    pub message: String,
    /// What to do about it, where that can be guessed.
    pub suggestion: Option<String>,
}

impl Fault {
    /// A file that is no text.
    pub(super) fn not_utf8(file: &str, fault: &NotUtf8) -> Self {
        let location = Location { file: file.into(), line: fault.line, column: fault.column };
        Self::new(&location, fault.what(), Some(NotUtf8::REMEDY.to_owned()))
    }

    /// A fault at `location`, and what to write instead where that is known.
    pub fn new(location: &Location, message: impl Into<String>, suggestion: Option<String>) -> Self {
        let suggestion = suggestion.map(|suggestion| in_a_line(&suggestion));
        Self { location: location.clone(), message: in_a_line(&message.into()), suggestion }
    }
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

/// Changes `known` if something else is written.
pub(super) fn replace<T>(known: &mut T, written: Option<At<T>>) {
    if let Some(written) = written {
        *known = written.value;
    }
}

/// The faults found so far, and the warnings: what can be used and is probably not meant.
#[derive(Debug, Default)]
pub(super) struct Faults {
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Faults {
    /// What `look` finds in a rule. Where a file changes a rule of another one, and what it leaves as it is does not go with
    /// that, the fault is where the file names the rule: the other one is right, and often nobody's to mend.
    pub(super) fn of_rule<T>(&mut self, place: &Location, look: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.faults.len();
        let found = look(self);
        for fault in self.faults.iter_mut().skip(before).filter(|fault| fault.location.file != place.file) {
            fault.location = place.clone();
        }
        found
    }

    /// Whether a fault is known at this place: a value that could not be read is empty, and not what was written.
    pub(super) fn has(&self, location: &Location) -> bool {
        self.faults.iter().any(|fault| fault.location == *location)
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
        self.faults.push(Fault::new(location, message, suggestion));
    }

    pub(super) fn warn(&mut self, location: &Location, message: impl Into<String>, suggestion: impl Into<String>) {
        self.warnings.push(Fault::new(location, message, Some(suggestion.into())));
    }

    /// `value` with the warnings, or the faults, each in the order of the file.
    pub(super) fn or<T>(self, value: T) -> Result<(T, Vec<Fault>), Vec<Fault>> {
        let in_order = |mut faults: Vec<Fault>| {
            faults.sort();
            faults.dedup();
            faults
        };
        if self.faults.is_empty() { Ok((value, in_order(self.warnings))) } else { Err(in_order(self.faults)) }
    }
}

/// `text` without anything that could break a line or command a terminal: what it quotes of the file may do both.
fn in_a_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() { shown.extend(character.escape_debug()) } else { shown.push(character) }
    }
    shown
}

/// What was probably meant by `written`; if nothing is near enough, all that is known behind `otherwise`: "it can be: a, b".
pub(super) fn nearest_or_all<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
    otherwise: &str,
) -> String {
    let all = || known.clone().into_iter().collect::<Vec<_>>().join(", ");
    nearest(written, known.clone()).unwrap_or_else(|| format!("{otherwise} {}", all()))
}

/// "did you mean `amm`?", where one of `known` is near enough to what was written.
#[must_use]
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let wanted = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), name))
        // 0.75: keeps "temprature" and "amonia", drops words that share only a first letter.
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

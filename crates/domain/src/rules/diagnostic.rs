//! What is wrong with a rules file, all of it at once, each with its position.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::utf8::Utf8Error;

/// A position in a rules file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The file's name, as its reader knows it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong with a rules file. Prints as `rules.toml:12:8: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// Where.
    #[serde(flatten)]
    pub position: Position,
    /// What.
    pub message: String,
    /// What to do about it, where that can be guessed.
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// A file that is no text.
    pub(super) fn not_utf8(file: &str, diagnostic: &Utf8Error) -> Self {
        let position = Position { file: file.into(), line: diagnostic.line, column: diagnostic.column };
        Self::new(&position, diagnostic.what(), Some(Utf8Error::REMEDY.to_owned()))
    }

    /// A diagnostic at `position`, and what to write instead where that is known.
    pub fn new(position: &Position, message: impl Into<String>, suggestion: Option<String>) -> Self {
        let suggestion = suggestion.map(|suggestion| in_a_line(&suggestion));
        Self { position: position.clone(), message: in_a_line(&message.into()), suggestion }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)?;
        self.suggestion.iter().try_for_each(|suggestion| write!(f, "; {suggestion}"))
    }
}

/// A rules file that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRules {
    /// What its reader calls it: `config/rules.toml`.
    pub file: String,
    /// Which version of it; changes whenever the text does.
    pub version: String,
    /// Its first diagnostics, each with its position.
    pub diagnostics: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl RefusedRules {
    /// Most diagnostics that are told; a person mends the first ones first.
    const MOST: usize = 20;

    /// `version` of `file`, which has these diagnostics.
    pub fn of(file: &str, version: &str, diagnostics: &[impl fmt::Display]) -> Self {
        let told = diagnostics.iter().take(Self::MOST).map(ToString::to_string).collect();
        let more = diagnostics.len().saturating_sub(Self::MOST);
        Self { file: file.to_owned(), version: version.to_owned(), diagnostics: told, more }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Positioned<T> {
    pub(super) value: T,
    pub(super) position: Position,
}

impl<T> Positioned<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Positioned<U> {
        Positioned { value: change(self.value), position: self.position }
    }
}

/// Changes `known` if something else is written.
pub(super) fn replace<T>(known: &mut T, written: Option<Positioned<T>>) {
    if let Some(written) = written {
        *known = written.value;
    }
}

/// The diagnostics found so far, and the warnings: what can be used and is probably not meant.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    diagnostics: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Diagnostics {
    /// What `look` finds in a rule. Where a file changes a rule of another one, and what it leaves as it is does not go with
    /// that, the diagnostic is where the file names the rule: the other one is right, and often nobody's to mend.
    pub(super) fn of_rule<T>(&mut self, position: &Position, look: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.diagnostics.len();
        let found = look(self);
        for diagnostic in
            self.diagnostics.iter_mut().skip(before).filter(|diagnostic| diagnostic.position.file != position.file)
        {
            diagnostic.position = position.clone();
        }
        found
    }

    /// Whether a diagnostic is known at this position: a value that could not be read is empty, and not what was written.
    pub(super) fn has(&self, position: &Position) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.position == *position)
    }

    pub(super) fn add(&mut self, position: &Position, message: impl Into<String>) {
        self.maybe_suggest(position, message, None);
    }

    pub(super) fn suggest(&mut self, position: &Position, message: impl Into<String>, suggestion: impl Into<String>) {
        self.maybe_suggest(position, message, Some(suggestion.into()));
    }

    pub(super) fn maybe_suggest(
        &mut self,
        position: &Position,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.diagnostics.push(Diagnostic::new(position, message, suggestion));
    }

    pub(super) fn warn(&mut self, position: &Position, message: impl Into<String>, suggestion: impl Into<String>) {
        self.warnings.push(Diagnostic::new(position, message, Some(suggestion.into())));
    }

    /// `value` with the warnings, or the diagnostics, each in the order of the file.
    pub(super) fn or<T>(self, value: T) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>> {
        let in_order = |mut diagnostics: Vec<Diagnostic>| {
            diagnostics.sort();
            diagnostics.dedup();
            diagnostics
        };
        if self.diagnostics.is_empty() { Ok((value, in_order(self.warnings))) } else { Err(in_order(self.diagnostics)) }
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

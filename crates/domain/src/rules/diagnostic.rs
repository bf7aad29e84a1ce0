//! Faults and warnings of a rules file, each with its position.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Mention, MentionKind};
use crate::utf8::Utf8Error;

/// A position in a rules file. Prints as `rules.toml:12:8`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The file's name.
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

/// An error or a warning of a rules file. Prints as `rules.toml:12:8: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// The position of the value that it is about.
    #[serde(flatten)]
    pub position: Position,
    /// What is wrong, with the value.
    pub message: String,
    /// What to write instead, if that can be guessed.
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// A diagnostic at `position`. Control characters of the quoted file are escaped: they could break a line or command a
    /// terminal.
    pub fn new(position: &Position, message: impl Into<String>, suggestion: Option<String>) -> Self {
        let suggestion = suggestion.map(|suggestion| escape_controls(&suggestion));
        Self { position: position.clone(), message: escape_controls(&message.into()), suggestion }
    }

    /// The diagnostic of a file that is not UTF-8.
    pub(super) fn not_utf8(file: &str, error: Utf8Error) -> Self {
        let position = Position { file: file.into(), line: error.line, column: error.column };
        Self::new(&position, error.message, Some(Utf8Error::REMEDY.to_owned()))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)?;
        self.suggestion.iter().try_for_each(|suggestion| write!(f, "; {suggestion}"))
    }
}

fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() { escaped.extend(character.escape_debug()) } else { escaped.push(character) }
    }
    escaped
}

/// A rules file that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRules {
    /// The file's name: `config/rules.toml`.
    pub file: String,
    /// The version of the file. Changes whenever the text does.
    pub version: String,
    /// The first diagnostics, at most 20, each with its position.
    pub diagnostics: Vec<String>,
    /// The number of further diagnostics.
    pub more: usize,
}

impl RefusedRules {
    const MOST_DIAGNOSTICS: usize = 20;

    /// `version` of `file`, refused for these diagnostics.
    pub fn new(file: &str, version: &str, diagnostics: &[impl fmt::Display]) -> Self {
        Self {
            file: file.to_owned(),
            version: version.to_owned(),
            diagnostics: diagnostics.iter().take(Self::MOST_DIAGNOSTICS).map(ToString::to_string).collect(),
            more: diagnostics.len().saturating_sub(Self::MOST_DIAGNOSTICS),
        }
    }
}

/// A value with its position in the file.
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

/// Changes `known` to the value that is written, if any.
pub(super) fn overwrite<T>(known: &mut T, written: Option<Positioned<T>>) {
    if let Some(written) = written {
        *known = written.value;
    }
}

/// The errors and warnings found so far, and the ids that other checks can report. A file with a warning is still used.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    mentions: Vec<Mention>,
}

impl Diagnostics {
    /// Runs `check` for the rule whose id is at `position`. An error in another file, that of the built-in rule, is reported at
    /// `position`: users cannot edit built-in rules.
    pub(super) fn within_rule<T>(&mut self, position: &Position, check: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.errors.len();
        let result = check(self);
        for error in self.errors.iter_mut().skip(before).filter(|error| error.position.file != position.file) {
            error.position = position.clone();
        }
        result
    }

    pub(super) fn extend(&mut self, errors: Vec<Diagnostic>) {
        self.errors.extend(errors);
    }

    /// Whether an error is known at this position. A value that could not be read is empty, and not what was written.
    pub(super) fn has(&self, position: &Position) -> bool {
        self.errors.iter().any(|error| error.position == *position)
    }

    pub(super) fn report(&mut self, position: &Position, message: impl Into<String>, suggestion: Option<String>) {
        self.errors.push(Diagnostic::new(position, message, suggestion));
    }

    pub(super) fn suggest(&mut self, position: &Position, message: impl Into<String>, suggestion: impl Into<String>) {
        self.report(position, message, Some(suggestion.into()));
    }

    pub(super) fn warn(&mut self, position: &Position, message: impl Into<String>, suggestion: impl Into<String>) {
        self.warnings.push(Diagnostic::new(position, message, Some(suggestion.into())));
    }

    /// Records an id that the history may not have.
    pub(super) fn mention(&mut self, kind: MentionKind, Positioned { value, position }: &Positioned<String>) {
        self.mentions.push(Mention { kind, id: value.clone(), position: position.clone() });
    }

    /// The warnings and the mentioned ids, or the errors if there are any, in the order of the file.
    pub(super) fn into_result(self) -> Result<(Vec<Diagnostic>, Vec<Mention>), Vec<Diagnostic>> {
        let in_order = |mut diagnostics: Vec<Diagnostic>| {
            diagnostics.sort();
            diagnostics.dedup();
            diagnostics
        };
        if !self.errors.is_empty() {
            return Err(in_order(self.errors));
        }
        Ok((in_order(self.warnings), self.mentions))
    }
}

/// The known name nearest to `written`, or all of them behind `otherwise`: "it can be: a, b".
pub(super) fn nearest_or_all<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
    otherwise: &str,
) -> String {
    nearest(written, known.clone())
        .unwrap_or_else(|| format!("{otherwise} {}", known.into_iter().collect::<Vec<_>>().join(", ")))
}

/// "did you mean `amm`?", if one of `known` is similar to `written`.
///
/// ```
/// use domain::rules::nearest;
/// assert_eq!(nearest("amonia", ["ammonia", "alcohol"]).as_deref(), Some("did you mean `ammonia`?"));
/// assert_eq!(nearest("co2", ["ammonia", "alcohol"]), None);
/// ```
#[must_use]
pub fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let lower = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        // 0.75 keeps "temprature" and "amonia", and drops words that share only a first letter.
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

//! Reads a TOML document with the position of each value, so that a diagnostic found much later still has a position.

use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::OwnTexts;
use super::diagnostic::{Diagnostics, Position, Positioned, nearest_or_all};
use crate::display::is_hidden;

/// The text of a rules file. Converts offsets into lines and columns.
pub(super) struct RulesDocument<'i> {
    file: Arc<str>,
    text: &'i str,
    /// The offset of each line.
    lines: Vec<usize>,
}

impl<'i> RulesDocument<'i> {
    pub(super) fn new(file: &str, text: &'i str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self { file: file.into(), text, lines: std::iter::once(0).chain(ends).collect() }
    }

    /// The document as a table. Syntax errors are reported, and the rest is read.
    pub(super) fn root(&self, diagnostics: &mut Diagnostics) -> DeTable<'i> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let position = self.position_at(error.span().map_or(0, |span| span.start));
            diagnostics.report(&position, error.message().trim().replace('\n', ", "), None);
        }
        root.into_inner()
    }

    fn position_at(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.lines.partition_point(|start| *start <= offset);
        let column = self.text[self.lines[line - 1]..offset].chars().count() + 1;
        Position { file: Arc::clone(&self.file), line, column }
    }

    fn position<T>(&self, spanned: &Spanned<T>) -> Position {
        self.position_at(spanned.span().start)
    }

    fn positioned<T, U>(&self, spanned: &Spanned<T>, value: U) -> Positioned<U> {
        Positioned { value, position: self.position(spanned) }
    }
}

pub(super) type SpannedValue<'i> = Spanned<DeValue<'i>>;
type Member<'a, 'i> = (&'a Spanned<DeString<'i>>, &'a SpannedValue<'i>);

/// Reads one table of a document member by member. [`finish`](Self::finish) reports the members that were not read.
pub(super) struct TableReader<'a, 'i> {
    document: &'a RulesDocument<'i>,
    pub(super) diagnostics: &'a mut Diagnostics,
    unread: Vec<Member<'a, 'i>>,
    keys: Vec<&'static str>,
    noun: &'static str,
}

impl<'a, 'i> TableReader<'a, 'i> {
    /// Reads `table`. `noun` is its name in messages: "a rule".
    pub(super) fn new(
        document: &'a RulesDocument<'i>,
        table: &'a DeTable<'i>,
        noun: &'static str,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        Self { document, diagnostics, unread: table.iter().collect(), keys: Vec::new(), noun }
    }

    /// The value of `key`, whatever its type.
    pub(super) fn any(&mut self, key: &'static str) -> Option<Positioned<&'a SpannedValue<'i>>> {
        self.keys.push(key);
        let index = self.unread.iter().position(|(name, _)| name.get_ref() == key)?;
        let (_, value) = self.unread.swap_remove(index);
        Some(self.document.positioned(value, value))
    }

    /// The value of `key` as `convert` reads it. If that returns `None`, the diagnostic says that `key` is `wanted`.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        convert: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) -> Option<Positioned<T>> {
        let Positioned { value, position } = self.any(key)?;
        let Some(converted) = convert(value.get_ref()) else {
            self.report_type(&format!("`{key}` is {wanted}"), value);
            return None;
        };
        Some(Positioned { value: converted, position })
    }

    /// Reports that `needed` is needed in place of `value`.
    pub(super) fn report_type(&mut self, needed: &str, value: &SpannedValue<'i>) {
        let message = format!("{needed}, not {}", describe(value.get_ref()));
        self.diagnostics.report(&self.document.position(value), message, None);
    }

    /// A text, which may be empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Positioned<String>> {
        self.value(key, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    /// A text that is not blank.
    pub(super) fn nonblank(&mut self, key: &'static str) -> Option<Positioned<String>> {
        let text = self.text(key)?;
        let is_blank = text.value.trim().is_empty();
        if is_blank && !self.diagnostics.has(&text.position) {
            let message = format!("`{key}` is empty");
            self.diagnostics.suggest(&text.position, message, "write a text, or leave the key out");
        }
        (!is_blank).then_some(text)
    }

    /// One line of text, trimmed. Reports an empty text, a hidden character, and more than `longest` characters. `noun` is the
    /// name of the text in messages: "a title".
    pub(super) fn line(&mut self, key: &'static str, noun: &str, longest: usize) -> Option<Positioned<String>> {
        let Positioned { value: text, position } = self.text(key)?;
        let length = text.chars().count();
        if length > longest || text.trim().is_empty() || text.chars().any(is_hidden) {
            let suggestion = match text.chars().find(|character| is_hidden(*character)) {
                Some(hidden) => format!("remove the character U+{:04X}", u32::from(hidden)),
                None => format!("of at most {longest} characters, now {length}"),
            };
            self.diagnostics.suggest(&position, format!("{noun} is one line of text, not empty"), suggestion);
        }
        Some(Positioned { value: text.trim().to_owned(), position })
    }

    /// The one of `all` with the word that is written. `noun` is their name in messages.
    pub(super) fn word<T: Copy, const N: usize>(
        &mut self,
        key: &'static str,
        noun: &str,
        all: [T; N],
        word: fn(T) -> &'static str,
    ) -> Option<Positioned<T>> {
        let written = self.nonblank(key)?;
        self.meaning(written, noun, all, word)
    }

    /// The one of `all` with the word `written`.
    pub(super) fn meaning<T: Copy, const N: usize>(
        &mut self,
        Positioned { value: written, position }: Positioned<String>,
        noun: &str,
        all: [T; N],
        word: fn(T) -> &'static str,
    ) -> Option<Positioned<T>> {
        let Some(value) = all.into_iter().find(|known| word(*known) == written) else {
            let suggestion = nearest_or_all(&written, all.map(word), "it is one of");
            self.diagnostics.suggest(&position, format!("unknown {noun} `{written}`"), suggestion);
            return None;
        };
        Some(Positioned { value, position })
    }

    /// Whether the table has a member `key` that was not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.unread.iter().any(|(name, _)| name.get_ref() == key)
    }

    /// Reports at `position` that the table needs `key` if it is absent.
    pub(super) fn require(&mut self, key: &str, position: &Position, suggestion: &str) {
        if !self.has(key) {
            self.diagnostics.suggest(position, format!("{} needs `{key}`", self.noun), suggestion);
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<Positioned<bool>> {
        self.value(key, "`true` or `false`", DeValue::as_bool)
    }

    /// A positive span of time such as `"15m"` or `"1h 30m"`.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Positioned<SignedDuration>> {
        self.value(key, "a time such as \"15m\" or \"1h 30m\"", |value| {
            value.as_str()?.parse::<SignedDuration>().ok().filter(SignedDuration::is_positive)
        })
    }

    pub(super) fn number(&mut self, key: &'static str) -> Option<Positioned<f64>> {
        self.value(key, "a number", number)
    }

    /// A whole number in `range`, which `wanted` describes.
    pub(super) fn whole(
        &mut self,
        key: &'static str,
        wanted: &str,
        range: RangeInclusive<u32>,
    ) -> Option<Positioned<u32>> {
        self.value(key, wanted, |value| {
            let number = number(value)?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, then differs")]
            let whole = number as u32;
            (f64::from(whole) == number && range.contains(&whole)).then_some(whole)
        })
    }

    /// A list of at least one text that is not blank. A single text is a list of one.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Positioned<String>>> {
        self.listed(key, false)
    }

    /// A list of texts that are not blank, or an empty one. A single text is a list of one.
    pub(super) fn texts_if_any(&mut self, key: &'static str) -> Option<Vec<Positioned<String>>> {
        self.listed(key, true)
    }

    fn listed(&mut self, key: &'static str, may_be_empty: bool) -> Option<Vec<Positioned<String>>> {
        const REMEDY: &str = "leave the key out to mean all of them";
        let Positioned { value, position } = self.any(key)?;
        let elements = elements(value);
        if elements.is_empty() && !may_be_empty {
            self.diagnostics.suggest(&position, format!("`{key}` is an empty list"), REMEDY);
            return None;
        }
        let mut texts = Vec::new();
        for element in elements {
            match element.get_ref().as_str() {
                Some(text) if text.trim().is_empty() => {
                    let message = format!("`{key}` has an empty text");
                    self.diagnostics.suggest(&self.document.position(element), message, REMEDY);
                }
                Some(text) => texts.push(self.document.positioned(element, text.to_owned())),
                None => self.report_type(&format!("`{key}` is a list of texts in quotes"), element),
            }
        }
        Some(texts)
    }

    /// A list of tables, each read by `read`. A single table is a list of one.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        noun: &'static str,
        mut read: impl FnMut(&mut TableReader<'_, 'i>, &Position) -> Option<T>,
    ) -> Option<Positioned<Vec<T>>> {
        let Positioned { value, position } = self.any(key)?;
        let mut tables = Vec::new();
        for element in elements(value) {
            let Some(table) = element.get_ref().as_table() else {
                self.report_type(&format!("`{key}` is {noun}, in braces or under [[{key}]]"), element);
                continue;
            };
            let mut reader = TableReader::new(self.document, table, noun, self.diagnostics);
            tables.extend(read(&mut reader, &self.document.position(element)));
            reader.finish();
        }
        Some(Positioned { value: tables, position })
    }

    /// The elements of a list of [tables](Self::tables); none if it is absent.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        noun: &'static str,
        read: impl FnMut(&mut TableReader<'_, 'i>, &Position) -> Option<T>,
    ) -> Vec<T> {
        self.tables(key, noun, read).map_or_else(Vec::new, |tables| tables.value)
    }

    /// The members of a table of numbers, at least one. `wanted` and `example` describe the value of `key` in messages.
    pub(super) fn numbers(
        &mut self,
        key: &str,
        wanted: &str,
        example: &str,
        table: &Positioned<&SpannedValue<'i>>,
    ) -> Vec<(Positioned<String>, f64)> {
        self.members(key, [wanted, example], table, "a number is needed", |_, value| number(value.get_ref()))
    }

    /// The texts by language under `key`.
    pub(super) fn own_texts(&mut self, key: &'static str) -> Vec<OwnTexts> {
        let Some(table) = self.any(key) else { return Vec::new() };
        let wanted = ["a table of texts by language", "en = \"\"\"alert = …\"\"\""];
        let members = self.members(key, wanted, &table, "a text in quotes is needed", |document, value| {
            let text = value.get_ref().as_str()?.to_owned();
            let written = document.text.get(value.span())?;
            let lines = written.strip_prefix("\"\"\"").or_else(|| written.strip_prefix("'''"));
            let mut position = document.position(value);
            if lines.is_some_and(|lines| lines.starts_with(['\r', '\n'])) {
                position = Position { line: position.line + 1, column: 1, ..position };
            }
            Some((text, position, lines.is_some()))
        });
        let own_texts = |(language, (text, position, is_multiline)): (Positioned<String>, _)| OwnTexts {
            language: language.value,
            language_position: language.position,
            text,
            position,
            is_multiline,
        };
        members.into_iter().map(own_texts).collect()
    }

    /// The members of a table, at least one, each read by `read`. The diagnostic of another value is that something is `needed`.
    fn members<T>(
        &mut self,
        key: &str,
        [wanted, example]: [&str; 2],
        Positioned { value, position }: &Positioned<&SpannedValue<'i>>,
        needed: &str,
        read: impl Fn(&RulesDocument<'i>, &SpannedValue<'i>) -> Option<T>,
    ) -> Vec<(Positioned<String>, T)> {
        let Some(table) = value.get_ref().as_table() else {
            self.report_type(&format!("`{key}` is {wanted} such as {example}"), value);
            return Vec::new();
        };
        if table.is_empty() {
            let message = format!("`{key}` is an empty table");
            self.diagnostics.suggest(position, message, format!("write for example {example}"));
        }
        let mut members = Vec::new();
        for (name, value) in table {
            match read(self.document, value) {
                Some(value) => members.push((self.document.positioned(name, name.get_ref().to_string()), value)),
                None => self.report_type(needed, value),
            }
        }
        members
    }

    /// Reports each member that was not read.
    pub(super) fn finish(self) {
        for (name, _) in self.unread {
            let written: &str = name.get_ref();
            let suggestion =
                synonym(written).unwrap_or_else(|| nearest_or_all(written, self.keys.iter().copied(), "it can have:"));
            let message = format!("{} has no `{written}`", self.noun);
            self.diagnostics.suggest(&self.document.position(name), message, suggestion);
        }
    }
}

/// The elements of a list. Any other value is a list of one.
fn elements<'a, 'i>(value: &'a SpannedValue<'i>) -> Vec<&'a SpannedValue<'i>> {
    value.get_ref().as_array().map_or_else(|| vec![value], |elements| elements.iter().collect())
}

/// The setting for a word that other programs use.
fn synonym(written: &str) -> Option<String> {
    let remedy = match written {
        "quiet_hours" | "active_hours" | "hours" | "schedule" => {
            "use `active` in a rule, the hours in which alerts are sent: active = \"07:00-22:00\""
        }
        "cooldown" | "cool_down" => "use `block`: block = \"15m\"",
        "disabled" => "use `enabled`: enabled = false",
        "name" => "use `title`",
        "threshold" | "limit" => "use one of above, at_least, below, at_most, deviates",
        "duration" => "use `for`, how long it must last: for = \"10m\"",
        "projects" => "use `sites`",
        "caps" => "use `[rate_limit]`: it has burst, per_minute and sms_per_day",
        _ => return None,
    };
    Some(remedy.to_owned())
}

/// The value as a finite number.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Integer(integer) =>
        {
            #[expect(clippy::cast_precision_loss, reason = "no limit of a sensor has more than 53 bits")]
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|integer| integer as f64)
        }
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

/// The value in words, for messages.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{}\"", text.escape_debug()),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("`{value}`"),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

//! A TOML document read for its values *and* where each stands, so that a diagnostic found much later still has a position.

use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostic::{Diagnostics, Position, Positioned, nearest_or_all};

/// The text of a rules file, and how offsets in it become lines and columns.
pub(super) struct Document<'i> {
    file: Arc<str>,
    text: &'i str,
}

impl<'i> Document<'i> {
    pub(super) fn new(file: &str, text: &'i str) -> Self {
        Self { file: file.into(), text }
    }

    /// The whole document as a table; what is not TOML is a diagnostic, and reading goes on with the rest.
    pub(super) fn root(&self, diagnostics: &mut Diagnostics) -> DeTable<'i> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            diagnostics.add(&self.position_at(offset), error.message().trim().replace('\n', ", "));
        }
        root.into_inner()
    }

    fn position_at(&self, offset: usize) -> Position {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        Position {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    pub(super) fn position<T>(&self, spanned: &Spanned<T>) -> Position {
        self.position_at(spanned.span().start)
    }

    pub(super) fn at<T, U>(&self, spanned: &Spanned<T>, value: U) -> Positioned<U> {
        Positioned { value, position: self.position(spanned) }
    }

    /// That something else is needed than `value`, in these words.
    pub(super) fn wrong(&self, needed: &str, value: &Spanned<DeValue<'i>>, diagnostics: &mut Diagnostics) {
        diagnostics.add(&self.position(value), format!("{needed}, not {}", describe(value.get_ref())));
    }
}

type Entry<'a, 'i> = (&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>);

/// One table of the document, its members taken one by one; what nobody takes is a diagnostic in the end.
pub(super) struct TableReader<'a, 'i> {
    document: &'a Document<'i>,
    entries: Vec<Entry<'a, 'i>>,
    taken: Vec<&'static str>,
    what: &'static str,
}

impl<'a, 'i> TableReader<'a, 'i> {
    /// Reads `table`; `what` is what a person calls it: "a rule".
    pub(super) fn new(document: &'a Document<'i>, table: &'a DeTable<'i>, what: &'static str) -> Self {
        Self { document, entries: table.iter().collect(), taken: Vec::new(), what }
    }

    fn take(&mut self, key: &'static str) -> Option<Entry<'a, 'i>> {
        self.taken.push(key);
        let index = self.entries.iter().position(|(name, _)| name.get_ref() == key)?;
        Some(self.entries.swap_remove(index))
    }

    /// A value of one kind: `convert` gives it, or `wanted` says in a diagnostic what it should be.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        diagnostics: &mut Diagnostics,
        convert: impl FnOnce(&'a DeValue<'i>) -> Option<T>,
    ) -> Option<Positioned<T>> {
        let (_, value) = self.take(key)?;
        let converted = convert(value.get_ref());
        if converted.is_none() {
            self.document.wrong(&format!("`{key}` is {wanted}"), value, diagnostics);
        }
        converted.map(|converted| self.document.at(value, converted))
    }

    /// A text, which may be empty.
    pub(super) fn text(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Positioned<String>> {
        self.value(key, "a text in quotes", diagnostics, |value| value.as_str().map(str::to_owned))
    }

    /// A text that is not blank.
    pub(super) fn string(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Positioned<String>> {
        let text = self.text(key, diagnostics)?;
        if text.value.trim().is_empty() {
            if !diagnostics.has(&text.position) {
                diagnostics.suggest(&text.position, format!("`{key}` is empty"), "write a text, or leave the key out");
            }
            return None;
        }
        Some(text)
    }

    /// One of these words, which are for a `what`.
    pub(super) fn word<T: Copy, const N: usize>(
        &mut self,
        key: &'static str,
        what: &str,
        words: [(&'static str, T); N],
        diagnostics: &mut Diagnostics,
    ) -> Option<Positioned<T>> {
        word(self.string(key, diagnostics)?, what, words, diagnostics)
    }

    /// Whether it has a member of this name that nobody took yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name.get_ref() == key)
    }

    pub(super) fn boolean(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Positioned<bool>> {
        self.value(key, "`true` or `false`", diagnostics, DeValue::as_bool)
    }

    /// A span of time such as `"15m"` or `"1h 30m"`, more than none.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Positioned<SignedDuration>> {
        self.value(key, "a time such as \"15m\" or \"1h 30m\"", diagnostics, |value| {
            value.as_str()?.parse::<SignedDuration>().ok().filter(SignedDuration::is_positive)
        })
    }

    /// A list of at least one text, none of them blank; a single text is a list of one.
    pub(super) fn strings(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<Positioned<String>>> {
        const REMEDY: &str = "leave the key out to mean all of them";
        let document = self.document;
        let (_, value) = self.take(key)?;
        let items = items(value);
        if items.is_empty() {
            diagnostics.suggest(&document.position(value), format!("`{key}` is an empty list"), REMEDY);
            return None;
        }
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref().as_str() {
                Some(text) if text.trim().is_empty() => {
                    diagnostics.suggest(&document.position(item), format!("`{key}` has an empty text"), REMEDY);
                }
                Some(text) => texts.push(document.at(item, text.to_owned())),
                None => document.wrong(&format!("`{key}` is a list of texts in quotes"), item, diagnostics),
            }
        }
        Some(texts)
    }

    /// A number.
    pub(super) fn number(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<Positioned<f64>> {
        self.value(key, "a number", diagnostics, number)
    }

    /// A whole number in `range`, which `wanted` says.
    pub(super) fn whole(
        &mut self,
        key: &'static str,
        wanted: &str,
        range: RangeInclusive<u32>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Positioned<u32>> {
        let whole = |number: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, then differs")]
            let whole = number as u32;
            (f64::from(whole) == number && range.contains(&whole)).then_some(whole)
        };
        self.value(key, wanted, diagnostics, |value| whole(number(value)?))
    }

    /// The value whatever its kind, for a member that has several.
    pub(super) fn any(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.take(key).map(|(_, value)| value)
    }

    /// A list of tables, each read by `read`; a single table is a list of one. The position is the list's.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        what: &'static str,
        diagnostics: &mut Diagnostics,
        mut read: impl FnMut(TableReader<'a, 'i>, Position, &mut Diagnostics) -> Option<T>,
    ) -> Option<Positioned<Vec<T>>> {
        let document = self.document;
        let (_, value) = self.take(key)?;
        let mut tables = Vec::new();
        for item in items(value) {
            match item.get_ref().as_table() {
                Some(table) => {
                    let reader = TableReader::new(document, table, what);
                    tables.extend(read(reader, document.position(item), diagnostics));
                }
                None => document.wrong(&format!("`{key}` is {what}, in braces or under [[{key}]]"), item, diagnostics),
            }
        }
        Some(document.at(value, tables))
    }

    /// The members of a table of numbers, such as `{ Xt = -87.5 }`; at least one.
    pub(super) fn numbers(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<(Positioned<String>, f64)>> {
        let value = self.any(key)?;
        let Some(table) = value.get_ref().as_table() else {
            let needed = format!("`{key}` is a table of numbers such as {{ Xt = -87.5 }}");
            self.document.wrong(&needed, value, diagnostics);
            return None;
        };
        if table.is_empty() {
            let message = format!("`{key}` is an empty table");
            diagnostics.suggest(&self.document.position(value), message, "write for example { Xt = -87.5 }");
        }
        let mut numbers = Vec::new();
        for (name, value) in table {
            match number(value.get_ref()) {
                Some(value) => numbers.push((self.document.at(name, name.get_ref().clone().into_owned()), value)),
                None => self.document.wrong("a number is needed", value, diagnostics),
            }
        }
        Some(numbers)
    }

    pub(super) fn document(&self) -> &'a Document<'i> {
        self.document
    }

    /// Each member that nobody took is a diagnostic.
    pub(super) fn finish(self, diagnostics: &mut Diagnostics) {
        for (name, _) in self.entries {
            let written: &str = name.get_ref();
            diagnostics.suggest(
                &self.document.position(name),
                format!("{} has no `{written}`", self.what),
                synonym(written).unwrap_or_else(|| nearest_or_all(written, self.taken.iter().copied(), "it can have:")),
            );
        }
    }
}

/// The items of a list; anything else is a list of one.
fn items<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> Vec<&'a Spanned<DeValue<'i>>> {
    value.get_ref().as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

/// What one of these words means, which are for a `what`; any other is a diagnostic.
pub(super) fn word<T: Copy, const N: usize>(
    written: Positioned<String>,
    what: &str,
    words: [(&'static str, T); N],
    diagnostics: &mut Diagnostics,
) -> Option<Positioned<T>> {
    let Positioned { value: text, position } = &written;
    let Some((_, meaning)) = words.iter().find(|(word, _)| word == text) else {
        let suggestion = nearest_or_all(text, words.map(|(word, _)| word), "it is one of");
        diagnostics.suggest(position, format!("unknown {what} `{text}`"), suggestion);
        return None;
    };
    Some(written.map(|_| *meaning))
}

/// What other programs call something that has another name here.
fn synonym(written: &str) -> Option<String> {
    let meant = match written {
        "quiet_hours" | "active_hours" | "hours" | "schedule" => {
            "use `active` in a rule, the hours in which people are told: active = \"07:00-22:00\""
        }
        "cooldown" | "cool_down" => "use `block`: block = \"15m\"",
        "disabled" => "use `enabled`: enabled = false",
        "name" => "use `title`",
        "threshold" | "limit" => "use one of above, at_least, below, at_most, deviates",
        "duration" => "use `for`, how long it must last: for = \"10m\"",
        "caps" => "use `[rate_limit]`: it has burst, per_minute and sms_per_day",
        _ => return None,
    };
    Some(meant.to_owned())
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

/// What a person calls the kind of a value.
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

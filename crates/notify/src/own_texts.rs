//! Checks the texts of a rules file.

use std::collections::{BTreeSet, HashSet};

use fluent_bundle::FluentResource;
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};
use fluent_syntax::unicode::unescape_unicode_to_string;
use unic_langid::LanguageIdentifier;

use super::texts::{BUILT_IN, EN, MESSAGES, is_multiline, name_key};
use domain::display::presentable;
use domain::rules::{Audience, Diagnostic, LONGEST_ACTION, LONGEST_TITLE, OwnTexts, Rule, RuleSet, nearest};

/// Longest text of a message without its variables, in bytes.
const LONGEST_TEXT: usize = 2_000;
/// Deepest nesting of brackets. The parser uses stack for each.
const DEEPEST_NESTING: usize = 50;
/// What a text can have.
const CAN_HAVE: &str = "a text can have variables and selectors only";

/// Reads a rules file and checks its texts.
///
/// # Errors
/// Every error of the file, in its order. A retry does not help.
///
/// # Examples
/// ```
/// let own = "[texts]\nen = \"alert = { $where }: { $what } at { $time }\"\n";
/// let errors = notify::read_rules("rules.toml", own.as_bytes()).unwrap_err();
/// assert_eq!(
///     errors[0].to_string(),
///     "rules.toml:2:6: the text `alert` has no variable `$where`; it has $location, $what, $time"
/// );
/// ```
pub fn read_rules(file: &str, bytes: &[u8]) -> Result<RuleSet, Vec<Diagnostic>> {
    RuleSet::read(file, bytes, |rules| {
        rules.texts.iter().flat_map(|texts| errors(texts, rules)).chain(unknown_languages(rules)).collect()
    })
}

/// The audiences whose language has no texts.
fn unknown_languages(rules: &RuleSet) -> Vec<Diagnostic> {
    let built_in = BUILT_IN.into_iter().map(|(language, _)| language);
    let known: BTreeSet<&str> = built_in.chain(rules.texts.iter().map(|texts| texts.language.as_str())).collect();
    let suggestion = format!("write one of {}, or add its texts to [texts]", Vec::from_iter(known.clone()).join(", "));
    let unknown = rules.audiences.iter().filter(|audience| !known.contains(audience.language.as_str()));
    let error = |audience: &Audience| {
        let message = format!("the language `{}` has no texts", audience.language.escape_debug());
        Diagnostic::new(&audience.language_position, message, Some(suggestion.clone()))
    };
    unknown.map(error).collect()
}

fn errors(texts: &OwnTexts, rules: &RuleSet) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    let language = texts.language.parse().map(|language: LanguageIdentifier| language.to_string());
    if language.as_ref() != Ok(&texts.language) {
        let message = format!("`{}` is not a language", texts.language.escape_debug());
        let suggestion =
            language.map_or_else(|_| "write for example `en` or `zh-Hans`".into(), |tag| format!("write `{tag}`"));
        errors.push(Diagnostic::new(&texts.language_position, message, Some(suggestion)));
    }
    if let Some(offset) = too_deep(&texts.text) {
        let suggestion = format!("nest at most {DEEPEST_NESTING}, and write a bracket as {{\"{{\"}}");
        errors.push(Diagnostic::new(&texts.position_at(offset), "too many nested brackets", Some(suggestion)));
        return errors;
    }
    let resource = FluentResource::try_new(texts.text.clone()).unwrap_or_else(|(resource, syntax_errors)| {
        errors.extend(syntax_errors.iter().map(|error| {
            let suggestion = "a text is KEY = TEXT, and its further lines are indented";
            Diagnostic::new(&texts.position_at(error.pos.start), error.to_string(), Some(suggestion.to_owned()))
        }));
        resource
    });
    let names = name_keys(rules);
    let known = || MESSAGES.iter().map(|(key, _)| *key).chain(names.iter().map(String::as_str));
    let mut keys = HashSet::new();
    for entry in resource.entries() {
        let (id, value, is_term) = match entry {
            Entry::Message(message) => (message.id.name, message.value.as_ref(), false),
            Entry::Term(term) => (term.id.name, Some(&term.value), true),
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) | Entry::Junk { .. } => continue,
        };
        let known_message = MESSAGES.iter().find(|(key, _)| *key == id);
        let mut check = TextCheck {
            source: resource.source(),
            texts,
            key: id,
            variables: known_message.map_or(&[], |(_, variables)| variables),
            used: HashSet::new(),
            written: String::new(),
            errors: &mut errors,
        };
        match value {
            _ if is_term => check.report(id, format!("`-{id}` is a term"), Some(CAN_HAVE.to_owned())),
            None => check.report(id, format!("`{id}` has no text"), Some("write KEY = TEXT".to_owned())),
            Some(_) if !known().any(|key| key == id) => {
                let suggestion = nearest(id, known()).unwrap_or_else(|| "docs/rules.md says where the keys are".into());
                check.report(id, format!("no text has the key `{id}`"), Some(suggestion));
            }
            Some(_) if !keys.insert(id) => check.report(id, format!("the text `{id}` is there twice"), None),
            Some(value) => check.text(value),
        }
    }
    errors
}

/// Where brackets are nested deeper than [`DEEPEST_NESTING`].
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let deeper = text.char_indices().find(|(_, character)| {
        match character {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST_NESTING
    });
    deeper.map(|(offset, _)| offset)
}

/// The keys of names: of the rules, the metrics and the device types.
fn name_keys(rules: &RuleSet) -> Vec<String> {
    let of_rule = |rule: &Rule| [name_key("title", &rule.id), name_key("action", &rule.id)];
    let of_rules = rules.rules.iter().flat_map(of_rule);
    let keys = EN.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key.to_owned());
    of_rules.chain(keys.filter(|key| key.starts_with("label-") || key.starts_with("device-"))).collect()
}

/// Checks one text.
struct TextCheck<'a> {
    source: &'a str,
    texts: &'a OwnTexts,
    key: &'a str,
    variables: &'a [&'static str],
    /// The variables that the text has.
    used: HashSet<&'a str>,
    /// The text without its variables, of all variants.
    written: String,
    errors: &'a mut Vec<Diagnostic>,
}

impl<'a> TextCheck<'a> {
    /// Reports an error at `part` of the source.
    fn report(&mut self, part: &str, message: String, suggestion: Option<String>) {
        let offset = part.as_ptr().addr() - self.source.as_ptr().addr();
        self.errors.push(Diagnostic::new(&self.texts.position_at(offset), message, suggestion));
    }

    /// Checks the parts of a text, then the whole if they have no error.
    fn text(&mut self, text: &Pattern<&'a str>) {
        let errors = self.errors.len();
        self.pattern(text);
        if self.errors.len() > errors {
            return;
        }
        let characters = self.written.chars().count();
        let (length, longest, unit) = match self.key.split_once('-') {
            Some(("title", _)) => (characters, LONGEST_TITLE, "characters"),
            Some(("action", _)) => (characters, LONGEST_ACTION, "characters"),
            _ => (self.written.len(), LONGEST_TEXT, "bytes"),
        };
        let lacks = |(variable, _): &(&str, &str)| self.variables.contains(variable) && !self.used.contains(*variable);
        let lacking = [("location", "does not say where"), ("link", "has no link")].into_iter().find(lacks);
        let (fault, suggestion) = if length > longest {
            ("is too long", format!("use at most {longest} {unit}, now {length}"))
        } else if self.used.is_empty() && presentable(&self.written).is_none() {
            ("is empty", "write a text, or leave the key out".to_owned())
        } else if let Some((variable, fault)) = lacking {
            (fault, format!("add {{ ${variable} }}"))
        } else {
            return;
        };
        self.report(self.key, format!("the text `{}` {fault}", self.key), Some(suggestion));
    }

    fn pattern(&mut self, pattern: &Pattern<&'a str>) {
        for element in &pattern.elements {
            match element {
                PatternElement::TextElement { value } if value.contains('\n') && !is_multiline(self.key) => {
                    let message = format!("the text `{}` has several lines", self.key);
                    self.report(value, message, Some("write it on one line".to_owned()));
                }
                PatternElement::TextElement { value } => self.written.push_str(value),
                PatternElement::Placeable { expression } => self.expression(expression),
            }
        }
    }

    fn expression(&mut self, expression: &Expression<&'a str>) {
        match expression {
            Expression::Inline(inline) => self.inline(inline),
            Expression::Select { selector, variants } => {
                self.inline(selector);
                variants.iter().for_each(|variant| self.pattern(&variant.value));
            }
        }
    }

    fn inline(&mut self, inline: &InlineExpression<&'a str>) {
        match inline {
            InlineExpression::StringLiteral { value } => self.written.push_str(&unescape_unicode_to_string(value)),
            InlineExpression::NumberLiteral { value } => self.written.push_str(value),
            InlineExpression::Placeable { expression } => self.expression(expression),
            InlineExpression::VariableReference { id } if self.variables.contains(&id.name) => {
                self.used.insert(id.name);
            }
            InlineExpression::VariableReference { id } => {
                let message = format!("the text `{}` has no variable `${}`", self.key, id.name);
                let variables: Vec<String> = self.variables.iter().map(|variable| format!("${variable}")).collect();
                let all = if variables.is_empty() { "no variable".to_owned() } else { variables.join(", ") };
                self.report(id.name, message, Some(format!("it has {all}")));
            }
            InlineExpression::MessageReference { id, .. }
            | InlineExpression::TermReference { id, .. }
            | InlineExpression::FunctionReference { id, .. } => {
                let message = format!("the text `{}` refers to `{}`", self.key, id.name);
                self.report(id.name, message, Some(CAN_HAVE.to_owned()));
            }
        }
    }
}

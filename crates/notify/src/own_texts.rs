//! Checks the texts of a rules file.

use std::collections::HashSet;

use fluent_bundle::FluentResource;
use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement};
use unic_langid::LanguageIdentifier;

use super::texts::{EN, MESSAGES, is_multiline, name_key};
use domain::rules::{Diagnostic, OwnTexts, Rule, RuleSet, nearest};

/// Longest text of a message as it is written, in bytes.
const LONGEST_TEXT: usize = 2_000;

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
    RuleSet::read(file, bytes, |rules| rules.texts.iter().flat_map(|texts| errors(texts, rules)).collect())
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
        let (id, value) = match entry {
            Entry::Message(message) => (message.id.name, message.value.as_ref()),
            Entry::Term(term) => (term.id.name, Some(&term.value)),
            Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) | Entry::Junk { .. } => continue,
        };
        let mut check = TextCheck { source: resource.source(), texts, key: id, variables: &[], errors: &mut errors };
        let known_message = MESSAGES.iter().find(|(key, _)| *key == id);
        match value {
            None => check.report(id, format!("`{id}` has no text"), Some("write KEY = TEXT".to_owned())),
            Some(_) if !known().any(|key| key == id) => {
                let suggestion = nearest(id, known()).unwrap_or_else(|| "docs/rules.md says where the keys are".into());
                check.report(id, format!("no text has the key `{id}`"), Some(suggestion));
            }
            Some(_) if !keys.insert(id) => check.report(id, format!("the text `{id}` is there twice"), None),
            Some(value) => {
                check.variables = known_message.map_or(&[], |(_, variables)| variables);
                check.pattern(value);
            }
        }
    }
    errors
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
    errors: &'a mut Vec<Diagnostic>,
}

impl TextCheck<'_> {
    /// Reports an error at `part` of the source.
    fn report(&mut self, part: &str, message: String, suggestion: Option<String>) {
        let offset = part.as_ptr().addr() - self.source.as_ptr().addr();
        self.errors.push(Diagnostic::new(&self.texts.position_at(offset), message, suggestion));
    }

    fn pattern(&mut self, pattern: &Pattern<&str>) {
        for element in &pattern.elements {
            match element {
                PatternElement::TextElement { value } if value.len() > LONGEST_TEXT => {
                    let message = format!("the text `{}` is too long", self.key);
                    self.report(value, message, Some(format!("use at most {LONGEST_TEXT} bytes")));
                }
                PatternElement::TextElement { value } if value.contains('\n') && !is_multiline(self.key) => {
                    let message = format!("the text `{}` has several lines", self.key);
                    self.report(value, message, Some("write it on one line".to_owned()));
                }
                PatternElement::TextElement { .. } => {}
                PatternElement::Placeable { expression } => self.expression(expression),
            }
        }
    }

    fn expression(&mut self, expression: &Expression<&str>) {
        match expression {
            Expression::Inline(inline) => self.inline(inline),
            Expression::Select { selector, variants } => {
                self.inline(selector);
                variants.iter().for_each(|variant| self.pattern(&variant.value));
            }
        }
    }

    fn inline(&mut self, inline: &InlineExpression<&str>) {
        match inline {
            InlineExpression::StringLiteral { .. } | InlineExpression::NumberLiteral { .. } => {}
            InlineExpression::Placeable { expression } => self.expression(expression),
            InlineExpression::VariableReference { id } if self.variables.contains(&id.name) => {}
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
                self.report(id.name, message, Some("a text can have variables and selectors only".to_owned()));
            }
        }
    }
}

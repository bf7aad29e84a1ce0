//! What the operator has to know about the program itself: a refused file of rules, nothing that arrives at all.

use serde_json::{Value, json};

pub use super::attributes::Channel;
use super::attributes::channel;
use super::gsm7::{septets, with_plain_marks};
use super::payload::SCHEMA;
use super::presentable;
use super::render::{Attribute, Rendered};
use super::sms::cut_to_one_part;
use super::subject::{LONGEST_SUBJECT, ascii};
use super::text::{Letters, cut_to_fit, utf16_units};

/// Most that the text takes as a string in JSON, in bytes. It is in the SNS message six times, in five of them as a
/// string within a string.
const LARGEST_TEXT: usize = 12 * 1024;
/// Longest line of the text, in UTF-16 code units.
const LONGEST_LINE: usize = 400;

/// A message of kind `notice`: `text` of one line or several under `subject`. `id` names its cause, so that the same
/// cause has the same id. Goes to `channels`, to email where that is empty. Lines that SNS would not take any more are
/// counted.
///
/// ```
/// use smartclean_push::domain::alert::notice::{Channel, notice};
/// let notice = notice("rules-v7", "Rules refused: 1 fault", "rules.toml:3:1: a rule has no `belwo`", &[Channel::Email]);
/// assert_eq!(notice.subject, "[NOTICE] Rules refused: 1 fault");
/// ```
#[must_use]
pub fn notice(id: &str, subject: &str, text: &str, channels: &[Channel]) -> Rendered {
    let title = presentable(subject).unwrap_or_else(|| "smartclean-push".to_owned());
    let lines: Vec<String> = text.lines().map(line).collect();
    let text = bounded(&lines);
    let sentence = match lines.iter().find(|line| !line.is_empty()) {
        Some(first) => format!("{title}: {first}"),
        None => title.clone(),
    };
    let subject = |title: &str, letters: Letters| {
        cut_to_fit(&format!("[NOTICE] {title}"), letters.ellipsis(), LONGEST_SUBJECT, utf16_units)
    };
    let plain = with_plain_marks(&sentence);
    let channels = if channels.is_empty() { &[Channel::Email] } else { channels };
    let subject_unicode = subject(&title, Letters::Unicode);
    Rendered {
        id: id.to_owned(),
        ascii_subject: subject(&ascii(&title), Letters::Plain),
        default: format!("[NOTICE] {sentence}"),
        email: format!("{title}\n\n{text}\n"),
        sms: cut_to_one_part(if septets(&plain).is_some() { &plain } else { &sentence }),
        json: json!({
            "schema": SCHEMA, "kind": "notice", "id": id, "subject": subject_unicode, "text": text,
        })
        .to_string(),
        attributes: vec![("kind", Attribute::One("notice".to_owned())), channel(channels)],
        subject: subject_unicode,
    }
}

/// A line without controls; what stands in from the left stays so.
fn line(line: &str) -> String {
    let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut_to_fit(shown.trim_end(), Letters::Unicode.ellipsis(), LONGEST_LINE, utf16_units)
}

/// As many of `lines` as stay within [`LARGEST_TEXT`], and how many more there are.
fn bounded(lines: &[String]) -> String {
    let mut room = LARGEST_TEXT;
    let fitting = lines.iter().take_while(|line| {
        let size = Value::from(line.as_str()).to_string().len();
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    });
    let mut text: Vec<String> = fitting.cloned().collect();
    if text.len() < lines.len() {
        text.push(format!("and {} more lines", lines.len() - text.len()));
    }
    text.join("\n")
}

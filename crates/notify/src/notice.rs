//! The words of notices, which are about the program itself and go by email alone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::attributes::Attribute;
use super::attributes::{EMAIL, channel};
use super::gsm7::{septets, with_plain_marks};
use super::payload::SCHEMA;
use super::render::Rendered;
use super::sms::cut_to_one_part;
use super::subject::{LONGEST_SUBJECT, ascii};
use super::text::{Letters, cut_to_fit, utf16_units};
use domain::alert::notice::Notice;
use domain::display;
use domain::display::presentable;
use domain::rules::RefusedRules;

/// Most that the text takes as a string in JSON, in bytes. It is in the SNS message six times, in five of them as a
/// string within a string.
const LARGEST_TEXT: usize = 12 * 1024;
/// Longest line of the text, in UTF-16 code units.
const LONGEST_LINE: usize = 400;

/// The words of a notice.
pub(super) fn rendered(about: &Notice, id: &str) -> Rendered {
    match about {
        Notice::RulesRefused(refused) => {
            let count = refused.diagnostics.len() + refused.more;
            let subject = format!("Rules refused: {count} fault{}", if count == 1 { "" } else { "s" });
            notice(id, &subject, &rules_refused(refused))
        }
        Notice::NothingArrives { since } => notice(id, "Nothing arrives", &nothing_arrives(*since)),
        Notice::SetAside { key, reason, .. } => notice(id, "A push was not evaluated", &set_aside(key, reason)),
    }
}

fn rules_refused(RefusedRules { file, diagnostics: faults, more, .. }: &RefusedRules) -> String {
    let mut lines = vec![
        format!("{file} was changed and cannot be used. The rules that were accepted before it stay in force."),
        String::new(),
    ];
    lines.extend(faults.iter().cloned());
    if *more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.extend([String::new(), "What to do: correct these locations and put the file there again.".to_owned()]);
    lines.join("\n")
}

fn nothing_arrives(since: Timestamp) -> String {
    let since = since.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string();
    format!(
        "No reading has come from any device since {since}.\n\n\
         All devices at once are rarely silent: most likely SmartClean's push does not get here any more. Until a reading \
         comes again, no single device is reported as silent.\n\n\
         What to do: see with `make test-alert` whether a push gets through. Where it does, ask SmartClean whether they \
         still push to this URL with these credentials, and what they are answered."
    )
}

fn set_aside(key: &str, reason: &str) -> String {
    format!(
        "{key} could not be evaluated, and is not tried again. Its readings are kept; their alerts are missing. Others of \
         today, of which no notice says so, are in the folder set-aside as well.\n\n\
         The last error: {reason}\n\n\
         What to do: in the data folder, look at the readings with `zstd -dc {key}`. To have them evaluated again:\n\
         mkdir -p $(dirname to-evaluate/{key})\n\
         mv set-aside/{key}.json to-evaluate/{key}.json"
    )
}

/// A message of kind `notice`: `text` of one line or several under `subject`. `id` names its cause, so that the same
/// cause has the same id. Goes by email alone. Lines that SNS would not take any more are counted.
pub(super) fn notice(id: &str, subject: &str, text: &str) -> Rendered {
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
        attributes: vec![("kind", Attribute::One("notice".to_owned())), channel(&[EMAIL])],
        subject: subject_unicode,
    }
}

/// A line of what can be shown; what stands in from the left stays so.
fn line(line: &str) -> String {
    cut_to_fit(display::line(line).trim_end(), Letters::Unicode.ellipsis(), LONGEST_LINE, utf16_units)
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

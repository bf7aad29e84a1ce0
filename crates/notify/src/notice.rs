//! Notices: messages about the program itself, sent by email only.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::attributes::{Attribute, EMAIL, channel};
use super::gsm7::as_gsm7;
use super::payload::SCHEMA;
use super::rendered::{Rendered, json_size};
use super::sms::cut_to_one_part;
use super::subject::{LONGEST_SUBJECT, ascii};
use super::text::{Charset, counted, cut_to_fit, utf16_units};
use domain::alert::notice::Notice;
use domain::display::{self, presentable};
use domain::rules::RefusedRules;

/// Largest text as a JSON string, in bytes. The SNS message contains it six times, five of them escaped twice.
const LARGEST_TEXT: usize = 12 * 1024;
/// Longest line of the text, in UTF-16 code units.
const LONGEST_LINE: usize = 400;

pub(super) fn rendered(notice: &Notice, id: &str) -> Rendered {
    match notice {
        Notice::RulesRefused(refused) => {
            let subject = format!("Rules refused: {}", counted(refused.diagnostics.len() + refused.more, "fault"));
            with_text(id, &subject, &rules_refused(refused))
        }
        Notice::NothingArrives { since } => with_text(id, "Nothing arrives", &nothing_arrives(*since)),
        Notice::SetAside { key, reason, .. } => with_text(id, "A push was not evaluated", &set_aside(key, reason)),
    }
}

fn rules_refused(RefusedRules { file, diagnostics, more, .. }: &RefusedRules) -> String {
    let mut lines = vec![
        format!("{file} was changed and cannot be used. The rules that were accepted before it stay in force."),
        String::new(),
    ];
    lines.extend(diagnostics.iter().cloned());
    if *more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.extend([String::new(), "What to do: correct these errors and put the file there again.".to_owned()]);
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

/// A message of kind `notice` with `text` of one or several lines. Lines beyond the size limit of SNS are counted.
pub(super) fn with_text(id: &str, subject: &str, text: &str) -> Rendered {
    let title = presentable(subject).unwrap_or_else(|| "smartclean-push".to_owned());
    let lines: Vec<String> = text.lines().map(line).collect();
    let text = bounded(&lines);
    let sentence = match lines.iter().find(|line| !line.is_empty()) {
        Some(first) => format!("{title}: {first}"),
        None => title.clone(),
    };
    let subject = |title: &str, charset: Charset| {
        cut_to_fit(&format!("[NOTICE] {title}"), charset.ellipsis(), LONGEST_SUBJECT, utf16_units)
    };
    let subject_unicode = subject(&title, Charset::Unicode);
    Rendered {
        id: id.to_owned(),
        ascii_subject: subject(&ascii(&title), Charset::Gsm7),
        default: format!("[NOTICE] {sentence}"),
        email: format!("{title}\n\n{text}\n"),
        sms: cut_to_one_part(&as_gsm7(sentence)),
        json: json!({
            "schema": SCHEMA, "kind": "notice", "id": id, "subject": subject_unicode, "text": text,
        })
        .to_string(),
        attributes: vec![("kind", Attribute::One("notice".to_owned())), channel(&[EMAIL])],
        subject: subject_unicode,
    }
}

/// A sanitized line with its indentation.
fn line(line: &str) -> String {
    cut_to_fit(display::line(line).trim_end(), Charset::Unicode.ellipsis(), LONGEST_LINE, utf16_units)
}

/// As many of `lines` as fit into [`LARGEST_TEXT`], and the number of the others.
fn bounded(lines: &[String]) -> String {
    let mut left = LARGEST_TEXT;
    let fitting = lines.iter().map_while(|line| {
        left = left.checked_sub(json_size(line))?;
        Some(line.clone())
    });
    let mut text: Vec<String> = fitting.collect();
    if text.len() < lines.len() {
        text.push(format!("and {} more lines", lines.len() - text.len()));
    }
    text.join("\n")
}

//! Notices: messages about the program itself, sent by email only.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::attributes::{Attribute, EMAIL, channel};
use super::email::EmailContent;
use super::gsm7::as_gsm7;
use super::json::SCHEMA;
use super::rendered::{Rendered, json_size};
use super::sms::cut_to_one_part;
use super::subject::{LONGEST_SUBJECT, ascii, marked};
use super::text::{Charset, cut_to_fit, utf16_units};
use super::texts::Texts;
use domain::alert::notice::Notice;
use domain::display::{self, presentable};

/// Largest text as a JSON string, in bytes. The SNS message contains it six times, five of them escaped twice.
const LARGEST_TEXT: usize = 12 * 1024;
/// Longest line of the text, in UTF-16 code units.
const LONGEST_LINE: usize = 400;

pub(super) fn rendered(notice: &Notice, id: &str, texts: &Texts<'_>) -> Rendered {
    let content = |texts: &Texts<'_>| match notice {
        Notice::RulesRefused(refused) => {
            let mut faults = refused.diagnostics.clone();
            if refused.more > 0 {
                faults.push(texts.and_more(refused.more));
            }
            let title = texts.rules_refused(refused.diagnostics.len() + refused.more);
            (title, texts.rules_refused_text(&refused.file, faults.join("\n")))
        }
        Notice::NothingArrives { since } => (texts.nothing_arrives(), texts.nothing_arrives_text(minute(*since))),
        Notice::NotSubscribed { audiences, .. } => {
            let text = texts.not_subscribed_text(audiences.join("\n"), &audiences[0]);
            (texts.not_subscribed(audiences.join(", ")), text)
        }
        Notice::SetAside { key, reason, .. } => (texts.set_aside(), texts.set_aside_text(key, reason)),
        Notice::ChannelFails { channel, since, reason, .. } => {
            let text = texts.channel_fails_text(channel.to_string(), minute(*since), reason);
            (texts.channel_fails(channel.to_string()), text)
        }
        Notice::RecipientRefuses { recipient, reply, .. } => {
            (texts.recipient_refuses(), texts.recipient_refuses_text(recipient, reply))
        }
    };
    with_text(id, |texts| content(texts).0, &content(texts).1, texts)
}

fn minute(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A message of kind `notice` with `text` of one or several lines. Lines beyond the size limit of SNS are counted.
pub(super) fn with_text(id: &str, title: impl Fn(&Texts<'_>) -> String, text: &str, texts: &Texts<'_>) -> Rendered {
    let titled = |texts: &Texts<'_>| presentable(&title(texts)).unwrap_or_else(|| "smartclean-push".to_owned());
    let title = titled(texts);
    let lines: Vec<String> = text.lines().map(line).collect();
    let text = bounded(&lines, texts);
    let sentence = match lines.iter().find(|line| !line.is_empty()) {
        Some(first) => format!("{title}: {first}"),
        None => title.clone(),
    };
    let subject = |title: &str, charset: Charset, texts: &Texts| {
        cut_to_fit(&marked(texts, "notice", title), charset.ellipsis(), LONGEST_SUBJECT, utf16_units)
    };
    let subject_unicode = subject(&title, Charset::Unicode, texts);
    let blocks = text.split("\n\n").map(|block| block.lines().map(str::to_owned).collect()).collect();
    // Lines are not wrapped: some are commands to copy.
    let email = EmailContent { text: format!("{title}\n\n{text}\n"), head: title.clone(), blocks };
    let (email, html) = email.into_parts(&subject_unicode, "notice", texts);
    Rendered {
        id: id.to_owned(),
        ascii_subject: subject(&ascii(&titled(&Texts::english())), Charset::Gsm7, &Texts::english()),
        default: marked(texts, "notice", &sentence),
        email,
        html,
        sms: cut_to_one_part(&as_gsm7(sentence)),
        json: json!({
            "schema": SCHEMA, "kind": "notice", "id": id, "subject": subject_unicode, "text": text,
        })
        .to_string(),
        attributes: vec![("kind", Attribute::One("notice".to_owned())), channel(&[EMAIL])],
        threads: Vec::new(),
        subject: subject_unicode,
    }
}

/// A sanitized line with its indentation.
fn line(line: &str) -> String {
    cut_to_fit(display::line(line).trim_end(), Charset::Unicode.ellipsis(), LONGEST_LINE, utf16_units)
}

/// As many of `lines` as fit into [`LARGEST_TEXT`], and the number of the others.
fn bounded(lines: &[String], texts: &Texts<'_>) -> String {
    let mut left = LARGEST_TEXT;
    let fitting = lines.iter().map_while(|line| {
        left = left.checked_sub(json_size(line))?;
        Some(line.clone())
    });
    let mut text: Vec<String> = fitting.collect();
    if text.len() < lines.len() {
        text.push(texts.and_more(lines.len() - text.len()));
    }
    text.join("\n")
}

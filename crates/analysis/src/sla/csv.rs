//! The alerts of a report as CSV, for spreadsheets.

use domain::display::line;
use domain::response::ResponseSource;

use super::{ResponseClock, SlaReport, TimedAlert};

const HEADING: &str = "alert,rule,title,kind,severity,place,project,zone,device,teams,raised,acknowledged,taken_by,escalated_to,\
                       started,reported,recorded,measured,ended,end,reaction,reaction_seconds,reaction_target_seconds,reaction_within,resolution,\
                       resolution_seconds,resolution_target_seconds,resolution_within,finding\r\n";

/// The alerts of a report as CSV (RFC 4180): one line for each, in the order in which they were raised. Times are in UTC. A
/// spreadsheet shows a text that looks like a formula as text.
#[must_use]
pub fn csv(report: &SlaReport) -> String {
    let rows = report.alerts.iter().map(|alert| row(alert).map(|text| cell(&text)).join(",") + "\r\n");
    std::iter::once(HEADING.to_owned()).chain(rows).collect()
}

fn row(TimedAlert { life, place, reaction, resolution, finding }: &TimedAlert) -> [String; 29] {
    fn text(value: Option<impl ToString>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let clock = |ResponseClock { state, seconds, within }: &ResponseClock, target: Option<jiff::SignedDuration>| {
        let target = target.map(|target| target.as_secs());
        [state.to_string(), seconds.to_string(), text(target), text(*within)]
    };
    let done = |source| text(life.done.get(&source));
    let [r, r_seconds, r_target, r_within] = clock(reaction, life.targets.respond_within);
    let [c, c_seconds, c_target, c_within] = clock(resolution, life.targets.clean_within);
    [
        life.alert.to_string(),
        life.rule.clone(),
        life.title.clone(),
        life.kind.to_string(),
        life.severity.to_string(),
        place.clone(),
        text(life.location.project.as_ref()),
        text(life.location.zone.as_ref()),
        text(life.location.device.as_ref()),
        life.to.join(" "),
        life.raised.to_string(),
        text(life.acknowledged),
        text(life.taken.as_ref().map(|claim| &claim.by)),
        life.escalated.iter().flat_map(|step| &step.to).cloned().collect::<Vec<_>>().join(" "),
        text(life.started),
        done(ResponseSource::Reported),
        done(ResponseSource::Recorded),
        done(ResponseSource::Measured),
        text(life.end.map(|end| end.at)),
        text(life.end.map(|end| end.reason)),
        r,
        r_seconds,
        r_target,
        r_within,
        c,
        c_seconds,
        c_target,
        c_within,
        text(finding.as_ref()),
    ]
}

/// A field in one line. Spreadsheets run a text that begins with one of these signs as a formula, unless a quote is before it.
fn cell(text: &str) -> String {
    let text = line(text);
    let quote = if text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) { "'" } else { "" };
    match text.contains([',', '"', ';']) || text.starts_with(' ') {
        true => format!("\"{quote}{}\"", text.replace('"', "\"\"")),
        false => format!("{quote}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_one_line_and_no_formula() {
        for (text, expected) in [
            ("Lobby", "Lobby"),
            ("=cmd|'/c evil'!A1", "'=cmd|'/c evil'!A1"),
            (" +1", "\"' +1\""),
            ("\t@SUM(1)", "\"' @SUM(1)\""),
            ("-2", "'-2"),
            ("＝1", "'＝1"),
            ("a \"b\", c", "\"a \"\"b\"\", c\""),
            ("two\r\nlines", "two  lines"),
            ("5 %", "5 %"),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }
}

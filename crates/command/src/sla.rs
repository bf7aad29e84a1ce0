//! `sla`: how long people took to deal with alerts.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use analysis::backtest::Trial;
use analysis::backtest::findings::Findings;
use analysis::sla::{self, ResponseTimes, SlaReport, SlaScope, TimedAlert};
use analysis::words::{count, plural};
use clap::Args;
use history::{ArchivedFacts, Period};
use jiff::{SignedDuration, Timestamp};
use smartclean_push::domain::display::lines;
use smartclean_push::domain::rules::names::NameError;
use smartclean_push::domain::rules::{MentionKind, RuleSet};

use crate::columns::columns;
use crate::output::{OutputFormat, note, write_file};
use crate::{Failure, OrFailure as _, archive, backtest, period, rules};

/// How long after the period alerts without an answer are judged.
const JUDGED_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long before the period the evaluation of rules begins.
const LEAD: SignedDuration = SignedDuration::from_hours(24);
/// Most rows of a table. The HTML report and JSON have all of them.
const MAX_ROWS: usize = 15;

/// Compute how long people took to deal with alerts: reaction, resolution and the share within target, by team, zone and hour
///
/// The receiver archives alerts (`alerts/`) and what people did (`responses/`). --since and --until select alerts by the time at
/// which they were raised. The digest is the same for both parties of a contract if they have the same alerts, answers and period.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push sla --from data --since 2026-11-01 --until 2026-12-01
  smartclean-push sla --from s3://my-readings --since 2026-11-01 --until 2026-12-01 --html november.html --csv november.csv
  smartclean-push sla --from data --names rules.toml --zone \"Level 2 Male Washroom\" --rule soap-low
  smartclean-push sla --from data --rules rules.toml --since 2026-10-01 --until 2026-11-01
  smartclean-push sla --from data --format json | jq '.all.reaction'")]
pub(super) struct SlaCommand {
    /// Archived alerts: the data folder of `serve`, or s3://bucket
    #[arg(long, value_name = "FOLDER|s3://…")]
    from: String,
    #[command(flatten)]
    period: period::PeriodArguments,
    /// Only this site, by PID or by its name in --names. Can be given several times
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// Only this zone, by InsID or by its name in --names. Can be given several times
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
    /// Only the alerts of this rule, by its id. Can be given several times
    #[arg(long = "rule", value_name = "RULE")]
    rule_ids: Vec<String>,
    /// Raise the alerts again from the stored readings, under the rules of this file or `built-in`, in place of archived alerts
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Rules file whose names of sites, zones and devices are shown [default: that of --rules]
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Also write an HTML report: one page without network requests, to read, mail or print
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write a line for each alert as CSV, for a spreadsheet
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Format of the results. JSON is one object with every alert
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl SlaCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.html.is_some() && self.html == self.csv {
            return Err(Failure::usage("--html and --csv name the same file. Give each a file of its own"));
        }
        let rule_set = self.rules.as_deref().map(backtest::named).transpose()?;
        let names = match (&self.names, &rule_set) {
            (None, Some((_, set))) => set.names.clone(),
            (path, _) => rules::load(path.as_deref())?.names,
        };
        let Period { since, until } = self.period.read()?;
        let now = Timestamp::now();
        let ids = |kind, texts: &[String]| -> Result<Vec<String>, NameError> {
            texts.iter().map(|text| names.id(kind, text).map(str::to_owned)).collect()
        };
        let scope = SlaScope {
            since,
            until,
            // People can answer after the period, and an alert without an answer ends a day later.
            as_of: until.and_then(|until| until.checked_add(JUDGED_AFTER).ok()).map_or(now, |judged| judged.min(now)),
            sites: ids(MentionKind::Site, &self.sites).or_usage("--site")?,
            zones: ids(MentionKind::Zone, &self.zones).or_usage("--zone")?,
            rules: self.rule_ids,
        };
        let archive = archive::open(&self.from)?;
        let (alerts, responses, damaged) = match rule_set {
            Some(rules) => {
                let Findings { rules, responses, damaged, .. } = backtest::run(&*archive, &trial(rules, &scope))?;
                (rules.lives, responses, damaged)
            }
            None => {
                let ArchivedFacts { alerts, responses, damaged } = ArchivedFacts::read(&*archive, since)?;
                (alerts, responses, damaged.iter().map(ToString::to_string).collect())
            }
        };
        let report = sla::report(alerts, &responses, scope, &names).or_failure("the digest cannot be computed")?;
        let report = SlaReport { damaged: damaged.len(), raised_under: self.rules.as_deref().map(file_name), ..report };
        if report.alerts.is_empty() && self.rules.is_none() {
            note(
                "No archived alert is in this selection. An alert is archived within two minutes. --site, --zone and --rule take ids,                  and with --names also names. For readings from before alerts were archived, add --rules FILE",
            );
        }
        if let Some(path) = &self.html {
            write_file(path, &sla::page(&report))?;
        }
        if let Some(path) = &self.csv {
            write_file(path, &sla::csv(&report))?;
        }
        self.format.print(&report, |report| lines(&text(report)))?;
        archive::fail_if_damaged(&damaged)
    }
}

/// The name of a file, without its folder: a report can go to others.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The evaluation of rules for a report.
fn trial(rules: (String, RuleSet), scope: &SlaScope) -> Trial {
    // A breach from before is no alert of the period, and alerts of the period are answered after it.
    let since = scope.since.and_then(|since| since.checked_sub(LEAD).ok());
    let (period, zones) = (Period { since, until: None }, scope.zones.clone());
    Trial { rules, against: None, period, sites: Vec::new(), zones, device_types: Vec::new() }
}

/// The report for a terminal.
fn text(report: &SlaReport) -> String {
    let ResponseTimes { alerts, contradicted, reaction, resolution } = &report.all;
    let mut text = format!("Response times of {}, {}\n", plural(*alerts, "alert"), report.period());
    report.notes().iter().for_each(|note| text += &format!("  {note}\n"));
    if *alerts > 0 {
        for (what, times) in [("reaction", reaction), ("resolution", resolution)] {
            let [median, p90, within] = times.cells();
            let _ = write!(text, "  {what}: median {median}, 90 % {p90}, within target {within}");
            let without = times.without_answer();
            text += &if without.is_empty() { "\n".to_owned() } else { format!("; {without}\n") };
        }
        let _ = writeln!(text, "  contradicted by the sensor: {}", count(*contradicted));
    }
    for table in &report.tables {
        let heading = std::iter::once(format!("by {}", table.by)).chain(ResponseTimes::COLUMNS.map(str::to_lowercase));
        let rows =
            table.groups.iter().map(|group| [group.name.clone()].into_iter().chain(group.times.cells()).collect());
        // A day has 24 hours.
        let most = if table.by == "hour" { usize::MAX } else { MAX_ROWS };
        let mut rows: Vec<Vec<String>> = std::iter::once(heading.collect()).chain(rows).collect();
        let left_out = rows.len().saturating_sub(most.saturating_add(1));
        rows.truncate(most.saturating_add(1));
        let _ = write!(text, "\n{}", columns(&rows));
        if left_out > 0 {
            let _ = writeln!(text, "… and {left_out} more");
        }
    }
    let worst = report.worst.iter().map(|index| (&report.alerts[*index], report.alerts[*index].story()));
    text += &listed("The longest until they were done", worst);
    let findings = report.alerts.iter().filter_map(|alert| Some((alert, alert.finding.clone()?)));
    text += &listed("Contradictions", findings.take(MAX_ROWS));
    text += "\nWhat the numbers mean:\n";
    report.definitions.iter().for_each(|definition| text += &format!("  {definition}\n"));
    text + &format!("Digest of the alerts, their answers and these definitions: {}\n", report.digest)
}

/// A row for each of the alerts, in local time, with a text.
fn listed<'a>(title: &str, alerts: impl Iterator<Item = (&'a TimedAlert, String)>) -> String {
    let row = |(TimedAlert { life, place, resolution, .. }, text): (&TimedAlert, _)| {
        let raised = life.location.local_zone.local_time(life.raised).strftime("%Y-%m-%d %H:%M").to_string();
        vec![raised, resolution.in_words(), life.title.clone(), place.clone(), text]
    };
    let rows: Vec<_> = alerts.map(row).collect();
    if rows.is_empty() { String::new() } else { format!("\n{title}:\n{}", columns(&rows)) }
}

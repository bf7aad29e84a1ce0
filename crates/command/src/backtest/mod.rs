//! `backtest`: evaluates rules against stored history.

mod tables;

use std::path::{Path, PathBuf};

use analysis::backtest::findings::Findings;
use analysis::backtest::{Trial, backtest};
use analysis::report;
use analysis::words::count;
use clap::Args;
use history::Archive;
use jiff::Timestamp;
use smartclean_push::domain::device::{DEVICE_TYPES, DeviceType, short_name};
use smartclean_push::domain::display::line;
use smartclean_push::domain::rules::names::NameError;
use smartclean_push::domain::rules::{MentionKind, RuleSet};

use crate::output::{OutputFormat, note, progress_bar, write_file};
use crate::{Failure, OrFailure as _, archive, period, rules};

/// The name of the rules without a file.
const BUILT_IN: &str = "built-in";

/// Evaluate rules against stored history: the alerts that they would have raised
///
/// Stored pushes go through the same engine as live, in the order in which they were received, so that the alerts are the
/// same. With --against, the command prints the differences between two sets of rules. It sends nothing and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push backtest --from data
  smartclean-push backtest --from data --rules new.toml --against my-rules.toml --html report.html
  smartclean-push backtest --from data --rules new.toml --against built-in --since 2026-11-01 --zone lobby
  smartclean-push backtest --from data --device-type ODRDTR_BATT_V1
  smartclean-push backtest --from data --format json | jq '.difference.missed | length'")]
pub(super) struct BacktestCommand {
    /// Stored readings: the data folder of `serve`, or s3://bucket
    #[arg(long, value_name = "FOLDER|s3://…")]
    from: String,
    /// Rules on trial: a file, which is laid over the built-in rules, or `built-in`
    #[arg(long, value_name = "FILE", default_value = BUILT_IN)]
    rules: PathBuf,
    /// Rules to compare them with, mostly those in force: a file, or `built-in`
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    #[command(flatten)]
    period: period::PeriodArguments,
    /// Only this site, by PID or by its name in --rules. Can be given several times
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// Only this zone, by InsID or by its name in --rules. Can be given several times
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
    /// Only this device type, such as SS. Can be given several times
    #[arg(long = "device-type", value_name = "TYPE")]
    device_types: Vec<String>,
    /// Also write an HTML report: one page without network requests, to read, mail or print
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Format of the results. JSON is one object with every alert
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl BacktestCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let trial = self.trial()?;
        let findings = run(&*archive::open(&self.from)?, &trial)?;
        if let Some(path) = &self.html {
            write_file(path, &report::page(&findings, Timestamp::now()))?;
        }
        self.format.print(&findings, tables::text)?;
        archive::fail_if_damaged(&findings.damaged)
    }

    fn trial(&self) -> Result<Trial, Failure> {
        let rules = named(&self.rules)?;
        let ids = |kind, texts: &[String]| -> Result<Vec<String>, NameError> {
            texts.iter().map(|text| rules.1.names.id(kind, text).map(str::to_owned)).collect()
        };
        Ok(Trial {
            sites: ids(MentionKind::Site, &self.sites).or_usage("--site")?,
            zones: ids(MentionKind::Zone, &self.zones).or_usage("--zone")?,
            against: self.against.as_deref().map(named).transpose()?,
            period: self.period.read()?,
            device_types: self.device_types.iter().map(|name| device_type(name)).collect::<Result<_, _>>()?,
            rules,
        })
    }
}

/// Evaluates rules, with a progress bar. Prints warnings.
pub(super) fn run(archive: &dyn Archive, trial: &Trial) -> Result<Findings, Failure> {
    let bar = progress_bar(0);
    let findings = backtest(archive, trial, |progress| {
        bar.set_length(progress.hours as u64);
        bar.set_position(progress.hours_done as u64);
        let rate = progress.readings as f64 / bar.elapsed().as_secs_f64().max(0.001);
        bar.set_message(format!("{} readings, {rate:.0} a second", count(progress.readings)));
    });
    bar.finish_and_clear();
    let findings = findings?;
    for warning in &findings.unknown_ids {
        note(format_args!("warning: {}", line(warning)));
    }
    Ok(findings)
}

/// Rules and their name.
pub(super) fn named(path: &Path) -> Result<(String, RuleSet), Failure> {
    let file = Some(path).filter(|path| *path != Path::new(BUILT_IN));
    Ok((path.display().to_string(), rules::load(file)?))
}

/// The short name of a device type. It is documented, or names its provider.
fn device_type(name: &str) -> Result<String, Failure> {
    let short = short_name(name);
    if short.contains('#') || DeviceType::named(short).is_some() {
        return Ok(short.to_owned());
    }
    let known: Vec<&str> = DEVICE_TYPES.iter().map(|known| known.name).collect();
    Err(Failure::usage(format!("there is no device type `{short}`; the documented ones are {}", known.join(", "))))
}

//! `survey`: a comparison of what the sensors send with what the vendor documents.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use analysis::survey::{Observation, Survey};
use analysis::words::plural;
use clap::Args;
use history::{Archive, ArchiveError, ArchivedFacts, Inventory, hours, read_folder, read_pushes};
use smartclean_push::domain::display::line;
use smartclean_push::domain::rules::RuleSet;

use crate::output::{OutputFormat, progress_bar};
use crate::{Failure, archive, period, rules};

/// Compare what the sensors send with what SmartClean documents, and advise what to change
///
/// For the first days of a new site: readings per push, unknown types and fields, delays, repeats, clocks, intervals per type,
/// Matrix events, rejected items, and with --log refused logins. Changes nothing. The exit code is 1 if something differs from
/// what is expected.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push survey --from data
  smartclean-push survey --from data --rules rules.toml --log serve.log
  smartclean-push survey --from s3://my-readings --since 2026-11-01
  smartclean-push survey --from data --format json | jq '.[] | select(.advice)'")]
pub(super) struct SurveyCommand {
    /// Stored readings: the data folder of `serve`, or s3://bucket/prefix
    #[arg(long, value_name = "DATA")]
    from: String,
    #[command(flatten)]
    period: period::PeriodArguments,
    /// Rules file, to find devices that report less often than it allows [default: the built-in rules]
    #[arg(long, value_name = "RULES")]
    rules: Option<PathBuf>,
    /// Log of the receiver: the standard error of `serve`, or JSON lines from CloudWatch
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Format of the results. JSON is an array of objects: `subject`, `seen`, `expected`, `advice`
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl SurveyCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let rules = rules::load(self.rules.as_deref())?;
        let mut survey = Survey::default();
        if let Some(log) = &self.log {
            read_log(log, &mut survey).map_err(|error| {
                Failure::usage(format!("{} cannot be read: {error}. Name a log file with --log", log.display()))
            })?;
        }
        let archive = archive::open(&self.from)?;
        let (warnings, damaged) = self.read(&*archive, &mut survey, &rules)?;
        let mut observations = survey.observations(&rules);
        observations.extend(warnings);
        self.format.print(&observations, |observations| text(observations))?;
        archive::fail_if_damaged(&damaged)?;
        match observations.iter().filter(|observation| observation.advice.is_some()).count() {
            0 => Ok(()),
            some => Err(Failure::new(format!("{} to look at, marked ! above", plural(some, "observation")))),
        }
    }

    /// Surveys the archive. Returns where its devices do not suit the rules, and damaged objects.
    fn read(
        &self,
        archive: &dyn Archive,
        survey: &mut Survey,
        rules: &RuleSet,
    ) -> Result<(Vec<Observation>, Vec<ArchiveError>), Failure> {
        let period = self.period.read()?;
        let raw = hours(archive, "raw/", &period)?;
        let bar = progress_bar(raw.len() as u64);
        let mut damaged = read_pushes(archive, &raw, |round| {
            round.pushes.iter().filter(|push| period.contains(push.received)).for_each(|push| survey.push(push));
            bar.set_position(round.hours as u64);
            true
        })?;
        survey.reported(&ArchivedFacts::read_reported(archive, &period, &mut damaged)?);
        for hour in hours(archive, "rejected/", &period)? {
            read_folder(archive, &hour.folder, |object| match object.text() {
                Ok(lines) => survey.rejections(&lines),
                Err(error) => damaged.push(error),
            })?;
        }
        bar.finish_and_clear();
        let warnings = Inventory::read(archive, &period)?.warnings(rules).into_iter().map(|warning| Observation {
            subject: format!("rules, {}", warning.position),
            seen: warning.message,
            expected: "rules that suit the devices",
            advice: Some(warning.suggestion.unwrap_or_else(|| "Remove it from the rules file.".to_owned())),
        });
        Ok((warnings.collect(), damaged))
    }
}

fn read_log(path: &Path, survey: &mut Survey) -> std::io::Result<()> {
    survey.expect_log();
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        survey.log_line(&String::from_utf8_lossy(&line?));
    }
    Ok(())
}

fn text(observations: &[Observation]) -> String {
    let text = |Observation { subject, seen, expected, advice }: &Observation| {
        // Names come from sensors, and must not begin a line of their own.
        let observed = line(&format!("{subject}: {seen} (expected: {expected})"));
        match advice {
            Some(advice) => format!("! {observed}\n      {}\n", line(advice)),
            None => format!("  {observed}\n"),
        }
    };
    observations.iter().map(text).collect()
}

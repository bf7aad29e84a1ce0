//! `test`: runs rule cases.

use std::path::{Path, PathBuf};

use analysis::cases::{Case, CaseFile, CaseLine};
use analysis::words::plural;
use clap::Args;
use smartclean_push::domain::{display, utf8};

use crate::output::print;
use crate::{Failure, OrFailure as _, rules};

/// Run rule cases: readings with times, and exactly the alerts that they raise
///
/// A case file has events with times and their results. A failed case prints what was expected and what it got. The exit
/// code is 1 if a case failed.
#[derive(Debug, Args)]
#[command(after_help = "Example of a case file:
  [[case]]
  name = \"a bin that fills up is reported once\"
  run = \"\"\"
  10:00 BIN#b1 p=50
  10:10 5x10m: BIN#b1 p=30..2      => 10:40 firing medium bin-full 9
  \"\"\"

Examples:
  smartclean-push test cases.toml
  smartclean-push test --rules rules.toml tests/")]
pub(super) struct TestCommand {
    /// Case files, or folders of them (*.toml)
    #[arg(value_name = "CASES", required = true)]
    cases: Vec<PathBuf>,
    /// Rules for every case without own rules, instead of the built-in rules and those that the case file names
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

impl TestCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (mut text, mut cases, mut failed) = (String::new(), 0, 0);
        for path in self.files()? {
            let (count, failures) = self.run_file(&path)?;
            text += &format!("{}: {}, {} failed\n", path.display(), plural(count, "case"), failures.len());
            text.extend(failures.iter().map(String::as_str));
            cases += count;
            failed += failures.len();
        }
        print(display::lines(&text));
        match (cases, failed) {
            (0, _) => Err(Failure::usage("there is no case in these files")),
            (_, 0) => Ok(()),
            (cases, failed) => Err(Failure::new(format!("{failed} of {} failed", plural(cases, "case")))),
        }
    }

    /// The case files; those of a folder in the order of their names.
    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        for path in &self.cases {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let entries = std::fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
            let entries = entries.or_usage(format_args!("{} cannot be read", path.display()))?;
            let mut inside: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
            inside.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
            inside.sort();
            files.extend(inside);
        }
        Ok(files)
    }

    /// Runs a case file. Returns the number of its cases, and what the failed ones expected and got.
    fn run_file(&self, path: &Path) -> Result<(usize, Vec<String>), Failure> {
        let name = path.display().to_string();
        let bytes = rules::read(path)?;
        let file = CaseFile::parse(&name, utf8::text(&bytes).or_failure(&name)?)
            .map_err(|errors| Failure::new(format!("{name} is no case file:\n{}", errors.join("\n"))))?;
        let beside = |rules: &String| path.parent().unwrap_or(Path::new("")).join(rules);
        let common = rules::load(self.rules.clone().or(file.rules_file.as_ref().map(beside)).as_deref())?;
        let mut failures = Vec::new();
        for case in &file.cases {
            let rules = match &case.rules {
                Some(text) => rules::parse(&format!("{name}, the rules of \"{}\"", case.name), text.as_bytes())?,
                None => common.clone(),
            };
            let failed = case.run(rules);
            if !failed.is_empty() {
                failures.push(failure(&name, case, &failed));
            }
        }
        Ok((file.cases.len(), failures))
    }
}

/// What a failed case expected and what it got.
fn failure(file: &str, case: &Case, failed: &[(&CaseLine, String)]) -> String {
    let mut text = format!("\nFAILED {file}:{}: {}\n", case.line, case.name);
    for (CaseLine { number, input, expected, .. }, actual) in failed {
        let [expected, actual] = [expected, actual].map(|text| if text.is_empty() { "nothing" } else { text });
        text += &format!("  line {number}: {input}\n    expected  {expected}\n    got       {actual}\n");
    }
    text
}

//! `test`: runs rule cases.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use analysis::cases::{Case, CaseFile, Mismatch};
use analysis::words::plural;
use clap::Args;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
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
  smartclean-push test --rules rules.toml tests/ --junit report.xml")]
pub(super) struct TestCommand {
    /// Case files, or folders of them (*.toml)
    #[arg(value_name = "CASES", required = true)]
    cases: Vec<PathBuf>,
    /// Rules for every case without own rules, instead of the built-in rules and those that the case file names
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// The results of a case file.
struct FileResults {
    name: String,
    cases: Vec<(Case, Vec<Mismatch>)>,
}

impl TestCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let results = self.files()?.iter().map(|path| self.run_file(path)).collect::<Result<Vec<_>, _>>()?;
        let (mut text, mut cases, mut failed) = (String::new(), 0, 0);
        for file in &results {
            let failures = file.cases.iter().filter(|(_, mismatches)| !mismatches.is_empty()).count();
            text += &format!("{}: {}, {failures} failed\n", file.name, plural(file.cases.len(), "case"));
            text.extend(file.cases.iter().map(|(case, mismatches)| failure(&file.name, case, mismatches)));
            cases += file.cases.len();
            failed += failures;
        }
        print(display::lines(&text));
        if let Some(path) = &self.junit {
            let unwritable = format!("{} cannot be written", path.display());
            let report = junit_report(&results).to_string().or_usage(&unwritable)?;
            std::fs::write(path, report).or_usage(&unwritable)?;
        }
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

    fn run_file(&self, path: &Path) -> Result<FileResults, Failure> {
        let name = path.display().to_string();
        let bytes = rules::read(path)?;
        let file = CaseFile::parse(&name, utf8::text(&bytes).or_failure(&name)?).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Failure::new(format!("{name} is no case file:\n{}", errors.join("\n")))
        })?;
        let beside = |rules: &String| path.parent().unwrap_or(Path::new("")).join(rules);
        let common = rules::load(self.rules.clone().or(file.rules_file.as_ref().map(beside)).as_deref())?;
        let mut cases = Vec::new();
        for case in file.cases {
            let rules = match &case.rules {
                Some(text) => rules::parse(&format!("{name}, the rules of \"{}\"", case.name), text.as_bytes())?,
                None => common.clone(),
            };
            let mismatches = case.run(rules);
            cases.push((case, mismatches));
        }
        Ok(FileResults { name, cases })
    }
}

/// What a failed case expected and what it got; nothing if it passed.
fn failure(file: &str, case: &Case, mismatches: &[Mismatch]) -> String {
    let mut text = String::new();
    if !mismatches.is_empty() {
        let _ = writeln!(text, "\nFAILED {file}:{}: {}", case.line, case.name);
    }
    for Mismatch { line, input, expected, actual } in mismatches {
        let [expected, actual] = [expected, actual].map(|text| if text.is_empty() { "nothing" } else { text });
        let _ = writeln!(text, "  line {line}: {input}\n    expected  {expected}\n    got       {actual}");
    }
    text
}

fn junit_report(results: &[FileResults]) -> Report {
    let mut report = Report::new("smartclean-push");
    for file in results {
        let mut suite = TestSuite::new(file.name.as_str());
        for (case, mismatches) in &file.cases {
            let mut status = TestCaseStatus::success();
            if !mismatches.is_empty() {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(format!("{} lines are wrong", mismatches.len()));
                status.set_description(failure(&file.name, case, mismatches));
            }
            suite.add_test_case(TestCase::new(case.name.as_str(), status));
        }
        report.add_test_suite(suite);
    }
    report
}

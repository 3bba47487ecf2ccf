//! `caxplan test`.

use super::simulate::model;
use crate::composition::registry;
use crate::failure::{Answer, FAILED, Failure, INVALID};
use crate::plan::{check_text, read, show};
use crate::ui;
use caxplan_core::load::{Case, load_test};
use caxplan_core::simulate::{Verdict, judge};
use caxplan_run::StateDir;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the files of tests end with.
const ENDING: &str = ".test.yaml";
/// How deep folders are searched for tests.
const DEPTH_MAX: u32 = 16;
/// No loop of a test runs over a list that the test does not say; until that is complained about it gets one item.
const ITEMS: u32 = 1;

/// Run the tests of plans, in simulation: perform nothing
///
/// Exit code 1 if a case does not come out as expected, 2 if a test or its plan is invalid.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Tests, or folders with tests; the current folder if none is given
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only cases whose name holds this text
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Show every case as a timeline, not only those that fail
    #[arg(short, long)]
    verbose: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Rendering,
}

/// How it is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Rendering {
    /// For people
    #[default]
    Text,
    /// The Test Anything Protocol
    Tap,
    /// JSON, for programs
    Json,
}

/// A case that was run.
struct Heard {
    file: String,
    case: Case,
    verdict: Verdict,
}

impl Test {
    pub(crate) fn execute(self) -> Answer {
        let registry = registry(&StateDir::locate()?);
        let mut heard = Vec::new();
        let mut invalid = false;
        for file in self.files()? {
            match load_test(&file, &registry, &mut read) {
                Ok(cases) => {
                    for case in cases.into_iter().filter(|case| self.is_wanted(case)) {
                        let verdict = judge(&model(&case.loaded, &registry, ITEMS), &case.trial);
                        let file = file.clone();
                        heard.push(Heard { file, case, verdict });
                    }
                }
                Err(diagnostics) => {
                    invalid = true;
                    diagnostics.iter().for_each(show);
                }
            }
        }
        ui::print(&match self.output {
            Rendering::Text => self.text(&heard),
            Rendering::Tap => tap(&heard),
            Rendering::Json => json(&heard)?,
        });
        let failed = heard.iter().any(|heard| !heard.verdict.complaints.is_empty());
        Ok(match (invalid, failed) {
            (true, _) => ExitCode::from(INVALID),
            (false, true) => ExitCode::from(FAILED),
            (false, false) => ExitCode::SUCCESS,
        })
    }

    fn is_wanted(&self, case: &Case) -> bool {
        self.case
            .as_ref()
            .is_none_or(|text| case.trial.name.contains(text.as_str()))
    }

    fn files(&self) -> Answer<Vec<String>> {
        let here = [PathBuf::from(".")];
        let named: &[PathBuf] = if self.files.is_empty() { &here } else { &self.files };
        let mut files = Vec::new();
        for path in named {
            check_text(path)?;
            if path.is_dir() {
                let before = files.len();
                search(path, DEPTH_MAX, &mut files)?;
                files[before..].sort();
            } else {
                files.push(path.to_string_lossy().into_owned());
            }
        }
        if files.is_empty() {
            return Err(Failure::invalid("there are no tests here").hint(format!(
                "tests are files that end with `{ENDING}`; see docs/simulate.md"
            )));
        }
        Ok(files)
    }

    fn text(&self, heard: &[Heard]) -> String {
        let paint = ui::Paint::for_stdout();
        let mut text = String::new();
        let mut file = "";
        for Heard {
            file: of,
            case,
            verdict,
        } in heard
        {
            if file != of {
                file = of;
                text.push_str(&format!("{file}\n"));
            }
            let name = &case.trial.name;
            let good = verdict.complaints.is_empty();
            if good {
                text.push_str(&format!("  {} {name}\n", paint.green("ok  ")));
            } else {
                let line = case.place.line;
                text.push_str(&format!("  {} {name} (line {line})\n", paint.red("FAIL")));
            }
            for complaint in &verdict.complaints {
                text.push_str(&format!("       {complaint}\n"));
            }
            if !good || self.verbose {
                for line in verdict.story.to_text(&verdict.ending).lines() {
                    text.push_str(format!("       {line}").trim_end());
                    text.push('\n');
                }
            }
        }
        let failed = heard
            .iter()
            .filter(|heard| !heard.verdict.complaints.is_empty())
            .count();
        let passed = heard.len() - failed;
        text.push_str(&format!("{passed} passed, {failed} failed\n"));
        text
    }
}

fn tap(heard: &[Heard]) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", heard.len());
    for (number, heard) in (1..).zip(heard) {
        let good = if heard.verdict.complaints.is_empty() {
            "ok"
        } else {
            "not ok"
        };
        let name = heard.case.trial.name.replace('#', "\\#");
        text.push_str(&format!("{good} {number} - {}: {name}\n", heard.file));
        for complaint in &heard.verdict.complaints {
            text.push_str(&format!("# {complaint}\n"));
        }
    }
    text
}

fn json(heard: &[Heard]) -> Answer<String> {
    let cases: Vec<_> = heard
        .iter()
        .map(|heard| {
            json!({
                "file": heard.file,
                "line": heard.case.place.line,
                "name": heard.case.trial.name,
                "passed": heard.verdict.complaints.is_empty(),
                "complaints": heard.verdict.complaints,
                "ending": heard.verdict.ending,
                "timeline": heard.verdict.story.timeline(),
            })
        })
        .collect();
    serde_json::to_string_pretty(&cases)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new(error.to_string()))
}

/// The tests in a folder and the folders in it, but for hidden ones and what a build makes.
fn search(folder: &Path, depth: u32, files: &mut Vec<String>) -> Answer<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        // A link to a folder may lead in a circle.
        if entry.file_type()?.is_dir() {
            let skipped = name.starts_with('.') || name == "target" || name == "node_modules";
            if !skipped && depth > 0 {
                search(&path, depth - 1, files)?;
            }
        } else if name.ends_with(ENDING) {
            let path = path.strip_prefix(".").unwrap_or(&path);
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

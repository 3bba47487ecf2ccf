//! `caxplan import`.

use crate::composition::registry;
use crate::failure::{Answer, FAILED, Failure};
use crate::{plan, ui};
use caxplan_core::import::draft;
use caxplan_run::StateDir;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a draft plan of a runbook in Markdown; run nothing
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The runbook
    runbook: PathBuf,
    /// Only sections whose heading contains this
    #[arg(long, value_name = "TEXT")]
    section: Option<String>,
    /// Write the draft into this file, which must not exist yet
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Import {
    pub(crate) fn execute(self) -> Answer {
        let shown = self.runbook.display();
        let text = plan::read(&self.runbook.to_string_lossy()).map_err(|error| {
            Failure::invalid(format!("cannot read the runbook {shown}: {}", error.message))
        })?;
        let name = self.runbook.file_name().unwrap_or_default().to_string_lossy();
        let draft = draft(&name, &text, self.section.as_deref()).ok_or_else(|| {
            Failure::invalid(format!("{shown} says nothing to do")).hint(
                "blocks of shell, lists and boxes below headings become steps; --section must be part of a heading",
            )
        })?;
        match &self.output {
            Some(path) => write_new(path, &draft.text)?,
            None => ui::print(&draft.text),
        }
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        ui::say(&format!(
            "a draft of {}, {}; {} to look at\n",
            count(draft.phases, "phase"),
            count(draft.steps, "step"),
            count(draft.todos, "TODO"),
        ));
        let registry = registry(&StateDir::locate()?);
        let file = self.output.as_deref().unwrap_or(Path::new("draft.yaml"));
        if plan::is_valid(&file.to_string_lossy(), &draft.text, &registry) {
            return Ok(ExitCode::SUCCESS);
        }
        ui::say("the draft is no valid plan yet: what is said above must be mended first\n");
        Ok(ExitCode::from(FAILED))
    }
}

/// Writes a file that is not there yet: a draft that somebody has worked on is not lost.
fn write_new(path: &Path, text: &str) -> Answer<()> {
    use std::io::Write as _;
    let write = || {
        let mut file = std::fs::File::create_new(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| {
        let failure = Failure::invalid(format!("{} could not be written: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => failure.hint("name another file, or remove it first"),
            _ => failure,
        }
    })
}

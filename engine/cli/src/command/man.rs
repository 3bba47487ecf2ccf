//! `caxplan man`.

use crate::failure::{Answer, Failure};
use crate::{help, ui};
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print a manual page, or write them all
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The command; the page of the whole program if absent
    command: Vec<String>,
    /// Write every page into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["command", "markdown"])]
    dir: Option<PathBuf>,
    /// Print all of it as one page of Markdown instead
    #[arg(long, conflicts_with = "command")]
    markdown: bool,
}

/// The width at which help is wrapped in the reference, in columns.
const REFERENCE_WIDTH: usize = 100;

impl Man {
    pub(crate) fn execute(self) -> Answer {
        let mut command = help::command().disable_help_subcommand(true);
        command.build();
        if let Some(dir) = &self.dir {
            write_all(&command, dir)?;
        } else if self.markdown {
            ui::print(&reference());
        } else {
            let page = find(&command, &self.command)?;
            ui::print(&String::from_utf8_lossy(&render(page)?));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn find<'a>(command: &'a clap::Command, words: &[String]) -> Answer<&'a clap::Command> {
    words.iter().try_fold(command, |command, word| {
        command.find_subcommand(word).ok_or_else(|| {
            let name = command.get_name();
            Failure::invalid(format!("`{name}` has no command `{word}`"))
                .hint("`caxplan help` lists them all")
        })
    })
}

fn render(command: &clap::Command) -> Answer<Vec<u8>> {
    let mut page = Vec::new();
    // The name in the heading is that of the whole path, as `man` finds it.
    let name = command
        .get_display_name()
        .unwrap_or(command.get_name())
        .to_owned();
    clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .manual("caxplan")
        .source(format!("caxplan {}", env!("CARGO_PKG_VERSION")))
        .render(&mut page)?;
    Ok(page)
}

fn write_all(command: &clap::Command, dir: &Path) -> Answer<()> {
    std::fs::create_dir_all(dir)?;
    let mut open = vec![command];
    while let Some(command) = open.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = dir.join(format!("{name}.1"));
        std::fs::write(&path, render(command)?)
            .map_err(|error| Failure::new(format!("{} could not be written: {error}", path.display())))?;
        open.extend(command.get_subcommands().filter(|sub| !sub.is_hide_set()));
    }
    Ok(())
}

/// Every command with its help, as a page of the documentation.
fn reference() -> String {
    let mut command = help::command()
        .disable_help_subcommand(true)
        .term_width(REFERENCE_WIDTH);
    let mut text = String::from(
        "# The command line\n\nGenerated from the program by `cargo xtask generate`: what `caxplan COMMAND --help` says. \
         Which fields `--output json` and `yaml` have, and what a signal does, stands in [running.md](../running.md).\n\n",
    );
    for (title, subs) in help::groups(&command) {
        let _ = writeln!(text, "**{title}**\n");
        for (name, about) in subs.iter().filter(|(name, _)| name != "help") {
            let _ = writeln!(text, "* [`{name}`](#caxplan-{name}) {about}");
        }
        text.push('\n');
    }
    let names: Vec<String> = help::groups(&command)
        .into_iter()
        .flat_map(|(_, subs)| subs.into_iter().map(|(name, _)| name))
        .collect();
    command.build();
    for name in names {
        if let Some(sub) = command.find_subcommand_mut(&name) {
            section(&mut text, sub);
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(text: &mut String, command: &mut clap::Command) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = writeln!(
        text,
        "## {name}\n\n```text\n{}\n```\n",
        help.join("\n").trim_end()
    );
    for sub in command.get_subcommands_mut().filter(|sub| !sub.is_hide_set()) {
        section(text, sub);
    }
}

//! `caxton config …`

use crate::ui::{Table, Ui};
use crate::{exit::Exit, server};
use caxton_node::config::{Layers, differences};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check a configuration; every key is known, every value fits
    Check(Check),
    /// Compare the effective configuration with a file
    Diff(Diff),
}

#[derive(clap::Args)]
pub(crate) struct Check {
    /// The configuration
    file: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Diff {
    /// What it shall be
    #[arg(long, value_name = "FILE")]
    baseline: PathBuf,
    /// The file that the node reads [default: /etc/caxton/config.yaml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Command {
    pub(crate) fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        match self {
            Self::Check(check) => {
                let config = server::layers(Some(&check.file))?.load()?;
                ui.show(&config, |_| format!("{} is valid", check.file.display()))?;
                Ok(Exit::Done)
            }
            Self::Diff(diff) => {
                let baseline = Layers::new().file(&diff.baseline).load()?;
                let actual = server::layers(server::config_file(diff.config).as_deref())?.load()?;
                let found = differences(&baseline, &actual);
                ui.show(&found, |found| {
                    if found.is_empty() {
                        return "No differences.".to_owned();
                    }
                    let mut table = Table::new(&["KEY", "BASELINE", "ACTUAL"]);
                    for difference in found {
                        let (baseline, actual) = (&difference.baseline, &difference.actual);
                        table.row([difference.key.clone(), baseline.to_string(), actual.to_string()]);
                    }
                    table.to_string()
                })?;
                Ok(Exit::when(found.is_empty()))
            }
        }
    }
}

//! `caxton backup restore --id ID --target DIR`

use super::show;
use crate::{exit::Exit, ui::Ui};
use anyhow::bail;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Restore {
    /// The backup: its path, or its id
    #[arg(long)]
    id: String,
    /// The data folder of the node, new or empty but for backups and releases
    #[arg(long)]
    target: PathBuf,
    /// Where backups lie, if an id was given [default: `backups` in the target]
    #[arg(long)]
    from: Option<PathBuf>,
}

impl Restore {
    pub(super) fn run(self, ui: &Ui) -> anyhow::Result<Exit> {
        let folder = self.from.clone().unwrap_or_else(|| self.target.join("backups"));
        let archive = find(&self.id, &folder)?;
        let info = caxton_node::backup::restore(&archive, &self.target)?;
        show(ui, std::slice::from_ref(&info))?;
        ui.note(&format!("restored into {}", self.target.display()));
        Ok(Exit::Done)
    }
}

/// The archive at a path, or the only one with that id in the folder.
fn find(id: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    if Path::new(id).is_file() {
        return Ok(PathBuf::from(id));
    }
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.strip_suffix(".tar.gz").or_else(|| name.strip_suffix(".tar"));
        stem.is_some_and(|stem| stem == id || stem.starts_with(&format!("{id}-")))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(fits).collect();
    found.sort();
    match found.as_slice() {
        [archive] => Ok(archive.clone()),
        [] => bail!(
            "there is no backup {id} in {}; give its path, or --from FOLDER",
            folder.display()
        ),
        several => bail!("{id} may be each of {several:?}; give the path of one"),
    }
}

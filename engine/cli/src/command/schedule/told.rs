//! What was said of files that are no plans, so that a look each minute does not say it each minute.

use super::sources::Bad;
use crate::failure::{Answer, Failure};
use caxplan_model::Digest;
use caxplan_run::StateDir;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files of which something was said, each with a digest of that. Lies in the folder of the state.
#[derive(Debug)]
pub(super) struct Told {
    file: PathBuf,
    said: BTreeMap<PathBuf, String>,
}

impl Told {
    /// What was said so far. A file that cannot be read says nothing: then all is said again.
    pub(super) fn read(dir: &StateDir) -> Self {
        let file = dir.root().join("schedule-told.json");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Self {
            said: serde_json::from_str(&text).unwrap_or_default(),
            file,
        }
    }

    /// The files of which something new is to be said. What is kept forgets files below `looked_at` that are right again, and
    /// those that are gone.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(super) fn news<'b>(&mut self, bad: &'b [Bad], looked_at: &[PathBuf]) -> Answer<Vec<&'b Bad>> {
        let before = self.said.clone();
        let looked = |file: &Path| looked_at.iter().any(|path| file.starts_with(path));
        self.said
            .retain(|file, _| file.exists() && (!looked(file) || bad.iter().any(|bad| bad.file == *file)));
        let news = bad.iter().filter(|bad| {
            let digest = Digest::of(bad.all.as_bytes()).to_string();
            self.said.insert(bad.file.clone(), digest.clone()).as_ref() != Some(&digest)
        });
        let news = news.collect();
        if self.said != before {
            let text = serde_json::to_string(&self.said).map_err(|error| Failure::new(error.to_string()))?;
            // Whoever looks at the same time says the same.
            let beside = self.file.with_extension(format!("json.{}", std::process::id()));
            std::fs::write(&beside, text)?;
            std::fs::rename(&beside, &self.file)?;
        }
        Ok(news)
    }
}

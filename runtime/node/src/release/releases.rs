//! A running node's upgrades: stage, switch, report, go back.

use super::layout::UpgradeRecord;
use super::stage::stage;
use super::{Layout, ReleaseError};
use crate::config::NodeConfig;
use caxton_model::Version;
use caxton_model::api::{UpgradeRequest, UpgradeStatus};
use std::path::PathBuf;
use tokio::sync::{Mutex, watch};

/// The releases of a running node.
///
/// Switching is not done here: an upgrade ends with the symlink `current` at the new release and
/// [`Releases::switch_requested`] resolved. Whoever runs the node then shuts it down and calls
/// [`super::exec_current`], so that the new binary goes on under the same process id.
#[derive(Debug)]
pub struct Releases {
    layout: Layout,
    running: Version,
    config_file: Option<PathBuf>,
    /// Held while an upgrade is under way.
    working: Mutex<()>,
    switch: watch::Sender<bool>,
}

impl Releases {
    /// The releases of the node with this configuration.
    pub fn new(config: &NodeConfig) -> Self {
        Self {
            layout: Layout::new(&config.storage.data_dir),
            running: config.version.0.clone(),
            config_file: config.file.clone(),
            working: Mutex::new(()),
            switch: watch::Sender::new(false),
        }
    }

    /// How the last upgrade stands.
    pub fn status(&self) -> Result<UpgradeStatus, ReleaseError> {
        self.layout.record(&self.running).map(|record| record.status)
    }

    /// The release before, to which a rollback would go.
    pub fn previous(&self) -> Option<Version> {
        self.layout.previous()
    }

    /// Stages a release, checks it, and asks for the switch. Returns `switching`; if the version runs already, `active`.
    ///
    /// If it fails, the node runs on as before, and the status says why. A cancelled call leaves `staging`, which the
    /// next one replaces.
    pub async fn upgrade(&self, request: &UpgradeRequest) -> Result<UpgradeStatus, ReleaseError> {
        let _working = self.begin()?;
        let mut record = UpgradeRecord {
            status: UpgradeStatus {
                phase: "staging".to_owned(),
                from: self.running.clone(),
                to: Some(request.version.clone()),
                error: None,
            },
            back: false,
            starts: 0,
        };
        if request.version == self.running {
            let mut status = self.status()?;
            if status.to.as_ref() != Some(&self.running) {
                status = UpgradeStatus {
                    phase: "active".to_owned(),
                    ..record.status
                };
            }
            return Ok(status);
        }
        self.layout.set_record(&record)?;
        match self.stage_and_switch(request, &mut record).await {
            Ok(()) => Ok(record.status),
            Err(error) => {
                record.status.phase = "failed".to_owned();
                record.status.error = Some(error.to_string());
                self.layout.set_record(&record)?;
                Err(error)
            }
        }
    }

    /// Undoes the last upgrade: asks for the switch to the release before. Nothing to undo is no error: after an upgrade
    /// that failed before the switch, or that was rolled back already, the status is returned as it is.
    pub async fn rollback(&self) -> Result<UpgradeStatus, ReleaseError> {
        let _working = self.begin()?;
        let last = self.layout.record(&self.running)?;
        if matches!(last.status.phase.as_str(), "failed" | "rolled_back") {
            return Ok(last.status);
        }
        let previous = self.layout.previous().ok_or(ReleaseError::NoPrevious)?;
        let record = UpgradeRecord {
            status: UpgradeStatus {
                phase: "switching".to_owned(),
                from: self.running.clone(),
                to: Some(previous.clone()),
                error: None,
            },
            back: true,
            starts: 0,
        };
        self.layout.set_record(&record)?;
        self.layout.set_current(&previous)?;
        self.switch.send_replace(true);
        Ok(record.status)
    }

    /// Says that the node runs: a switch under way has succeeded.
    pub fn confirm(&self) -> Result<(), ReleaseError> {
        let mut record = self.layout.record(&self.running)?;
        match record.status.phase.as_str() {
            "switching" if record.status.to.as_ref() == Some(&self.running) => {
                record.status.phase = if record.back { "rolled_back" } else { "active" }.to_owned();
                if record.back {
                    self.layout.set_previous(None)?;
                }
            }
            "switching" | "staging" => {
                record.status.phase = "failed".to_owned();
                record.status.error = Some(format!("the node was restarted and still runs {}", self.running));
            }
            _ => return Ok(()),
        }
        self.layout.set_record(&record)
    }

    /// Resolves once a release was switched to and the node shall make way for it.
    pub async fn switch_requested(&self) {
        let mut switch = self.switch.subscribe();
        // The sender lives in `self`: it cannot be gone.
        let _ = switch.wait_for(|requested| *requested).await;
    }

    fn begin(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, ReleaseError> {
        let busy = |phase: &str| ReleaseError::Busy {
            phase: phase.to_owned(),
        };
        if *self.switch.borrow() {
            return Err(busy("switching"));
        }
        self.working.try_lock().map_err(|_| busy("staging"))
    }

    async fn stage_and_switch(
        &self,
        request: &UpgradeRequest,
        record: &mut UpgradeRecord,
    ) -> Result<(), ReleaseError> {
        stage(&self.layout, request, self.config_file.as_deref()).await?;
        let exe = std::env::current_exe().map_err(|source| ReleaseError::Io {
            action: "find",
            path: PathBuf::from("the running binary"),
            source,
        })?;
        self.layout.keep_running(&exe, &self.running)?;
        self.layout.set_previous(Some(&self.running))?;
        record.status.phase = "switching".to_owned();
        self.layout.set_record(record)?;
        self.layout.set_current(&request.version)?;
        self.layout.prune()?;
        self.switch.send_replace(true);
        Ok(())
    }
}

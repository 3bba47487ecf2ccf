//! Work on other machines over SSH.
//!
//! [`Connections`] holds the connections of the process; [`Host`] is what actions see of one host: run a command, open one as
//! a stream of bytes, transfer files. Nothing is installed on a host; what is needed there is `/bin/sh`.

mod address;
mod algorithms;
mod auth;
mod client;
mod command;
mod config;
mod connections;
mod exec;
mod facts;
mod files;
mod host;
mod known_hosts;
mod reach;
mod receipts;
mod run;
mod said;
mod sudo;
mod variables;
mod wait;

pub use command::{Command, shell_word};
pub use connections::Connections;
pub use exec::ByteStream;
pub use facts::SshFacts;
pub use files::{FileState, SshDownload, SshFile, SshTemplate, SshUpload};
pub use host::{Broken, Exit, Finished, Host};
pub use run::{Scalar, SshRun};
pub use sudo::Sudo;
pub use wait::SshWait;

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// The adapter, with connections of its own.
pub fn adapter() -> Arc<dyn Adapter> {
    adapter_through(&Arc::new(Connections::new()))
}

/// The adapter, on connections that others use too.
pub fn adapter_through(connections: &Arc<Connections>) -> Arc<dyn Adapter> {
    Arc::new(
        ActionSet::new("ssh")
            .with_through::<SshRun, Connections>(connections)
            .with_through::<SshWait, Connections>(connections)
            .with_through::<SshFacts, Connections>(connections)
            .with_through::<SshUpload, Connections>(connections)
            .with_through::<SshDownload, Connections>(connections)
            .with_through::<SshTemplate, Connections>(connections)
            .with_through::<SshFile, Connections>(connections),
    )
}

//! Files of hosts: put there, fetched, rendered, made, moved, removed, and put back.
//!
//! Whatever is written is written beside its place and renamed into it: nobody ever sees half of it there.

mod before;
mod download;
mod entry;
mod fault;
mod folder;
mod install;
mod local;
mod output;
mod owner;
mod place;
mod remote;
mod sftp;
mod stream;
mod template;
mod text;
mod tree;
mod upload;

pub use download::SshDownload;
pub use entry::{FileState, SshFile};
pub(crate) use sftp::Sftp;
pub use template::SshTemplate;
pub use upload::SshUpload;

//! `file.*`: files on this machine.

mod absent;
mod content;
mod copy;
mod directory;
mod line;
mod owner;
mod read;
mod relocate;
#[cfg(test)]
mod tests;
mod write;

pub use absent::FileAbsent;
pub use copy::FileCopy;
pub use directory::FileDirectory;
pub use line::{FileLine, LineState};
pub use read::FileRead;
pub use relocate::FileMove;
pub use write::FileWrite;

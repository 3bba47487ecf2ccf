//! `file.*`: files on this machine.

mod absent;
mod content;
mod read;
mod write;

pub use absent::FileAbsent;
pub use read::FileRead;
pub use write::FileWrite;

//! What actions do with objects.

mod before;
mod copy;
mod download;
mod head;
mod list;
pub(crate) mod local;
mod progress;
mod upload;
mod write;

pub(crate) use before::{Before, restore};
pub(crate) use copy::copy;
pub(crate) use download::{Downloaded, digest, download};
pub(crate) use head::{Object, check_bucket, head, is_md5};
pub(crate) use list::list;
pub(crate) use upload::{PART_BYTES_DEFAULT, UploadPlan};
pub(crate) use write::{Condition, Content, Wanted, delete, delete_version, put};

//! What would change in a text.

use super::before::Before;
use super::fault::Fault;
use super::install::{Compared, Wanted};
use super::place::Place as _;
use super::remote::Remote;
use super::stream::{Source, blocking, unreadable};
use caxplan_adapter::difference;
use std::io::Read as _;

/// Larger texts are not compared line by line.
const TEXT_MAX: u64 = 256 << 10;

/// The difference of two texts: a line, and the lines below it. `None` if one of them is large or no text. What only its
/// owner may read is not shown.
pub(super) async fn difference(
    remote: &Remote,
    wanted: &Wanted,
    compared: &Compared,
) -> Result<Option<String>, Fault> {
    let Before::File { bytes, mode, .. } = &compared.before else {
        return Ok(None);
    };
    if !compared.differs || wanted.bytes > TEXT_MAX || *bytes > TEXT_MAX {
        return Ok(None);
    }
    let old = remote
        .read(&wanted.path, usize::try_from(TEXT_MAX).unwrap_or(usize::MAX))
        .await?;
    let new = match &wanted.source {
        Source::Bytes(bytes) => bytes.to_vec(),
        Source::File(path) => {
            let path = path.clone();
            blocking(move || {
                let mut bytes = Vec::new();
                std::fs::File::open(&path)
                    .and_then(|file| file.take(TEXT_MAX).read_to_end(&mut bytes))
                    .map_err(|error| unreadable(&path.display().to_string(), &error))?;
                Ok(bytes)
            })
            .await?
        }
    };
    let (Ok(old), Ok(new)) = (String::from_utf8(old), String::from_utf8(new)) else {
        return Ok(None);
    };
    if old.contains('\0') || new.contains('\0') {
        return Ok(None);
    }
    let (removed, added, lines) = difference::of(&old, &new);
    let mut text = format!("{removed} lines out, {added} in");
    if (mode | compared.mode) & 0o077 != 0 {
        text.push_str(&lines);
    }
    Ok(Some(text))
}

//! Where a client finds its cluster.

use caxton_model::api::ClientContext;
use std::path::{Path, PathBuf};

/// A context file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The context or its token could not be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a context.
    #[error("{path} is not a client context: {reason}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
}

/// Reads a context file and the token that it names: the endpoints and the token.
pub fn load_context(path: &Path) -> Result<(Vec<String>, String), ContextError> {
    let text = read(path)?;
    let context: ClientContext = serde_saphyr::from_str(&text).map_err(|error| ContextError::Invalid {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    if context.endpoints.is_empty() {
        return Err(ContextError::Invalid {
            path: path.to_owned(),
            reason: "endpoints is empty: name at least one address such as http://127.0.0.1:8080".to_owned(),
        });
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let token = read(&folder.join(&context.token_file))?;
    Ok((context.endpoints, token.trim().to_owned()))
}

fn read(path: &Path) -> Result<String, ContextError> {
    std::fs::read_to_string(path).map_err(|source| ContextError::Read {
        path: path.to_owned(),
        source,
    })
}

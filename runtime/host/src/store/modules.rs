//! Modules, by the digest of their bytes.

use super::{Store, StoreError};
use caxton_model::ModuleDigest;
use rusqlite::OptionalExtension as _;

impl Store {
    /// Keeps a module. It is not checked here: see [`crate::Host::validate`]. A module that is here already is no error.
    ///
    /// # Errors
    /// If the database fails: then it is not kept.
    pub async fn put_module(&self, bytes: Vec<u8>) -> Result<ModuleDigest, StoreError> {
        let digest = ModuleDigest::of(&bytes);
        let key = digest.clone();
        self.shared
            .writer
            .write(move |group| {
                group
                    .connection
                    .prepare_cached(
                        "INSERT INTO modules (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    )?
                    .execute((key.as_str(), bytes))?;
                Ok(())
            })
            .await?;
        Ok(digest)
    }

    /// A module's bytes, if it is here.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn module(&self, digest: &ModuleDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let digest = digest.clone();
        self.read(move |connection| {
            let mut select = connection.prepare_cached("SELECT bytes FROM modules WHERE digest = ?1")?;
            Ok(select.query_row([digest.as_str()], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// The digests of all modules here, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn modules(&self) -> Result<Vec<ModuleDigest>, StoreError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached("SELECT digest FROM modules ORDER BY digest")?;
            let digests = select.query_map([], |row| row.get(0).map(ModuleDigest))?;
            Ok(digests.collect::<Result<_, _>>()?)
        })
        .await
    }
}

//! Object stores that speak S3: Amazon's and others.
//!
//! The layers, from the top: `actions` (one file each) decide; `store` has the operations on objects that they share
//! (uploads in parts, downloads, listings, what an undo needs); `client` makes one request: signed, repeated where that
//! is safe, its failure explained. Credentials, signatures and connections are those of the crate `object_store`; its
//! object interface is not used, for it hides what an operator's actions live on: versions, exact keys, metadata of
//! copies, locks, the server's clock, and whether a failed request may have acted.

mod actions;
mod arguments;
mod authorities;
mod client;
mod credentials;
mod place;
mod store;
mod units;

use caxplan_adapter::{ActionSet, Adapter};
use std::sync::Arc;

/// The adapter.
pub fn adapter() -> Arc<dyn Adapter> {
    Arc::new(
        ActionSet::new("s3")
            .with::<actions::S3Put>()
            .with::<actions::S3Get>()
            .with::<actions::S3List>()
            .with::<actions::S3Copy>()
            .with::<actions::S3Delete>()
            .with::<actions::S3Sync>()
            .with::<actions::S3Verify>()
            .with::<actions::S3Prune>(),
    )
}

//! Identifiers that cannot be mixed up.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id! {
    /// The name of a node, unique in its cluster, as its certificate says it: `node-1`.
    NodeId
}
text_id! {
    /// The name of an agent, unique in its cluster. A name that begins with `client/` is the mailbox of a client of the
    /// management API, not of an agent.
    AgentName
}
text_id! {
    /// What belongs together: messages of one conversation keep their order.
    ConversationId
}
text_id! {
    /// A message. A ULID for what a client sends; for what an agent sends, derived from the message that it was
    /// handling, so that handling it again sends the same message and not another one.
    MessageId
}
text_id! {
    /// The SHA-256 of a WebAssembly module, as 64 hexadecimal digits.
    ModuleDigest
}
text_id! {
    /// The version of a release: `1.2.0`, without a leading `v`.
    Version
}

impl ModuleDigest {
    /// The digest of a module.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(hex::encode(sha2::Sha256::digest(bytes)))
    }
}

impl MessageId {
    /// The id of the `index`-th message that an agent sends while it handles this one.
    #[must_use]
    pub fn derived(&self, sender: &AgentName, index: u32) -> Self {
        use sha2::Digest as _;
        let hash = sha2::Sha256::new()
            .chain_update(self.0.as_bytes())
            .chain_update([0])
            .chain_update(sender.0.as_bytes())
            .chain_update(index.to_be_bytes())
            .finalize();
        Self(hex::encode(&hash[..16]))
    }
}

/// Counts the placements of one agent. A node that holds an older epoch than the catalog does not run the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

//! What a node is told: the release's defaults, below the operator's file, below the environment, below flags.

mod check;
mod diagnostic;
mod diff;
mod duration;
mod layers;
mod shape;

pub use diagnostic::ConfigError;
pub use diff::{Difference, differences};
pub use duration::{HumanDuration, ParseDurationError};
pub use layers::Layers;
pub use shape::{
    AgentsSection, ApiSection, ClusterSection, ClusterSecuritySection, CoordinationSection, LimitsSection,
    MetricsSection, MtlsSection, NodeConfig, NodeSection, RunningVersion, SecuritySection, StorageSection,
};

#[cfg(test)]
mod tests;

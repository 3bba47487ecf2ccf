//! Which release this is. Compiled in here alone, so that another release is one package to build.

use caxton_model::Version;

/// The version of this release.
pub(crate) const VERSION: &str = match option_env!("CAXTON_RELEASE") {
    Some(release) => release,
    None => env!("CARGO_PKG_VERSION"),
};

/// The version of this release.
pub(crate) fn running() -> Version {
    Version::from(VERSION)
}

//! What end-to-end tests stand on: the built programs, a folder of their own, and processes that end with the test.

pub mod hosts;
mod object_store;
mod process;
mod random;
mod sandbox;
mod service;
mod sshd;
mod terminal;
#[cfg(feature = "tls")]
mod tls;

pub use hosts::{Fleet, Host};
pub use object_store::ObjectStore;
pub use process::{Background, Finished, wait_until};
pub use random::Random;
pub use sandbox::{Sandbox, programs, releases, root};
pub use service::{Asked, Service};
pub use sshd::{Account, Sshd, SshdOptions};
pub use terminal::Terminal;
#[cfg(feature = "tls")]
pub use tls::Tls;

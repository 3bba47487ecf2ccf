//! `http.*`: requests to services; and `notify.webhook`, which is one of them.

mod expect;
mod exposition;
mod get;
mod metrics;
mod request;
mod send;
#[cfg(test)]
mod tests;
mod wait;
mod webhook;

pub use expect::{Expect, Statuses};
pub use get::HttpGet;
pub use metrics::HttpMetrics;
pub use request::{HttpMethod, HttpRequest};
pub use wait::HttpWait;
pub use webhook::NotifyWebhook;

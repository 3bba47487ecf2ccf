//! `http.*`: requests to services.

mod get;
mod request;
mod send;

pub use get::HttpGet;
pub use request::{HttpMethod, HttpRequest};

//! An example agent in Rust that answers each request.

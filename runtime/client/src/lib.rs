//! A client of the management API.

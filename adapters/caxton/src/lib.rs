//! The adapter that drives a Caxton cluster through its management API.

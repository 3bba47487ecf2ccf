//! Plans with mistakes.

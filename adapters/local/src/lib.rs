//! Adapters that act on this machine: shell, file, assert.

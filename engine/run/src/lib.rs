//! The engine's shell: driver, journal, registry, secrets, locks.

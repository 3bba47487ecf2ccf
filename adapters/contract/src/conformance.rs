//! The suite that each adapter passes.

//! The pure runtime: membership, catalog, placement.

//! What nodes say to each other: certificates, mutual TLS, gossip, consensus.

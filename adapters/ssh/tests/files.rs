//! File actions on real OpenSSH servers.

mod files {
    mod folders;
    mod interrupted;
    mod promises;
    mod single;
    mod support;
}

//! Passes the order of functions that `cargo xtask release` found to the linker.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CAXPLAN_STARTUP_ORDER");
    if let Ok(order) = std::env::var("CAXPLAN_STARTUP_ORDER") {
        println!("cargo:rerun-if-changed={order}");
        // Names that the linker does not know are those of the C library, and of the build before.
        println!("cargo:rustc-link-arg-bins=-Wl,--symbol-ordering-file={order},--no-warn-symbol-ordering");
    }
}

//! Links the kernels by their architecture's `link.ld`, wherever the linker is
//! started.

use std::env::var;

fn main() {
    let here = var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let architecture = var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    let script = format!("{here}/src/{architecture}/link.ld");
    println!("cargo::rerun-if-changed={script}");
    println!("cargo::rustc-link-arg-tests=-T{script}");
    println!("cargo::rustc-link-arg-benches=-T{script}");
}

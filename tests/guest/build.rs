//! Links the kernels by `link.ld`, wherever the linker is started.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rustc-link-arg-tests=-T{here}/link.ld");
    println!("cargo::rustc-link-arg-benches=-T{here}/link.ld");
}

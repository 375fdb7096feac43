//! No verb of the heaps can reach a panic: the linker says so.
//!
//! `tests/no-panic` is a program, a workspace of its own, that calls every
//! verb and whose panic handler needs a symbol that nothing defines. It links
//! only if the optimiser proved every panic unreachable. Here it is built as it
//! is, and with a planted `unwrap`; and the names of the verbs are compared with
//! the sources, so that a new one cannot be forgotten.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Builds the program, in a target directory that only this test uses.
fn build(features: &str) -> Output {
    Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--features", features])
        .args([
            "--manifest-path",
            &format!("{ROOT}/tests/no-panic/Cargo.toml"),
        ])
        .args([
            "--target-dir",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/no-panic"),
        ])
        // Flags meant for the tests, such as coverage, would change the proof.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .expect("cargo, which runs this test, can be run")
}

#[test]
fn a_program_of_every_verb_links_without_a_panic() {
    let output = build("");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn a_planted_unwrap_stops_the_link() {
    let output = build("planted");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it linked");
    let symbol = "spanheap_panic_is_reachable";
    assert!(
        errors.contains(symbol),
        "it failed, but not for the panic: {errors}"
    );
}

/// Returns the names of the public functions in a source file.
fn public_functions(file: &Path) -> Vec<String> {
    let source = fs::read_to_string(file).expect("a source file can be read");
    let name = |line: &str| {
        let line = line.trim_start().strip_prefix("pub ")?;
        let line = line.strip_prefix("const ").unwrap_or(line);
        let line = line.strip_prefix("unsafe ").unwrap_or(line);
        let name = line.strip_prefix("fn ")?.split(['(', '<']).next()?;
        Some(name.to_owned())
    };
    source.lines().filter_map(name).collect()
}

#[test]
fn the_program_calls_every_verb() {
    let root = Path::new(ROOT);
    let program = fs::read_to_string(root.join("tests/no-panic/src/verbs.rs"))
        .expect("the program's source can be read");
    let uncalled = |file: &Path, callers: [&str; 2]| {
        let is_called = |name: &str| {
            callers
                .iter()
                .any(|caller| program.contains(&format!("{caller}{name}(")))
        };
        let names = public_functions(file).into_iter();
        names.filter(|name| !is_called(name)).collect::<Vec<_>>()
    };

    let locked = root.join("src/locked.rs");
    assert!(public_functions(&locked).contains(&"alloc".to_owned()));
    let mut missing = uncalled(&locked, ["$Heap::", "LockedHeap::"]);
    missing.extend(uncalled(&root.join("src/region.rs"), [".", "::"]));
    for entry in fs::read_dir(root.join("src/heap")).expect("the heap is a directory") {
        let file = entry.expect("its entries can be read").path();
        let is_a_value = file.ends_with("request.rs") || file.ends_with("stats.rs");
        let callers = match is_a_value {
            true => [".", "::"],
            false => ["$Heap::", "PageHeap::"],
        };
        missing.extend(uncalled(&file, callers));
    }
    assert!(
        missing.is_empty(),
        "not in tests/no-panic/src/verbs.rs: {missing:?}"
    );
}

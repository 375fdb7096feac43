//! No verb of the heaps, or of the backings for kernels, can reach a panic: the
//! linker says so.
//!
//! `tests/no-panic` is a program, a workspace of its own, that calls every
//! verb and whose panic handler needs a symbol that nothing defines. It links
//! only if the optimiser proved every panic unreachable. Here it is built as it
//! is, and with an `unwrap` planted in each of its parts; and the names of the
//! verbs are compared with the sources, so that a new one cannot be forgotten.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
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
    println!("figures: no panic: a program of every verb links");
}

/// Each adds an `unwrap` to one verb.
const PLANTED: [&str; 5] = [
    "planted",
    "planted-shared",
    "planted-scavenger",
    "planted-balloon",
    "planted-tables",
];

#[track_caller]
fn does_not_link(features: &str) {
    let output = build(features);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{features}: it linked");
    let symbol = "spanheap_panic_is_reachable";
    assert!(
        errors.contains(symbol),
        "{features}: it failed, but not for the panic: {errors}"
    );
    println!("figures: no panic: with an unwrap in it ({features}) it does not link");
}

#[test]
fn planted_unwraps_stop_the_link() {
    does_not_link(&PLANTED.join(","));
}

#[test]
#[ignore = "five builds, for `tests/run full`"]
fn each_planted_unwrap_stops_the_link() {
    PLANTED.iter().for_each(|features| does_not_link(features));
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

/// Returns the public functions in `file` that a part of the program does not
/// call: by one of these callers, with or without a type.
fn uncalled(part: &str, file: &Path, callers: [&str; 2]) -> Vec<String> {
    let program = Path::new(ROOT).join("tests/no-panic/src").join(part);
    let program = fs::read_to_string(program).expect("the program's source can be read");
    let is_called = |name: &str| {
        callers.iter().any(|caller| {
            let calls = ["(", "::<"].map(|call| format!("{caller}{name}{call}"));
            calls.iter().any(|call| program.contains(call))
        })
    };
    let names = public_functions(file).into_iter();
    names.filter(|name| !is_called(name)).collect()
}

/// Returns the source files in a directory, and in those in it.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory of sources");
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    let files = paths.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    files.collect()
}

#[test]
fn the_program_calls_every_verb() {
    let root = Path::new(ROOT);
    let uncalled = |file: &Path, callers| uncalled("verbs.rs", file, callers);

    let locked = root.join("src/locked.rs");
    assert!(public_functions(&locked).contains(&"alloc".to_owned()));
    let mut missing = uncalled(&locked, ["$Heap::", "LockedHeap::"]);
    missing.extend(uncalled(&root.join("src/region.rs"), [".", "::"]));
    for file in sources(&root.join("src/heap")) {
        let values = ["request.rs", "budget.rs", "stats.rs"];
        let is_a_value = values.iter().any(|name| file.ends_with(name));
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

#[test]
fn the_program_calls_every_verb_of_the_shared_heap_and_the_backings() {
    for (part, directory, verb) in [
        ("shared.rs", "src/shared", "try_alloc"),
        ("scavenge.rs", "src/scavenge", "poll"),
        ("balloon.rs", "arch/virtio-balloon/src", "poll"),
        ("tables.rs", "arch/x86_64/src", "with_tables"),
    ] {
        let files = sources(&Path::new(ROOT).join(directory));
        let mut names = files.iter().flat_map(|file| public_functions(file));
        assert!(names.any(|name| name == verb), "the names are not found");
        let missing = files
            .iter()
            .flat_map(|file| uncalled(part, file, [".", "::"]));
        // An instruction that only a kernel may execute, behind a feature; and what
        // sets a shared heap up, for which see the program.
        let others = ["flush_local", "init"];
        let missing: Vec<_> = missing
            .filter(|name| !others.contains(&name.as_str()))
            .collect();
        assert!(missing.is_empty(), "not in {part}: {missing:?}");
    }
}

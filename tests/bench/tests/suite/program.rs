//! The program, from its command line to its exit code.

use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(arguments)
        .output()
        .expect("the program runs")
}

#[test]
fn a_small_selection_is_printed_as_json() {
    let out = bench(&[
        "--works",
        "w1",
        "--contenders",
        "null,bitmap",
        "--ranges",
        "1",
        "--rounds",
        "1",
        "--json",
    ]);
    assert!(out.status.success(), "{out:?}");
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(2));
    assert!(json["targets"].is_null());
}

#[test]
fn one_contender_alone_has_a_table_too() {
    for name in ["SharedHeap", "null", "bitmap"] {
        let chosen = ["--works", "w1", "--contenders", name];
        let out = bench(&[&chosen[..], &["--ranges", "1", "--rounds", "1"]].concat());
        assert!(out.status.success(), "{out:?}");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let (title, row) = (text.contains(name), text.contains("\nW1 pair, 1 GiB   "));
        assert!(title && row, "{name}:\n{text}");
    }
}

#[test]
fn what_does_not_exist_is_refused_with_code_2() {
    for arguments in [
        &["--contenders", "nobody"][..],
        &["--works", "w9"],
        &["--ranges", "0"],
        &["--works", "w8", "--traces", "/no/such/directory"],
        &["--works", "w7", "--instructions"],
        &["--works", "w1", "--svg", "/no/such/directory/picture.svg"],
    ] {
        let out = bench(arguments);
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {out:?}");
        assert!(
            out.stdout.is_empty() && !out.stderr.is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn without_valgrind_a_line_says_so() {
    for counts in ["--instructions", "--worst", "--checks"] {
        let out = Command::new(env!("CARGO_BIN_EXE_bench"))
            .arg(counts)
            .env("PATH", "/no/such/directory")
            .output()
            .expect("the program runs");
        assert_eq!(out.status.code(), Some(2));
        let told = String::from_utf8_lossy(&out.stderr);
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("valgrind is not installed"), "{told}");
    }
}

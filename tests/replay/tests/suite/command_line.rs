//! The command line, and outputs that cannot be written.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::common::{self, refused, replay, shipped};

fn with(options: &[&str]) -> String {
    refused(&replay(&shipped("compiler")).args(options).output().unwrap())
}

#[test]
fn wrong_options_are_one_line_and_exit_code_2() {
    let cases: [(&[&str], &str); 13] = [
        (&["--no-such-option"], "--no-such-option"),
        (&["another.pagetrace.gz"], "unexpected argument"),
        (&["--heap", "any"], "invalid value 'any'"),
        (&["--threads", "0"], "0 is not in 1..=64"),
        (&["--threads", "2"], "--threads needs --heap shared"),
        (
            &["--heap", "shared", "--map", "map.svg"],
            "the shared heap does not list",
        ),
        (&["--free", "luck"], "invalid value 'luck'"),
        (&["--peer", "nobody"], "invalid value 'nobody'"),
        (&["--release-after", "soon"], "invalid value 'soon'"),
        (&["--release-after", "0"], "invalid value '0'"),
        (&["--range-pages", "0"], "invalid value '0'"),
        (&["--map-grain", "3"], "power of two"),
        (&["--plot"], "a value is required"),
    ];
    for (options, why) in cases {
        let told = with(options);
        assert!(told.contains(why), "{options:?}: {told}");
    }
    let nothing = Command::new(env!("CARGO_BIN_EXE_replay")).output().unwrap();
    assert!(refused(&nothing).contains("TRACE.pagetrace.gz"));
}

#[test]
fn an_output_that_cannot_be_written_is_one_line_and_exit_code_2() {
    for option in ["--plot", "--map"] {
        let told = with(&[option, "/no/such/folder/picture.svg"]);
        assert!(told.contains("cannot be written"), "{told}");
        // Opens, and then has no room.
        let told = with(&["--rounds", "0", option, "/dev/full"]);
        assert!(told.contains("cannot be written"), "{told}");
    }
    let done = replay(&shipped("compiler"))
        .args(["--rounds", "0"])
        .stdout(File::create("/dev/full").unwrap())
        .output()
        .unwrap();
    assert!(refused(&done).contains("cannot be printed"));
}

#[test]
fn a_bad_trace_leaves_older_pictures_alone() {
    let picture = common::file("older.svg", b"an older picture");
    let trace = common::file("bad-for-picture", b"");
    let done = replay(&trace).arg("--plot").arg(&picture).output().unwrap();
    refused(&done);
    assert_eq!(std::fs::read(picture).unwrap(), b"an older picture");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = replay(&shipped("compiler"))
        .args(["--rounds", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut told = String::new();
    child.stderr.unwrap().read_to_string(&mut told).unwrap();
    assert_eq!((status.code(), &told[..]), (Some(0), ""));
}

#[test]
fn help_names_every_option_and_the_exit_codes() {
    let done = Command::new(env!("CARGO_BIN_EXE_replay"))
        .arg("--help")
        .output()
        .unwrap();
    assert!(done.status.success());
    let told = String::from_utf8(done.stdout).unwrap();
    for word in [
        "--heap",
        "--free",
        "--release-after",
        "--peer",
        "--json",
        "--plot",
        "--map",
        "--range-pages",
        "Exit code",
    ] {
        assert!(told.contains(word), "{word}");
    }
}

#[test]
fn without_json_there_is_a_table_with_units() {
    let done = replay(&shipped("compiler"))
        .args(["--peer", "buddy", "--rounds", "1"])
        .output()
        .unwrap();
    assert!(done.status.success());
    assert_eq!(
        done.stderr, b"",
        "no progress bar where there is no terminal"
    );
    let table = String::from_utf8(done.stdout).unwrap();
    for words in [
        "compiler.pagetrace.gz on PageHeap, freed by handle",
        "of buddy's",
        " MiB",
        " ns",
        " pages",
        " s\n",
    ] {
        assert!(table.contains(words), "{words:?} in\n{table}");
    }
    assert!(table.lines().all(|line| line.len() <= 120), "{table}");
}

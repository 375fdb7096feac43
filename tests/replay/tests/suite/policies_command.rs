//! `replay policies` and `replay calibrate` as a whole: what they are told, what
//! they print, what they draw, and what they refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use roxmltree::Document;
use serde_json::Value;

use crate::common::{self, refused, scratch, shipped};

fn replay(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
    command.args(arguments).output().unwrap()
}

/// A small trace: some megabytes that come and go.
fn small(name: &str) -> PathBuf {
    let mut trace = common::Writer::new(4096);
    for _ in 0..5 {
        let blocks: Vec<_> = (0..40).map(|_| trace.alloc(64)).collect();
        trace.tick(40);
        blocks.iter().for_each(|&block| trace.free(block));
        trace.tick(400);
    }
    common::file(&format!("{name}.pagetrace.gz"), &trace.gzip())
}

fn told(arguments: &[&str]) -> String {
    let done = replay(arguments);
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {error}");
    assert_eq!(error, "", "nothing on standard error");
    String::from_utf8(done.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&told(arguments)).unwrap()
}

#[test]
fn every_policy_is_in_the_json() {
    let trace = small("policies-json");
    for heap in ["page", "shared"] {
        let report = json(&[
            "policies",
            trace.to_str().unwrap(),
            "--json",
            "--heap",
            heap,
        ]);
        assert_eq!(report["heap"], heap);
        assert_eq!(report["prices"]["take_huge_ns"], 350_000);
        let load = &report["loads"][0];
        assert_eq!(load["name"], "policies-json");
        assert_eq!(load["ms"], 2200);
        let policies = load["policies"].as_array().unwrap();
        let count = |key: &str| policies.iter().filter(|policy| policy[key] == true).count();
        assert_eq!((count("is_fixed"), count("is_ours")), (16, 3));
        for policy in policies {
            assert_eq!(policy["wrong"], 0, "{policy}");
            assert_eq!(policy["refused"], 0, "{policy}");
            let of_fixed = policy["of_fixed"].is_number();
            assert_eq!(of_fixed, policy["is_fixed"] == false, "{policy}");
        }
        let never = &policies[0];
        assert_eq!(never["policy"], "never");
        assert_eq!(never["cpu_ms"], 0.0);
        assert!(never["above_gib_s"].as_f64().unwrap() > 0.0);
        assert!(never["drain_ms"].is_null());
        let always = &policies[1];
        assert!(always["cpu_ms"].as_f64().unwrap() > 0.0);
        assert!(always["above_gib_s"].as_f64() < never["above_gib_s"].as_f64());
    }
}

#[test]
fn the_table_has_a_line_for_each_policy_and_fits_a_screen() {
    let trace = small("policies-table");
    let table = told(&["policies", trace.to_str().unwrap(), "--take-huge", "99.5"]);
    for words in [
        "on SharedHeap",
        "to take back 2 MiB 99.5",
        "policies-table: made by hand",
        "GiB s",
        "\n  never ",
        "\n  always ",
        "\n  after 10 ms ",
        "\n  after 30.0 s ",
        "\n  Go 1.13 ",
        "\n  decay 10 s ",
        "\n  page reporting ",
        "\n  eager ",
        "\n  balanced ",
        "\n  keep ",
        "\n  balanced: ",
    ] {
        assert!(table.contains(words), "{words:?} in\n{table}");
    }
    assert!(table.lines().all(|line| line.len() <= 120), "{table}");
}

#[test]
fn a_limit_is_told_of_below_the_table_and_in_the_json_and_its_refusals_are_no_failure() {
    let trace = small("policies-limit");
    let trace = trace.to_str().unwrap();
    // Five times 40 blocks of 256 KiB, of which 10 fit.
    let limited = ["policies", trace, "--limit", "2.5"];
    let table = told(&limited);
    for words in ["no more than 2.50 MiB resident", "over the", "most"] {
        assert!(table.contains(words), "{words:?} in\n{table}");
    }
    assert!(table.lines().all(|line| line.len() <= 120), "{table}");
    assert_eq!(table.matches("\n  balanced ").count(), 2, "{table}");
    let report = json(&[&limited[..], &["--json"]].concat());
    assert_eq!(report["limit_bytes"], 5 << 19);
    let policies = report["loads"][0]["policies"].as_array().unwrap();
    for policy in policies {
        let limit = &policy["limit"];
        assert_eq!(limit["refused"], 5 * 30, "{policy}");
        assert_eq!(limit["most_bytes"], 5 << 19, "{policy}");
        assert_eq!(limit["over_bytes"], 0, "{policy}");
        assert_eq!(policy["refused"], 0, "{policy}");
    }
    assert!(json(&["policies", trace, "--json"])["loads"][0]["policies"][0]["limit"].is_null());
}

fn texts(document: &Document<'_>) -> Vec<String> {
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text"));
    texts
        .filter_map(|node| node.text())
        .map(|text| text.trim().into())
        .collect()
}

fn draw(folder: &Path, trace: &Path) {
    let folder = folder.to_str().unwrap();
    told(&[
        "policies",
        trace.to_str().unwrap(),
        trace.to_str().unwrap(),
        "--plots",
        folder,
    ]);
}

#[test]
fn there_are_two_pictures_of_each_load_and_neither_is_empty() {
    let folder = scratch("policies-pictures").join("made");
    let _ = fs::remove_dir_all(&folder);
    draw(&folder, &shipped("compiler"));
    // The second trace of a name does not overwrite the first's.
    for name in ["compiler", "compiler-2"] {
        let memory = fs::read_to_string(folder.join(format!("{name}-memory.svg"))).unwrap();
        let memory = Document::parse(&memory).unwrap();
        let lines = memory
            .descendants()
            .filter(|node| node.has_tag_name("polyline"));
        assert!(lines.count() > 12);
        let seen = texts(&memory);
        for word in [
            "live",
            "fixed delays",
            "never",
            "balanced",
            "time in seconds",
        ] {
            assert!(
                seen.iter().any(|text| text.contains(word)),
                "{word}: {seen:?}"
            );
        }
        common::assert_nothing_is_clipped(&memory);

        let costs = fs::read_to_string(folder.join(format!("{name}-costs.svg"))).unwrap();
        let costs = Document::parse(&costs).unwrap();
        let marks = costs
            .descendants()
            .filter(|node| node.has_tag_name("circle"));
        // The fixed delays, and two for each other: a white one below.
        assert_eq!(marks.count(), 16 + 2 * 8);
        let seen = texts(&costs);
        for word in ["CPU time", "GiB s", "page reporting", "keep", "10 ms"] {
            assert!(
                seen.iter().any(|text| text.contains(word)),
                "{word}: {seen:?}"
            );
        }
        common::assert_nothing_is_clipped(&costs);
    }
}

#[test]
fn what_memory_costs_is_measured_as_the_prices_are_named() {
    let measured = json(&["calibrate", "--rounds", "1", "--json"]);
    for price in [
        "release_huge_ns",
        "release_page_ns",
        "release_call_ns",
        "take_huge_ns",
        "take_page_ns",
    ] {
        assert!(measured["prices"][price].is_u64(), "{measured}");
    }
    assert!(measured["prices"]["take_huge_ns"].as_u64() > Some(0));
    assert_eq!(measured["rounds"], 1);
    let table = told(&["calibrate", "--rounds", "1"]);
    assert!(table.contains("--take-page"), "{table}");
}

#[test]
fn what_is_not_valid_is_one_line_and_exit_code_2() {
    let trace = small("policies-wrong");
    let trace = trace.to_str().unwrap();
    let mut fine = common::Writer::new(1024);
    fine.alloc(1);
    let fine = common::file("policies-fine.pagetrace.gz", &fine.gzip());
    let none = common::file("policies-none.pagetrace.gz", b"nothing");
    let cases: [(&[&str], &str); 14] = [
        (&["policies", "--no-such-option"], "--no-such-option"),
        (&["policies", "/no/such/trace"], "cannot be opened"),
        (&["policies", none.to_str().unwrap()], "policies-none"),
        (&["policies", fine.to_str().unwrap()], "pages of 1024 bytes"),
        (
            &["policies", trace, "--heap", "locked"],
            "invalid value 'locked'",
        ),
        (&["policies", trace, "--take-huge", "much"], "microseconds"),
        (
            &["policies", trace, "--release-page", "-1"],
            "unexpected argument '-1'",
        ),
        (
            &["policies", trace, "--release-call", "nan"],
            "microseconds",
        ),
        (
            &["policies", trace, "--plots", "/dev/null/plots"],
            "cannot be written",
        ),
        (&["policies", trace, "--limit", "much"], "MiB from 0"),
        (&["policies", trace, "--limit", "1e10"], "MiB from 0"),
        (&["policies", trace, "--plots"], "a value is required"),
        (&["calibrate", "--rounds", "0"], "0 is not in"),
        (&["calibrate", trace], "unexpected argument"),
    ];
    for (arguments, why) in cases {
        let told = refused(&replay(arguments));
        assert!(told.contains(why), "{arguments:?}: {told}");
    }
}

#[test]
fn help_names_the_commands_and_what_they_take() {
    let help = told(&["--help"]);
    assert!(
        help.contains("policies") && help.contains("calibrate"),
        "{help}"
    );
    let help = told(&["policies", "--help"]);
    for word in [
        "--churn",
        "--drain",
        "--limit",
        "--plots",
        "--take-huge",
        "Exit code",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

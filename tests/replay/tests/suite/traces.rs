//! Whole traces through the program: nothing refused, nothing lost, and the
//! memory really given back.

use crate::common::{self, json, random_trace, shared, shipped};
use serde_json::Value;

fn number(report: &Value, key: &str) -> u64 {
    report[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} is {}", report[key]))
}

/// What holds of every good replay.
fn assert_good(report: &Value) {
    for key in ["verify_errors", "refused", "refused_frees", "count_errors"] {
        assert_eq!(number(report, key), 0, "{key} of {report:#}");
    }
    assert_eq!(report["check_error"], Value::Null);
    assert!(number(report, "verified_pages") >= number(report, "allocs"));

    // What is resident now and was not before is what is alive.
    let live = number(report, "live_end_bytes");
    let grown = number(report, "rss_end_bytes").abs_diff(number(report, "baseline_rss_bytes"));
    let off = grown.abs_diff(live);
    assert!(off <= (live / 100 * 3).max(8 << 20), "{report:#}");
    assert!(number(report, "rss_peak_bytes") >= number(report, "peak_live_bytes"));
    let managed = number(report, "range_pages") * number(report, "page_size");
    let rest = managed - live - number(report, "released_bytes");
    assert!(rest < 64 << 10, "{rest} bytes are idle and not released");
}

#[test]
fn the_compiler_trace_replays_on_either_heap_freed_either_way() {
    for heap in ["page", "locked"] {
        for free in ["handle", "address"] {
            let options = ["--heap", heap, "--free", free, "--rounds", "1"];
            let report = json(&shipped("compiler"), &options);
            assert_good(&report);
            assert_eq!(report["heap"], heap);
            assert_eq!(report["free"], free);
            assert_eq!(number(&report, "allocs"), 108_847);
            assert_eq!(number(&report, "frees"), 108_748);
            assert_eq!(number(&report, "peak_live_bytes"), 15_705 * 8192);
            assert_eq!(number(&report, "live_end_bytes"), 135 * 8192);
            let selected = format!("ns_per_event_by_{free}");
            assert_eq!(report["ns_per_event"], report[&selected]);
        }
    }
}

/// What holds of a good replay on the shared heap: what is resident and not alive
/// is no more than the free pages of chunks with a live page in them.
fn assert_good_shared(report: &Value, threads: u64) {
    assert_eq!(report["heap"], "shared");
    assert_eq!(report["free"], "address");
    assert_eq!(number(report, "threads"), threads);
    for key in ["verify_errors", "refused", "refused_frees", "count_errors"] {
        assert_eq!(number(report, key), 0, "{key} of {report:#}");
    }
    assert_eq!(report["check_error"], Value::Null);
    assert!(number(report, "verified_pages") >= number(report, "allocs"));
    let managed = number(report, "range_pages") * number(report, "page_size");
    let resident = managed - number(report, "released_bytes");
    assert!(resident >= number(report, "live_end_bytes"));
    let grown = number(report, "rss_end_bytes").abs_diff(number(report, "baseline_rss_bytes"));
    // Huge pages that the system makes of what was touched in part.
    assert!(grown <= resident + (8 << 20), "{report:#}");
}

#[test]
fn threads_that_share_a_heap_replay_the_compiler_trace() {
    for threads in ["1", "2", "5"] {
        let options = ["--heap", "shared", "--threads", threads, "--rounds", "1"];
        let report = json(&shipped("compiler"), &options);
        assert_good_shared(&report, threads.parse().unwrap());
        assert_eq!(number(&report, "allocs"), 108_847);
        assert_eq!(number(&report, "live_end_bytes"), 135 * 8192);
        assert_eq!(report["ns_per_event"], report["ns_per_event_by_address"]);
        assert_eq!(report["ns_per_event_by_handle"], Value::Null);
    }
}

#[test]
fn two_threads_that_share_a_heap_replay_traces_of_two_cpus() {
    // The third, of file trees, has six times the pages of these two.
    for trace in [Some(shipped("redis")), shared("build")]
        .into_iter()
        .flatten()
    {
        let options = ["--heap", "shared", "--threads", "2", "--rounds", "0"];
        assert_good_shared(&json(&trace, &options), 2);
    }
    let options = [
        "--heap",
        "shared",
        "--threads",
        "2",
        "--release-after",
        "300",
    ];
    assert_good_shared(&json(&shipped("redis"), &options), 2);
}

#[test]
fn the_redis_trace_replays() {
    let report = json(&shipped("redis"), &["--rounds", "0"]);
    assert_good(&report);
    assert_eq!(number(&report, "events"), 886_439);
    assert_eq!(number(&report, "allocs"), 394_057);
    assert_eq!(number(&report, "frees"), 338_660);
    assert_eq!(number(&report, "partial_frees"), 11);
    assert_eq!(number(&report, "peak_live_bytes"), 317_163 * 4096);
    assert_eq!(number(&report, "live_end_bytes"), 58_113 * 4096);
}

#[test]
fn the_build_trace_replays() {
    if let Some(trace) = shared("build") {
        let report = json(&trace, &["--rounds", "0", "--release-after", "500"]);
        assert_good(&report);
        assert_eq!(number(&report, "peak_live_bytes"), 125_736 * 4096);
    }
}

#[test]
fn the_files_trace_replays() {
    if let Some(trace) = shared("files") {
        let report = json(&trace, &["--rounds", "0", "--free", "address"]);
        assert_good(&report);
        assert_eq!(number(&report, "partial_frees"), 525);
        assert_eq!(number(&report, "peak_live_bytes"), 1_171_367 * 4096);
    }
}

#[test]
fn the_report_has_every_key_and_times_for_every_contender() {
    let report = json(&shipped("compiler"), &["--peer", "buddy"]);
    for key in [
        "trace",
        "heap",
        "events",
        "allocs",
        "frees",
        "partial_frees",
        "refused",
        "verify_errors",
        "ns_per_event",
        "peak_live_bytes",
        "baseline_rss_bytes",
        "rss_peak_bytes",
        "rss_end_bytes",
        "live_end_bytes",
        "released_bytes",
        "free_huge_pages_end",
        "spans_peak",
        "metadata_bytes",
    ] {
        assert!(!report[key].is_null(), "{key} in {report:#}");
    }
    assert_eq!(report["trace"], "compiler.pagetrace.gz");
    assert_eq!(report["peer"], "buddy");
    assert_eq!(number(&report, "peer_refused"), 0);
    for key in [
        "ns_per_event",
        "ns_per_event_by_handle",
        "ns_per_event_by_address",
        "peer_ns_per_event",
        "null_ns_per_event",
        "ratio_by_handle",
        "ratio_by_address",
    ] {
        let value = report[key].as_f64();
        assert!(
            value.is_some_and(|value| value > 0.0),
            "{key} in {report:#}"
        );
    }
}

#[test]
fn memory_that_lay_idle_is_given_back_during_the_trace() {
    let trace = shipped("compiler");
    let at_end = json(&trace, &["--rounds", "0"]);
    let early = json(&trace, &["--rounds", "0", "--release-after", "100"]);
    assert_good(&early);
    assert_eq!(early["release_after_ms"], 100);
    // The same peak, but what was given back early is taken and given again.
    assert!(number(&early, "given_back_bytes") > number(&at_end, "given_back_bytes"));
    assert!(number(&early, "unused_calls") > number(&at_end, "unused_calls"));
}

#[test]
fn blocks_freed_in_parts_replay_on_pages_of_every_size() {
    for (seed, page_size) in [
        (1, 1024),
        (2, 2048),
        (3, 4096),
        (4, 16 << 10),
        (5, 64 << 10),
    ] {
        let trace = random_trace(seed, page_size, 6000);
        let path = common::file(&format!("random-{page_size}"), &trace.gzip());
        for free in ["handle", "address"] {
            let options = [
                "--free",
                free,
                "--release-after",
                "7",
                "--rounds",
                "1",
                "--peer",
                "buddy",
            ];
            let report = json(&path, &options);
            for key in ["verify_errors", "refused", "refused_frees", "count_errors"] {
                assert_eq!(number(&report, key), 0, "{key} of {report:#}");
            }
            assert_eq!(report["check_error"], Value::Null);
            assert_eq!(number(&report, "partial_frees"), trace.partial_frees);
            assert!(trace.partial_frees > 500, "{}", trace.partial_frees);
            assert_eq!(number(&report, "peer_refused"), 0);
        }
    }
}

#[test]
fn a_heap_that_is_too_small_refuses_and_the_program_says_so() {
    let done = common::replay(&shipped("compiler"))
        .args(["--json", "--rounds", "0", "--range-pages", "10000"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(number(&report, "refused") > 0);
    assert_eq!(number(&report, "verify_errors"), 0);
    let why = report["first_refusal"].as_str().unwrap();
    assert!(why.contains("no free run"), "{why}");

    let done = common::replay(&shipped("compiler"))
        .args(["--json", "--rounds", "0", "--slots", "100"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let why = report["first_refusal"].as_str().unwrap();
    assert!(why.contains("no slot"), "{why}");
}

#[test]
fn a_scavenger_gives_all_huge_pages_back_by_its_deadline() {
    for heap in ["page", "locked", "shared"] {
        let done = common::replay(&shipped("compiler"))
            .args(["--json", "--rounds", "0", "--heap", heap])
            .args(["--scavenge", "balanced"])
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(0));
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(report["scavenge"], "balanced");
        assert_eq!(number(&report, "idle_huge_pages_end"), 0, "{heap}");
        assert_eq!(number(&report, "verify_errors"), 0, "{heap}");
        // Most of what was resident at the peak is the system's again.
        let [before, peak, end] = ["baseline_rss_bytes", "rss_peak_bytes", "rss_end_bytes"]
            .map(|key| number(&report, key));
        assert!(
            end - before < (peak - before) * 6 / 10,
            "{heap}: {report:#}"
        );
    }
}

#[test]
fn an_empty_trace_and_one_without_time_replay() {
    let empty = common::Writer::new(4096);
    let path = common::file("nothing-happens", &empty.gzip());
    assert_good(&json(&path, &["--peer", "buddy"]));

    let mut timeless = common::Writer::new(4096);
    let block = timeless.alloc(10);
    timeless.alloc(5);
    timeless.free(block);
    let path = common::file("no-time", &timeless.gzip());
    let plot = common::scratch("no-time.svg");
    let report = json(&path, &["--plot", plot.to_str().unwrap()]);
    assert_good(&report);
    assert!(std::fs::read_to_string(plot).unwrap().ends_with("</svg>\n"));
}

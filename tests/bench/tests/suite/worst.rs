//! Worst cases under callgrind, where valgrind is installed.

use std::path::Path;

use spanheap_bench::worst::{Heap, SCENES, run};

use crate::common::PAGES;

#[test]
#[ignore = "a minute under callgrind, for `tests/run full`"]
fn every_scene_is_played_and_its_longest_call_and_hold_are_counted() {
    let program = Path::new(env!("CARGO_BIN_EXE_bench"));
    let worst = match run(program, PAGES, "", |_| {}) {
        Err(why) if why.contains("not installed") => {
            eprintln!("skipped: {why}");
            return;
        }
        worst => worst.expect("callgrind counts"),
    };
    assert_eq!(worst.troubles, [""; 0]);
    let heaps = SCENES.iter().flat_map(|scene| scene.heaps);
    assert!(heaps.eq(worst.rows.iter().map(|row| &row.heap)), "{worst}");
    for row in &worst.rows {
        // A part of it; none if no lock is taken.
        assert!(row.held.is_none_or(|held| held < row.longest), "{row:?}");
        assert_eq!(row.held.is_some(), row.heap == Heap::Shared, "{row:?}");
    }
    let longest = worst.rows.iter().max_by_key(|row| row.held).expect("rows");
    println!(
        "figures: worst cases: {} calls, {PAGES} pages; the longest hold of a lock: \
         {} instructions, {}, where {}",
        worst.rows.len(),
        longest.held.unwrap_or(0),
        longest.verb,
        longest.scene,
    );
    assert!(worst.to_string().contains("grows with"), "{worst}");
    let json = serde_json::to_value(&worst).expect("plain values");
    assert_eq!(json["rows"][0]["heap"], "PageHeap");
    assert_eq!(json["rows"][0]["longest"], worst.rows[0].longest);
}

#[test]
#[ignore = "a minute under callgrind, for `tests/run full`"]
fn what_grows_with_the_logarithm_grows_no_faster() {
    let program = Path::new(env!("CARGO_BIN_EXE_bench"));
    let of = |pages| match run(program, pages, "checkerboard", |_| {}) {
        Err(why) if why.contains("not installed") => {
            eprintln!("skipped: {why}");
            None
        }
        worst => Some(worst.expect("callgrind counts").rows),
    };
    let (Some(small), Some(large)) = (of(PAGES), of(8 * PAGES)) else {
        return;
    };
    for (small, large) in small.iter().zip(&large) {
        if small.bound == "log n" {
            assert!(large.longest < 3 * small.longest, "{small:?} {large:?}");
        }
    }
}

//! What is counted under callgrind, where valgrind is installed.

use spanheap_bench::adaptor::name;
use spanheap_bench::contest::Terms;
use spanheap_bench::count::{Plan, Task, run};
use spanheap_bench::figure::{Figure, Full};
use spanheap_bench::work::Work;

use crate::common::{PAGES, terms};

const FULL: Full = Full(70);

#[test]
fn the_longest_hold_is_counted_of_whoever_has_a_lock() {
    let heaps = [name::LOCKED_HEAP, name::SHARED_HEAP];
    let terms = Terms {
        contenders: heaps.map(Into::into).to_vec(),
        ..terms()
    };
    let plan = Plan {
        program: env!("CARGO_BIN_EXE_bench").into(),
        tasks: vec![Task::Operations(Work::Mixed(FULL)), Task::Holds(FULL)],
        pages: PAGES,
    };
    let counts = match run(&terms, &plan, |_| {}) {
        Err(why) if why.contains("not installed") => {
            eprintln!("skipped: {why}");
            return;
        }
        counts => counts.expect("callgrind counts"),
    };
    assert_eq!(counts.troubles, [""; 0]);
    let of = |wanted: Figure| {
        let mut rows = counts.rows.iter();
        let found = rows.find(|(figure, _)| *figure == wanted);
        &found.expect("a row").1
    };
    let (operation, held) = (of(Figure::Mixed(FULL)), of(Figure::MixedHeld(FULL)));
    // The null allocator has none.
    assert!(held.keys().eq(&heaps), "{counts}");
    for heap in heaps {
        // One hold, and not all of them together.
        let (held, mean) = (held[heap], operation[heap]);
        assert!(held > mean && held < 100.0 * mean, "{heap}: {counts}");
    }
    assert!(counts.to_string().contains("longest lock held"), "{counts}");
    let json = serde_json::to_value(&counts).expect("plain values");
    let mut rows = json["rows"].as_array().expect("rows").iter();
    let row = rows.find(|row| row[0] == "W4 70%, longest lock held");
    assert_eq!(
        row.expect("a row")[1][name::SHARED_HEAP],
        held[name::SHARED_HEAP]
    );
}

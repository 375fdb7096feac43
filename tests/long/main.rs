//! A long run: mixed work on all three heaps, a billion calls of it in full.
//!
//! Single pages mostly, runs of any order of magnitude, alignments, windows, places;
//! freed by handle, by address and in parts, and wrongly; shrunk and grown; released
//! within budgets, and by a scavenger. The backing refuses at times, there is a limit
//! at times, and at times everything is used up. A fifth of it is done on `PageHeap`, a
//! fifth on `LockedHeap` and three fifths on `SharedHeap`; on those by two, three and
//! four threads in turn, which free each other's pages, move between CPUs and take
//! them offline. Each page is stamped when it is handed out, and its stamp verified
//! when it is freed.
//!
//! Half of each is done with physical pages of one page, half with larger ones and
//! few slots. `SPANHEAP_SEED` chooses another seed; what threads do to each other is
//! another thing in every run.
//!
//! From the bottom up: `random`, `setup` (regions and books), `backing` (bits that it checks),
//! `verbs` (of all heaps), `tally`, `keeper` (the scavenger), `worker` and its `steps`,
//! `lap` (one heap from start to end).

mod backing;
mod keeper;
mod lap;
mod random;
mod setup;
mod steps;
mod tally;
mod verbs;
mod worker;

use spanheap::{LockedHeap, PageHeap, SharedHeap};

use backing::CheckedBacking;
use lap::{Lap, Outcome};
use setup::{Books, Claimed, SETUPS};

/// As many threads as there ever are.
const THREADS: usize = 4;

/// How much of the work is done on which heap, in tenths.
const SHARES: [(&str, u64); 3] = [("PageHeap", 2), ("LockedHeap", 2), ("SharedHeap", 6)];

/// Does all of it on one kind of heap, half of it with each setup. Where it fails, what
/// was printed last says on which.
fn half_and_half(heap: &str, lap: Lap) -> Outcome {
    let mut all = Outcome::default();
    for (number, setup) in SETUPS.into_iter().enumerate() {
        // To the shared heap's books a chunk is one span.
        let setup = setup.slots_over(if heap == "SharedHeap" { 6 } else { 1 });
        println!("{heap}, {setup:?}");
        let mut books = Books::new(&setup);
        let window = books.window;
        let backing = CheckedBacking::new(setup.physical, setup.zeroes);
        let lap = Lap {
            operations: lap.operations / 2,
            seed: lap.seed ^ (number as u64) << 32,
            ..lap
        };
        let outcome = match heap {
            "PageHeap" => {
                let heap = PageHeap::new(window, books.lend(), &backing).expect("books");
                lap.run(vec![heap], window, &backing)
            }
            "LockedHeap" => {
                let heap = LockedHeap::new(window, books.lend(), &backing).expect("books");
                lap.run(vec![&heap; THREADS], window, &backing)
            }
            _ => {
                let books = books.lend_shared();
                let heap = SharedHeap::new(window, books, &backing, Claimed).expect("books");
                lap.run(vec![&heap; THREADS], window, &backing)
            }
        };
        all.add(&outcome);
    }
    all
}

/// Runs so many operations in all, and returns the line that says so.
fn run(operations: u64, between: u64) -> String {
    let seed = random::seed();
    println!("seed {seed}");
    let (mut all, mut parts) = (Outcome::default(), Vec::new());
    for (heap, tenths) in SHARES {
        let operations = operations / 10 * tenths;
        let outcome = half_and_half(
            heap,
            Lap {
                operations,
                between,
                seed,
            },
        );
        outcome.tally.assert_saw_everything(heap != "SharedHeap");
        parts.push(format!("{heap} {}", millions(operations)));
        all.add(&outcome);
    }
    assert_eq!(all.tally.calls(), operations);
    assert_eq!(all.lost, 0, "pages");
    format!(
        "figures: long run: {} operations ({}), {} checks, {} pages lost, seed {seed}",
        millions(all.tally.calls()),
        parts.join(", "),
        all.checks,
        all.lost
    )
}

fn millions(operations: u64) -> String {
    format!("{} M", operations as f64 / 1e6)
}

#[test]
fn two_million_operations_lose_no_page() {
    println!("{}", run(2_000_000, 50_000));
}

#[test]
#[ignore = "minutes in a release build"]
fn a_billion_operations_lose_no_page() {
    println!("{}", run(1_000_000_000, 2_500_000));
}

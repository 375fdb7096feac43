//! Random sequences of every verb against the naive model, over a grid of page,
//! physical page and huge page sizes.
//!
//! The seed is fixed, so that a push passes or fails by its own merit;
//! `SPANHEAP_SEED` and `SPANHEAP_CASES` choose another, and more. A failure is
//! shrunk, and printed step by step: before, operation, after.

mod model;

use std::cell::RefCell;

use model::{Kind, Locked, Op, Outcome, Owned, PAGE, Seen, Setup, operations, run, runner, setups};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError};
use spanheap::Residency;

/// Physical pages of half a page, one, two and eight pages.
const PHYSICAL: [u64; 4] = [PAGE / 2, PAGE, 2 * PAGE, 8 * PAGE];

/// Setups with these page sizes, and operations for each.
fn stories(physical: u64, huge: u64) -> impl Strategy<Value = (Setup, Vec<Op>)> {
    setups(physical, huge).prop_flat_map(|setup| {
        let ops = operations(&setup, 60);
        (Just(setup), ops)
    })
}

/// Runs so many stories, and panics with the shortest one that fails.
fn prove<K: Kind>(
    cases: u32,
    salt: [u64; 2],
    stories: &impl Strategy<Value = (Setup, Vec<Op>)>,
    seen: &RefCell<Seen>,
) {
    let result = runner(cases, salt).run(stories, |(setup, ops)| {
        run::<K>(&setup, &ops, &mut seen.borrow_mut()).map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, minimal)) => panic!("{why}\n{minimal:?}"),
        Err(TestError::Abort(why)) => panic!("no cases: {why}"),
    }
}

/// Runs random sequences over every physical page size with one huge page size,
/// and fails unless every verb has ended in every way it can.
fn walk<K: Kind>(huge: u64, cases: u32) {
    let seen = RefCell::new(Seen::default());
    for physical in PHYSICAL {
        prove::<K>(cases, [physical, huge], &stories(physical, huge), &seen);
    }
    assert_saw_everything(&seen.into_inner());
}

/// A walk that never gets anywhere would prove nothing.
fn assert_saw_everything(seen: &Seen) {
    use Outcome::{Done, Joined, NoRun, NoSlot, Refused, Wrong};
    let wanted: [(&str, &[Outcome]); 12] = [
        ("alloc", &[Done, Joined, Wrong, NoRun, NoSlot, Refused]),
        (
            "alloc aligned",
            &[Done, Joined, Wrong, NoRun, NoSlot, Refused],
        ),
        (
            "alloc within",
            &[Done, Joined, Wrong, NoRun, NoSlot, Refused],
        ),
        (
            "alloc zeroed",
            &[Done, Joined, Wrong, NoRun, NoSlot, Refused],
        ),
        ("alloc_at", &[Done, Joined, Wrong, NoSlot, Refused]),
        ("free", &[Done, Wrong]),
        ("free_at", &[Done, Wrong]),
        ("free_part", &[Done, Wrong, NoSlot]),
        ("free_part_at", &[Done, Wrong, NoSlot]),
        ("shrink", &[Done, Wrong, NoSlot]),
        ("grow", &[Done, Joined, Wrong, Refused]),
        ("release", &[Done, Refused, NoSlot]),
    ];
    for (verb, outcomes) in wanted {
        for &outcome in outcomes {
            assert!(
                seen.count(verb, outcome) > 0,
                "no {verb} has ended as {outcome:?}: {seen:?}"
            );
        }
    }
    println!("{seen:?}");
}

#[test]
fn random_sequences_agree_with_the_model_without_huge_pages() {
    walk::<Owned>(0, 400);
}

#[test]
fn random_sequences_agree_with_the_model_with_small_huge_pages() {
    walk::<Owned>(8 * PAGE, 400);
}

#[test]
fn random_sequences_agree_with_the_model_with_large_huge_pages() {
    walk::<Owned>(256 * PAGE, 120);
}

#[test]
fn a_locked_heap_agrees_with_the_model() {
    walk::<Locked>(8 * PAGE, 200);
}

#[test]
fn long_sequences_over_many_spans_agree_with_the_model() {
    let stories = (prop::sample::select(&PHYSICAL[..3]), any::<bool>())
        .prop_map(|(physical, released)| {
            let residency = match released {
                true => Residency::Released,
                false => Residency::Resident,
            };
            Setup {
                physical,
                huge: 8 * PAGE,
                grain: 4,
                ..Setup::plain(320, residency)
            }
        })
        .prop_flat_map(|setup| {
            let ops = operations(&setup, 800);
            (Just(setup), ops)
        });
    prove::<Owned>(24, [0, 0], &stories, &RefCell::new(Seen::default()));
}

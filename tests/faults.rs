//! Faults, one at a time: the backing fails at each hook call of recorded
//! sequences, and the pool has too few slots at each size from the smallest.
//!
//! The pair compares the whole state after every operation, failed ones
//! included, so that "nothing has changed" is checked by the model. Here is
//! what only a replay can show: that the fault is met, that the same operation
//! succeeds afterwards, and that whatever is in use can still be freed.

mod model;

use model::{Kind, Locked, Op, Outcome, Owned, PAGE, Pair, Seen, Setup, cases, recorded, run};

/// Every combination of a physical and a huge page of the grid, but for huge
/// pages too large to be met in a short sequence.
const SIZES: [(u64, u64); 6] = [
    (PAGE / 2, 8 * PAGE),
    (PAGE, 0),
    (PAGE, 8 * PAGE),
    (2 * PAGE, 8 * PAGE),
    (8 * PAGE, 0),
    (8 * PAGE, 8 * PAGE),
];

const fn succeeds(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Done | Outcome::Joined)
}

/// Runs a sequence without a fault. Returns how each operation ended, and how
/// many hook calls there were that could have failed.
fn clean<K: Kind>(setup: &Setup, ops: &[Op]) -> Result<(Vec<Outcome>, u64), String> {
    let mut books = setup.books();
    let mut pair = Pair::<K::Heap<'_>>::new(setup, &mut books)?;
    let mut late = setup.late.clone();
    let outcomes = ops
        .iter()
        .map(|op| op.apply(&mut pair, &mut late))
        .collect::<Result<_, _>>()?;
    Ok((outcomes, pair.fake.fallible_calls()))
}

/// Runs a sequence with one fault, and the operation that meets it once more.
fn with_fault<K: Kind>(
    setup: &Setup,
    ops: &[Op],
    clean: &[Outcome],
    nth: u32,
    done: usize,
) -> Result<(), String> {
    let mut books = setup.books();
    let mut pair = Pair::<K::Heap<'_>>::new(setup, &mut books)?;
    let mut late = setup.late.clone();
    pair.fake.fail_nth(nth, done);
    let mut was_met = false;
    for (op, &clean) in ops.iter().zip(clean) {
        let op = op.fixed(&pair);
        let outcome = op.apply(&mut pair, &mut late)?;
        if was_met || !pair.fake.has_failed() {
            continue;
        }
        was_met = true;
        // Growth that is refused leaves no run; everything else says so.
        if !matches!(outcome, Outcome::Refused | Outcome::NoRun) {
            return Err(format!("{op:?} met the fault, and is {outcome:?}"));
        }
        let again = op.apply(&mut pair, &mut late)?;
        if again != clean && !(succeeds(again) && succeeds(clean)) {
            return Err(format!("{op:?} is {again:?} after a fault, else {clean:?}"));
        }
    }
    match was_met {
        true => pair.finish(),
        false => Err("no operation met the fault".into()),
    }
}

/// Lets each hook call of recorded sequences fail once, alone.
fn fail_everywhere<K: Kind>(count: u32) {
    let mut faults = 0;
    for (physical, huge) in SIZES {
        for (setup, mut ops) in recorded(physical, huge, cases(count), 40) {
            let setup = Setup {
                slots: setup.pages,
                ..setup
            };
            // Tried again, it would be twice as much.
            ops.retain(|op| !matches!(op, Op::Comb { .. }));
            let (clean, calls) = clean::<K>(&setup, &ops).expect("a sequence without faults");
            for nth in 0..u32::try_from(calls).expect("a short sequence") {
                for done in [0, 1, 5] {
                    if let Err(why) = with_fault::<K>(&setup, &ops, &clean, nth, done) {
                        panic!("{why}\nfault {nth}, {done} done\n{setup:?}\n{ops:#?}");
                    }
                    faults += 1;
                }
            }
        }
    }
    println!("figures: faults: {faults} of the backing, at each of its calls");
    assert!(faults > 1000, "only {faults} faults were tried");
}

#[test]
fn a_fault_at_any_hook_call_changes_nothing_and_the_next_try_succeeds() {
    fail_everywhere::<Owned>(20);
}

#[test]
fn a_fault_under_a_locked_heap_changes_nothing_and_the_next_try_succeeds() {
    fail_everywhere::<Locked>(20);
}

/// Runs a sequence with so many slots, and from each of its refusals for want
/// of one a second time, to free everything right then.
fn with_slots<K: Kind>(setup: &Setup, ops: &[Op], seen: &mut Seen) -> Result<(), String> {
    let mut books = setup.books();
    let mut pair = Pair::<K::Heap<'_>>::new(setup, &mut books)?;
    let mut late = setup.late.clone();
    let mut short = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        let outcome = op.apply(&mut pair, &mut late)?;
        seen.note(op, outcome);
        if outcome == Outcome::NoSlot {
            short.push(index);
        }
    }
    pair.finish()?;
    // The free of everything is part of `run`. Three of the refusals will do.
    let step = short.len().div_ceil(3).max(1);
    for &index in short.iter().step_by(step) {
        run::<K>(setup, &ops[..=index], &mut Seen::default())?;
    }
    Ok(())
}

/// Runs recorded sequences with every number of slots that is too few.
fn starve<K: Kind>(count: u32) {
    let mut seen = Seen::default();
    for (physical, huge) in SIZES {
        for (setup, ops) in recorded(physical, huge, cases(count), 40) {
            let least = setup.regions.len() as u32;
            for slots in least.max(1)..least + 24 {
                let setup = Setup {
                    slots,
                    ..setup.clone()
                };
                if let Err(why) = with_slots::<K>(&setup, &ops, &mut seen) {
                    panic!("{why}\n{slots} slots\n{setup:?}\n{ops:#?}");
                }
            }
        }
    }
    for verb in [
        "alloc",
        "alloc aligned",
        "alloc within",
        "alloc zeroed",
        "alloc_at",
        "free_part",
        "free_part_at",
        "shrink",
        "grow",
        "release",
        "add_region",
    ] {
        let count = seen.count(verb, Outcome::NoSlot);
        assert!(count > 0, "no {verb} has lacked a slot: {seen:?}");
    }
    for verb in ["free", "free_at"] {
        let count = seen.count(verb, Outcome::NoSlot);
        assert_eq!(count, 0, "the free of a whole span lacked a slot");
    }
}

#[test]
fn without_slots_nothing_is_lost_and_every_whole_free_works() {
    starve::<Owned>(30);
}

#[test]
fn without_slots_a_locked_heap_loses_nothing_and_every_whole_free_works() {
    starve::<Locked>(20);
}

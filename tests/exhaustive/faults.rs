//! The same walk, over a backing that refuses: each hook call of each operation, from
//! every state.
//!
//! A state says of each free page also whether it may hold anything but zeroes, as the
//! heap's mark does for the span; the harness holds the two to be equal. Some states come only of a
//! refusal (a part that was committed, and not handed out), so that a state is reached
//! again by what led to it: operations, and which of their calls was refused.

use std::collections::HashMap;

use spanheap::Residency;
use spanheap::backing::fake::Reuse;

use super::model::{Heap, Kind, Locked, Outcome, Owned, PAGE, Pair, Setup};
use super::{Mark, Step, state_of, steps, take};

/// Each page, and whether it may hold anything; `false` for what is in use.
type State = Vec<(Mark, bool)>;

/// One of the calls of an operation is refused: which, and how many ranges are
/// released all the same.
type Fault = Option<(u32, usize)>;

type Path = Vec<(Step, Fault)>;

/// What is done to a heap that was brought into a state.
type Then<'a, K> =
    &'a mut dyn for<'m> FnMut(&mut Pair<<K as Kind>::Heap<'m>>) -> Result<(), String>;

/// What was counted.
#[derive(Debug, Default)]
struct Count {
    transitions: u32,
    refusals: u32,
}

fn state<'m, H: Heap<'m>>(pair: &Pair<H>) -> State {
    let mut state: State = state_of(&pair.model)
        .into_iter()
        .map(|mark| (mark, false))
        .collect();
    for run in pair.model.runs() {
        if run.cell.is_free() {
            let needs_zero = pair.model.needs_zero(run.range);
            for page in run.range.pages() {
                state[page.number() as usize].1 = needs_zero;
            }
        }
    }
    state
}

/// Takes a step, of which the spans in use are counted in address order.
fn go<'m, H: Heap<'m>>(pair: &mut Pair<H>, step: Step, fault: Fault) -> Result<Outcome, String> {
    pair.live.sort_unstable_by_key(|live| live.range.start());
    if let Some((nth, done)) = fault {
        pair.fake.fail_nth(nth, done);
    }
    let outcome = take(pair, step);
    pair.fake.recover();
    outcome
}

/// Everything that follows a state, which this path leads to.
fn follow<K: Kind>(
    setup: &Setup,
    path: &Path,
    count: &mut Count,
    mut new: impl FnMut(State, Path),
) {
    let arrive = |then: Then<'_, K>| {
        let mut books = setup.books();
        let mut pair = Pair::<K::Heap<'_>>::new(setup, &mut books).expect("a heap");
        pair.watch(false);
        for &(step, fault) in path {
            go(&mut pair, step, fault).expect("it went well before");
        }
        pair.watch(true);
        if let Err(why) = then(&mut pair) {
            panic!("{why}\n{setup:?}\nafter {path:#?}");
        }
    };
    let mut all = Vec::new();
    arrive(&mut |pair| {
        let marks: Vec<Mark> = state_of(&pair.model);
        all = steps(&marks);
        all.extend((1..=setup.pages).map(Step::AllocZeroed));
        Ok(())
    });
    let extended = |step, fault| [&path[..], &[(step, fault)]].concat();
    for step in all {
        let mut calls = 0;
        arrive(&mut |pair| {
            let (before, made) = (state(pair), pair.fake.fallible_calls());
            let outcome = go(pair, step, None).map_err(|why| format!("{why}\n{step:?}"))?;
            count.transitions += 1;
            match outcome {
                Outcome::Done | Outcome::Joined => {
                    calls = (pair.fake.fallible_calls() - made) as u32;
                    new(state(pair), extended(step, None));
                    Ok(())
                }
                _ if state(pair) == before => Ok(()),
                outcome => Err(format!("{step:?} is {outcome:?}, and changed something")),
            }
        });
        let most_done = if matches!(step, Step::Release(_)) {
            2
        } else {
            1
        };
        for (nth, done) in (0..calls).flat_map(|nth| (0..most_done).map(move |done| (nth, done))) {
            arrive(&mut |pair| {
                let fault = Some((nth, done));
                let outcome =
                    go(pair, step, fault).map_err(|why| format!("{why}\n{step:?}, {fault:?}"))?;
                count.transitions += 1;
                count.refusals += 1;
                new(state(pair), extended(step, fault));
                match outcome {
                    Outcome::Refused => Ok(()),
                    outcome => Err(format!("{step:?} met {fault:?}, and is {outcome:?}")),
                }
            });
        }
    }
}

fn walk_with_faults<K: Kind>(pages: u32, physical: u64) {
    for reuse in [Reuse::Zeroes, Reuse::Scribbles] {
        let setup = Setup {
            physical,
            reuse,
            ..Setup::plain(pages, Residency::Released)
        };
        let mut books = setup.books();
        let start = state(&Pair::<K::Heap<'_>>::new(&setup, &mut books).expect("a heap"));
        let mut known = HashMap::from([(start.clone(), Path::new())]);
        let mut left = vec![start];
        let mut count = Count::default();
        while let Some(next) = left.pop() {
            let path = known[&next].clone();
            follow::<K>(&setup, &path, &mut count, |state, path| {
                known.entry(state.clone()).or_insert_with(|| {
                    left.push(state);
                    path
                });
            });
        }
        println!(
            "figures: exhaustive, every hook refused: {pages} pages, {physical} bytes to a physical one, {reuse:?}: {} states, {} transitions, \
             {} of them refused",
            known.len(),
            count.transitions,
            count.refusals
        );
    }
}

#[test]
fn every_refusal_from_every_state_changes_what_it_should_alone() {
    walk_with_faults::<Owned>(4, PAGE);
    walk_with_faults::<Owned>(4, 2 * PAGE);
}

#[test]
fn every_refusal_with_pages_larger_than_physical_ones_changes_what_it_should_alone() {
    walk_with_faults::<Owned>(4, PAGE / 2);
}

#[test]
#[ignore = "minutes in a release build"]
fn every_refusal_from_every_state_of_more_pages_changes_what_it_should_alone() {
    walk_with_faults::<Owned>(6, PAGE);
    walk_with_faults::<Owned>(6, 2 * PAGE);
    walk_with_faults::<Owned>(8, 4 * PAGE);
    walk_with_faults::<Owned>(6, PAGE / 2);
    walk_with_faults::<Locked>(6, 2 * PAGE);
}

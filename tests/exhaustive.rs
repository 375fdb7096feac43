//! Every state of a small heap, walked to exhaustion.
//!
//! A state says of each page whether it is resident, released, the first page of
//! a span in use or a further one; what is free is merged, so that this is all
//! there is to know. From every state every operation is tried, on a heap that
//! is brought into it first, and compared with the model; what comes out is a
//! state, new or known. The walk ends when nothing is new.
//!
//! How many states there are can be counted by hand. Let `u` be the states of so
//! many pages that end in a page in use, `r` those that end in a resident one,
//! and as many in a released one. For one page `u` = `r` = 1. Another page in
//! use goes on or begins a span after one in use, and begins one after any other:
//! `u` becomes 2`u` + 2`r`. Another resident page follows anything, and merges
//! with a resident one: `r` becomes `u` + 2`r`.

#[path = "exhaustive/faults.rs"]
mod faults;
mod model;

use std::collections::HashSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{
    Ask, Cell, Heap, Kind, Locked, Model, Outcome, Owned, PAGE, Pair, Run, Setup, Target, range,
};
use spanheap::{PageRange, Residency};

/// One page of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Mark {
    Resident,
    Released,
    /// The first page of a span in use.
    First,
    /// Another page of a span in use.
    Further,
}

type State = Vec<Mark>;

/// What can be done to a state.
#[derive(Clone, Copy, Debug)]
enum Step {
    Alloc(u32),
    AllocZeroed(u32),
    AllocAt(PageRange),
    Free(u32),
    FreePart(u32, PageRange),
    Shrink(u32, u32),
    Grow(u32, u32),
    /// At most so many pages.
    Release(u32),
}

/// The number of states of so many pages, by the closed form.
fn expected(pages: u32) -> usize {
    let (mut u, mut r) = (1, 1);
    for _ in 1..pages {
        (u, r) = (2 * u + 2 * r, u + 2 * r);
    }
    u + 2 * r
}

fn state_of(model: &Model) -> State {
    let mut state = Vec::new();
    for Run { range, cell } in model.runs() {
        let (first, further) = match cell {
            Cell::InUse(_) => (Mark::First, Mark::Further),
            Cell::Resident => (Mark::Resident, Mark::Resident),
            Cell::Released | Cell::Unmanaged => (Mark::Released, Mark::Released),
        };
        state.push(first);
        state.resize(range.end().number() as usize, further);
    }
    state
}

/// The spans of a state, in address order.
fn spans(state: &[Mark]) -> Vec<(Mark, PageRange)> {
    let mut spans = Vec::new();
    let mut start = 0;
    for page in 1..=state.len() {
        let goes_on = state.get(page).is_some_and(|&mark| match mark {
            Mark::First => false,
            Mark::Further => true,
            mark => mark == state[start],
        });
        if !goes_on {
            spans.push((state[start], range(start as u32, page as u32)));
            start = page;
        }
    }
    spans
}

/// Every range inside this one.
fn parts(of: PageRange) -> impl Iterator<Item = PageRange> {
    let (start, end) = (of.start().number(), of.end().number());
    (start..end).flat_map(move |from| (from + 1..=end).map(move |to| range(from, to)))
}

/// Everything that can be done to a state, sensible or just not.
fn steps(state: &[Mark]) -> Vec<Step> {
    let pages = state.len() as u32;
    let mut steps: Vec<Step> = (1..=pages).map(Step::Alloc).collect();
    steps.extend((1..=pages).map(Step::Release));
    let whole = range(0, pages);
    let is_free = |part: &PageRange| {
        part.pages()
            .all(|page| state[page.number() as usize] < Mark::First)
    };
    steps.extend(parts(whole).filter(is_free).map(Step::AllocAt));
    let in_use = spans(state)
        .into_iter()
        .filter(|&(mark, _)| mark == Mark::First);
    for (index, (_, span)) in (0..).zip(in_use) {
        let length = span.count().get();
        let behind = pages - span.end().number();
        steps.push(Step::Free(index));
        steps.extend(parts(span).map(|part| Step::FreePart(index, part)));
        steps.extend((1..length).map(|to| Step::Shrink(index, to)));
        steps.extend((1..=behind).map(|more| Step::Grow(index, length + more)));
    }
    steps
}

/// Brings a heap that is all released into a state.
fn bring<'m, H: Heap<'m>>(pair: &mut Pair<H>, state: &State) -> Result<(), String> {
    pair.watch(false);
    let spans = spans(state);
    let all = |wanted: Mark| spans.iter().filter(move |&&(mark, _)| mark == wanted);
    // Spans in use first: they become the first targets, in address order.
    for &(_, range) in all(Mark::First).chain(all(Mark::Resident)) {
        pair.alloc_at(address(pair, range), range.count().get())?;
    }
    for &(_, range) in all(Mark::Resident) {
        pair.free_at(address(pair, range), range.count().get())?;
    }
    pair.watch(true);
    match state_of(&pair.model) == *state {
        true => Ok(()),
        false => Err(format!("the state is not reached: {:?}", pair.model.runs())),
    }
}

fn address<H>(pair: &Pair<H>, range: PageRange) -> u64 {
    pair.model.window().address_of(range.start())
}

fn take<'m, H: Heap<'m>>(pair: &mut Pair<H>, step: Step) -> Result<Outcome, String> {
    match step {
        Step::Alloc(pages) => pair.alloc(&Ask::pages(pages)),
        Step::AllocZeroed(pages) => pair.alloc(&Ask {
            zeroed: true,
            ..Ask::pages(pages)
        }),
        Step::AllocAt(range) => pair.alloc_at(address(pair, range), range.count().get()),
        Step::Free(index) => pair.free(Target::Live(index)),
        Step::FreePart(index, part) => pair.free_part(Target::Live(index), part),
        Step::Shrink(index, to) => pair.shrink(Target::Live(index), to),
        Step::Grow(index, to) => pair.grow(Target::Live(index), to),
        Step::Release(pages) => pair.release(u64::from(pages) * PAGE, u32::MAX),
    }
}

/// Every state that can be reached from this one in one step.
fn neighbours<K: Kind>(setup: &Setup, state: &State) -> HashSet<State> {
    let mut steps = steps(state).into_iter().peekable();
    let mut found = HashSet::new();
    while steps.peek().is_some() {
        let mut books = setup.books();
        let mut pair = Pair::<K::Heap<'_>>::new(setup, &mut books).expect("a heap");
        let ready = bring(&mut pair, state);
        // A step that is refused changes nothing: the next one starts there too.
        for step in steps.by_ref() {
            match ready.clone().and_then(|()| take(&mut pair, step)) {
                Ok(Outcome::Done | Outcome::Joined) => {
                    found.insert(state_of(&pair.model));
                    break;
                }
                Ok(_) => {}
                Err(why) => panic!("{why}\nbefore: {state:?}\noperation: {step:?}"),
            }
        }
    }
    found
}

/// Walks from a heap that is all released until no state is new.
fn walk<K: Kind>(setup: &Setup) -> HashSet<State> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let start = vec![Mark::Released; setup.pages as usize];
    let mut known = HashSet::from([start.clone()]);
    let mut frontier = vec![start];
    while !frontier.is_empty() {
        // Alone: only that each index is taken once matters.
        let next = AtomicUsize::new(0);
        let work = || {
            let mut found = HashSet::new();
            while let Some(state) = frontier.get(next.fetch_add(1, Ordering::Relaxed)) {
                found.extend(neighbours::<K>(setup, state));
            }
            found
        };
        let found: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().expect("a worker failed, as it said above"))
                .collect()
        });
        frontier = found
            .into_iter()
            .flatten()
            .filter(|state| known.insert(state.clone()))
            .collect();
    }
    known
}

/// Every state that the model's rules allow: runs are merged, every released one
/// holds a whole physical page, and a seam lies on one.
fn legal(setup: &Setup) -> HashSet<State> {
    let pages = setup.pages;
    let unit = (setup.physical / PAGE).max(1) as usize;
    let is_legal = |state: &State| {
        let further = (0..state.len()).filter(|&page| state[page] == Mark::Further);
        let begun = further
            .into_iter()
            .all(|page| page > 0 && state[page - 1] >= Mark::First);
        let spans = spans(state);
        let whole = |range: PageRange| {
            let (start, end) = (
                range.start().number() as usize,
                range.end().number() as usize,
            );
            start.next_multiple_of(unit) < end / unit * unit
        };
        begun
            && spans
                .iter()
                .all(|&(mark, range)| mark != Mark::Released || whole(range))
            && spans.windows(2).all(|pair| {
                let on_seam = (pair[0].1.end().number() as usize).is_multiple_of(unit);
                pair[0].0.max(pair[1].0) >= Mark::First || on_seam
            })
    };
    let marks = [Mark::Resident, Mark::Released, Mark::First, Mark::Further];
    (0..4_usize.pow(pages))
        .map(|number| {
            (0..pages)
                .map(|page| marks[number / 4_usize.pow(page) % 4])
                .collect()
        })
        .filter(is_legal)
        .collect()
}

fn prove_all_states_are_reached<K: Kind>(pages: u32) {
    let states = walk::<K>(&Setup::plain(pages, Residency::Released)).len();
    println!("figures: exhaustive: {states} states of a heap of {pages} pages");
    assert_eq!(states, expected(pages));
}

fn prove_all_legal_states_are_reached<K: Kind>(pages: u32, physical: u64) {
    let setup = Setup {
        physical,
        ..Setup::plain(pages, Residency::Released)
    };
    let (reached, legal) = (walk::<K>(&setup), legal(&setup));
    println!(
        "figures: exhaustive: {} states of a heap of {pages} pages, {physical} bytes to a physical one",
        reached.len()
    );
    if let Some(state) = reached.symmetric_difference(&legal).next() {
        panic!(
            "{} reached, {} legal, {state:?} is not both",
            reached.len(),
            legal.len()
        );
    }
}

#[test]
fn the_closed_form_gives_the_known_numbers() {
    assert_eq!([1, 2, 8, 10].map(expected), [3, 10, 15_760, 183_712]);
    assert_eq!(
        legal(&Setup::plain(6, Residency::Released)).len(),
        expected(6)
    );
}

#[test]
fn every_state_of_eight_pages_is_reached_and_agrees_with_the_model() {
    prove_all_states_are_reached::<Owned>(8);
}

#[test]
fn every_state_of_a_locked_heap_is_reached_and_agrees_with_the_model() {
    prove_all_states_are_reached::<Locked>(6);
}

#[test]
fn every_state_with_larger_physical_pages_is_reached_and_agrees_with_the_model() {
    prove_all_legal_states_are_reached::<Owned>(6, 2 * PAGE);
    prove_all_legal_states_are_reached::<Owned>(8, 4 * PAGE);
}

#[test]
#[ignore = "a minute in a release build"]
fn every_state_of_ten_pages_is_reached_and_agrees_with_the_model() {
    prove_all_states_are_reached::<Owned>(10);
}

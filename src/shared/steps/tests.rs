//! What is searched, and from where.

use std::println;
use std::string::String;
use std::vec::Vec;

use super::explore::{ANY, Defect, Search};
use super::ops::Kind;
use super::word::{BLOCK, FULL};
use super::world::{CLAIMED, FREE, Matters, PLACES, World};

const SINGLES: &[Kind] = &[
    Kind::Alloc,
    Kind::Anywhere,
    Kind::Open,
    Kind::Drain,
    Kind::Return,
    Kind::Free,
];

/// Nothing is claimed, so that a second free is one, whenever it comes.
const TWICE: &[Kind] = &[Kind::Free, Kind::FreeAgain, Kind::Drain, Kind::Return];

const RUNS: &[Kind] = &[
    Kind::Alloc,
    Kind::Open,
    Kind::Drain,
    Kind::Return,
    Kind::Free,
    Kind::Run,
    Kind::FreeRun,
];

const PARTS: &[Kind] = &[
    Kind::Alloc,
    Kind::Return,
    Kind::Free,
    Kind::Run,
    Kind::FreeRun,
    Kind::FreePart,
    Kind::FreeWrongly,
];

/// The states in which no operation is in progress, after so many of one CPU; or of
/// any, one after the other.
fn states_at_rest(search: &mut Search, left: [u8; 2]) -> Result<Vec<World>, String> {
    search.in_turn = true;
    let found = search.run(&[World::new()], left)?;
    search.in_turn = false;
    println!("{} states of one after the other", found.states);
    Ok(found.at_rest)
}

/// Searches what so many operations of two CPUs come to beside each other.
fn beside(search: &Search, starts: &[World], left: [u8; 2]) -> Result<(), String> {
    let found = search.run(starts, left)?;
    println!(
        "figures: front tier: {} beside {}, from {} states: {} states, {} of them at rest, {} steps",
        left[0],
        left[1],
        starts.len(),
        found.states,
        found.at_rest.len(),
        found.steps
    );
    Ok(())
}

/// Searches these operations beside each other, after so many of one CPU.
fn after(
    before: u8,
    matters: Matters,
    [first, then]: [&'static [Kind]; 2],
    left: [u8; 2],
) -> Result<(), String> {
    let starts = states_at_rest(&mut Search::new(matters, first), [before, 0])?;
    beside(&Search::new(matters, then), &starts, left)
}

/// Every state between operations of which no two are in progress, but for what differs
/// only in which CPU is which.
fn all_states() -> Result<Vec<World>, String> {
    let mut search = Search::new(Matters::Singles, SINGLES);
    let mut states = states_at_rest(&mut search, [ANY; 2])?;
    states.retain(|world| world.words[PLACES + 1] == 0);
    Ok(states)
}

/// The same, with the pages of the second block all free, all claimed or all handed out.
fn plain_states() -> Result<Vec<World>, String> {
    let mut states = all_states()?;
    states.retain(|world| {
        let [free, claimed, held] =
            [world.pages(FREE), world.pages(CLAIMED), world.held].map(|pages| pages >> BLOCK);
        [free, claimed, held].contains(&(FULL as u32)) || free | claimed | held == 0
    });
    Ok(states)
}

fn good(result: Result<(), String>) {
    if let Err(why) = result {
        panic!("{why}");
    }
}

#[test]
fn single_pages_are_nobodys_twice_and_none_is_lost() {
    good(after(4, Matters::Singles, [SINGLES; 2], [1, 1]));
}

#[test]
fn a_page_that_was_handed_out_last_is_freed_like_any_other() {
    good(after(4, Matters::Last, [SINGLES; 2], [1, 1]));
}

#[test]
fn a_page_that_is_free_is_not_freed_again_unless_it_is_on_its_way() {
    let search = Search::new(Matters::Singles, TWICE);
    good(plain_states().and_then(|states| beside(&search, &states, [1, 1])));
}

#[test]
fn runs_are_nobodys_twice_and_none_is_lost() {
    good(after(2, Matters::Runs, [RUNS; 2], [1, 1]));
}

#[test]
fn runs_are_freed_in_parts_and_never_by_a_wrong_length() {
    good(after(3, Matters::Runs, [RUNS, PARTS], [1, 1]));
}

#[test]
fn a_claim_without_a_second_look_is_found() {
    let mut search = Search::new(Matters::Singles, SINGLES);
    search.defect = Defect::NoSecondLook;
    let found = plain_states().and_then(|states| beside(&search, &states, [1, 1]));
    let why = found.expect_err("a claim is left in a chunk of nobody's");
    assert!(why.contains("nobody owns is claimed"), "{why}");
}

#[test]
fn a_free_that_stands_wherever_its_chunk_went_is_found() {
    let mut search = Search::new(Matters::Singles, TWICE);
    search.defect = Defect::NothingTakenBack;
    let found = plain_states().and_then(|states| beside(&search, &states, [1, 2]));
    let why = found.expect_err("a page of the treap is left in a word");
    assert!(why.contains("of the treap has no bits set"), "{why}");
}

#[test]
#[ignore = "minutes in a release build"]
fn all_that_is_longer_is_as_it_should_be() {
    let all = all_states().unwrap_or_else(|why| panic!("{why}"));
    good(beside(
        &Search::new(Matters::Singles, SINGLES),
        &all,
        [1, 1],
    ));
    good(after(5, Matters::Singles, [SINGLES; 2], [1, 2]));
    good(after(4, Matters::Singles, [SINGLES, TWICE], [1, 2]));
    good(after(6, Matters::Last, [SINGLES; 2], [1, 1]));
    good(after(4, Matters::Runs, [RUNS; 2], [1, 1]));
    good(after(4, Matters::Runs, [RUNS, PARTS], [1, 1]));
}

//! What must be so, in every state, and when nobody is in the middle of anything.

use super::front::Bits;
use super::ops::{End, Op};
use super::state::State;
use super::word::{BLOCK, CHUNK, FULL as WHOLE, READY, has, longest_run};
use super::world::{BOOKS, CHUNK_THERE, CLAIMED, CPUS, FREE, FULL, Machine, RUNS, STATE, World};

const ALL: u32 = (1 << CHUNK) - 1;

/// A rule that was broken.
pub(super) type Broken = &'static str;

/// Rules for every state; `clean` if no page was freed twice. If one was while it goes
/// back to its word, it may be there early, and one of the treap's for a moment.
pub(super) fn always(world: &World, clean: bool) -> Result<(), Broken> {
    let (free, claimed) = (world.pages(FREE), world.pages(CLAIMED));
    if clean && free & claimed != 0 {
        return Err("a page is free in its word or claimed, never both");
    }
    if (free | claimed) & world.held != 0 {
        return Err("a page that is handed out is not free");
    }
    if (free | claimed) & !ALL != 0 {
        return Err("a block has no more pages than it has");
    }
    if clean && world.words[BOOKS] == CHUNK_THERE && free | claimed | world.held != 0 {
        return Err("what the treap has, nobody else has");
    }
    Ok(())
}

/// Rules for the states in which no operation is in progress.
pub(super) fn at_rest(world: &World, machine: &Machine, runs: bool) -> Result<(), Broken> {
    let (free, claimed) = (world.pages(FREE), world.pages(CLAIMED));
    let state = State(world.words[STATE]);
    if world.words[BOOKS] == CHUNK_THERE {
        if state.is_front() {
            return Err("a chunk has one owner");
        }
        return if free | claimed | world.held | world.pages(RUNS) == 0 {
            Ok(())
        } else {
            Err("a chunk of the treap has no bits set")
        };
    }
    if !state.is_front() {
        return Err("a chunk that the treap has not is the front tier's");
    }
    if free & claimed != 0 {
        return Err("a page is free in its word or claimed, never both");
    }
    if free | claimed | world.held != ALL {
        return Err("no page is lost");
    }
    if runs && world.pages(RUNS) != world.inside {
        return Err("exactly those pages continue a run that were handed out so");
    }
    machine.load(world);
    for cpu in 0..CPUS {
        let place = machine.place(cpu);
        if place.current().is_some() && state.owner() != Some(place.id) {
            return Err("a CPU takes pages from a chunk that it owns");
        }
    }
    if state.owner().is_none() {
        if claimed != 0 {
            return Err("nothing of a chunk that nobody owns is claimed");
        }
        let words = machine.front.words(Bits::Free, 0);
        let any = |worth: &dyn Fn(u64) -> bool| {
            words
                .iter()
                .any(|word| worth(word.load(super::atomic::Ordering::SeqCst)))
        };
        let is_listed = machine.front.ready(0).first() == Some(0);
        if any(&|word| has(word, READY)) && !(state.is_ready(0) && is_listed) {
            return Err("a chunk with pages enough is listed, if nobody owns it");
        }
        if free == ALL && world.words[FULL] == 0 {
            return Err("a chunk without a page in use is listed to go back");
        }
    }
    serves(world, machine, runs)
}

/// Whoever is alone gets what there is.
fn serves(world: &World, machine: &Machine, runs: bool) -> Result<(), Broken> {
    let idle = ALL & !world.held;
    for cpu in 0..CPUS {
        machine.load(world);
        let got = machine.alloc_slowly(cpu);
        if got.map_or(idle != 0, |page| idle >> page & 1 == 0) {
            return Err("one page is refused only if there is none");
        }
        for count in (2..=BLOCK).filter(|_| runs) {
            machine.load(world);
            let got = machine.alloc_run_slowly(cpu, count);
            let longest = [idle & WHOLE as u32, idle >> BLOCK].map(|word| longest_run(word.into()));
            if got.is_some() != longest.iter().any(|&run| run >= count) {
                return Err("a run is refused only if no block has one");
            }
        }
    }
    Ok(())
}

/// Takes note of how an operation ended, or says what is wrong with that. `item` is
/// what it was to free.
pub(super) fn ended(
    world: &mut World,
    op: Op,
    end: End,
    raced: bool,
    item: Option<(u32, u32)>,
) -> Result<(), Broken> {
    let bits = |page: u32, count: u32| ((1 << count) - 1) << page;
    match (op, end) {
        (_, End::Taken(page, count)) => {
            let pages = bits(page, count);
            if world.held & pages != 0 {
                return Err("no page has two owners");
            }
            world.held |= pages;
            world.inside |= pages & !bits(page, 1);
        }
        (Op::FreeAgain(_), End::Freed(Ok(()))) if !raced => {
            return Err("a page that is free is not freed again");
        }
        (Op::FreeAgain(_), End::Freed(_)) | (_, End::Nothing) => {}
        (Op::FreeWrongly(..), End::Freed(Ok(()))) => {
            return Err("as many pages are freed as were handed out, or none");
        }
        (Op::FreeWrongly(..), End::Freed(Err(_))) => {
            let (page, count) = item.ok_or("a wrong free is of something")?;
            world.held |= bits(page, count);
            world.inside |= bits(page, count) & !bits(page, 1);
        }
        (_, End::Freed(Err(_))) => return Err("what was handed out can be freed"),
        (Op::FreePart(_, page, part), End::Freed(Ok(()))) => {
            let (first, count) = item.ok_or("a part is one of something")?;
            let rest = bits(first, count) & !bits(page, part);
            world.held |= rest;
            world.inside |= rest & !bits(first, 1) & !bits(page + part, 1);
        }
        (_, End::Freed(Ok(()))) => {}
    }
    Ok(())
}

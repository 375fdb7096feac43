//! W7: what it takes before the first page can be handed out.
//!
//! Setting up begins with books that are in memory and zeroed already, where
//! these are the user's to give; the time to zero them stands by itself. Other
//! contenders get memory from malloc as they go, which is a part of their
//! set-up. Metadata is both together, as malloc and the contender tell.

use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{ONE, room};
use crate::adaptor::{Contender, Ground, Unable};
use crate::figure::Figure;
use crate::memory;
use crate::meter::{Meter, Stop, thread_ns};

/// The largest range whose metadata is looked at when every other page is free.
const MOST_PAGES: u32 = 1 << 22;

impl From<Unable> for Stop {
    fn from(unable: Unable) -> Self {
        Self::Denied(unable.to_string())
    }
}

/// Sets up an allocator in the usual books; and under check, fills another.
///
/// # Errors
///
/// If it cannot be set up, or takes too long.
pub fn run<C: Contender>(ground: &Ground, meter: &mut Meter) -> Result<(), Stop> {
    let usual = ground.in_usual_books();
    let before = memory::allocated();
    let begin = thread_ns();
    let mut books = C::books(&usual)?;
    let zeroed = thread_ns();
    let runs = C::runs(&mut books, &usual)?;
    let set_up = thread_ns();
    let bytes = memory::allocated().saturating_sub(before);
    drop(runs);
    let bytes = bytes + C::mapped(&books);
    meter.note(Figure::SetUp, (set_up - zeroed) as f64);
    meter.note(Figure::Zero, (zeroed - begin) as f64);
    meter.note(Figure::Books, bytes as f64);
    drop(books);
    if meter.checks() && C::ABOUT.remembers && ground.pages() <= MOST_PAGES {
        half::<C>(ground, meter)?;
    }
    Ok(())
}

/// Notes the metadata when every other page is free.
fn half<C: Contender>(ground: &Ground, meter: &mut Meter) -> Result<(), Stop> {
    let pages = ground.pages();
    let before = memory::allocated();
    let mut books = C::books(ground)?;
    let mut runs = C::runs(&mut books, ground)?;
    let own = memory::allocated();
    let mut blocks = room(&mut runs, pages)?;
    // The table of blocks is the harness's.
    let table = memory::allocated().saturating_sub(own);
    meter.prepare("filling the range", pages, |_| {
        blocks.push(runs.alloc(ONE)?);
        Ok(())
    })?;
    meter.prepare("freeing every other page", pages / 2, |index| {
        let block = *blocks.get(2 * index as usize).ok_or(Denied::Exhausted)?;
        runs.free(block)
    })?;
    let bytes = memory::allocated().saturating_sub(before + table);
    drop((blocks, runs));
    let bytes = bytes + C::mapped(&books);
    meter.note(Figure::BooksHalf, bytes as f64);
    Ok(())
}

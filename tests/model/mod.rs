//! The naive model, and the harness that runs a heap against it.
//!
//! Three independent accounts of the same pages are kept and compared after
//! every step: the heap's own (spans, counters, `check()`), the model's (a cell
//! per page) and the fake backing's (what is committed, what it holds). A test
//! suite only has to choose the operations.
//!
//! `pages` is the model, `pair` the harness, `setup` what a heap is made over,
//! `op` an operation as data, for suites that generate sequences, `story` a
//! sequence of them.

#![allow(
    dead_code,
    unused_imports,
    reason = "every suite uses its own part of the harness"
)]

mod heap;
mod op;
mod pages;
mod pair;
mod picture;
mod setup;
mod story;

pub(crate) use heap::{Heap, Kind, Locked, Owned};
pub(crate) use op::{Op, operations};
pub(crate) use pages::{Cell, Model, Run, Wanted};
pub(crate) use pair::{Ask, Outcome, Pair, Target};
pub(crate) use picture::picture;
pub(crate) use setup::{Books, PAGE, Setup, setups};
pub(crate) use story::{Seen, cases, recorded, run, runner};

use spanheap::{Page, PageRange};

/// The pages from `start` up to, not including, `end`.
pub(crate) fn range(start: u32, end: u32) -> PageRange {
    PageRange::between(Page::new(start), Page::new(end)).expect("a range that is not empty")
}

//! Heaps in a known layout: *before, operations, after*.
//!
//! A layout is a heap's spans in address order, each by its state and its
//! pages: `U3 r5 s8` is a span of 3 pages in use, 5 idle and resident, 8 idle
//! and released. `D` is detached. `-4` stands for four pages that nobody
//! manages; `|` for the border of two regions that touch, which a heap does not
//! show and a comparison ignores.
//!
//! The same text makes a heap ([`Setup::scene`]) and says what became of it
//! ([`Scene::is`]). Every verb of a [`Scene`] is followed by the heap's own
//! `check()`, by a recount of all counters from the public view of the spans,
//! and by a look at what the fake backing holds; so a test says only what is
//! particular about it. Scenes exist over both kinds of heap
//! ([`Setup::both`] runs a test on each).

#![allow(
    dead_code,
    unused_imports,
    reason = "every suite uses its own part of the scene"
)]

mod audit;
mod scene;
mod setup;
mod text;

pub(crate) use scene::{Scene, Shared, Snapshot, layout_of};
pub(crate) use setup::{Kind, PAGE, PHYSICAL, Setup};

use spanheap::{Page, PageCount, PageRange, Request};

/// The pages from `start` up to, not including, `end`.
pub(crate) fn range(start: u32, end: u32) -> PageRange {
    PageRange::between(Page::new(start), Page::new(end)).expect("a range that is not empty")
}

/// A number of pages.
pub(crate) const fn count(pages: u32) -> PageCount {
    PageCount::new(pages)
}

/// A request for this many pages.
pub(crate) const fn pages(pages: u32) -> Request {
    Request::pages(PageCount::new(pages))
}

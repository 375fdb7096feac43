//! A heap for many CPUs: a front tier of single pages and short runs, without a
//! lock, over the page heap.
//!
//! Nearly all requests are for one page. The front tier takes whole chunks of
//! 512 pages from the page heap; each CPU owns one for each group of pages, and
//! claims one block of it at a time. To allocate a page is then to take a bit of
//! what is claimed; to free one, from any CPU, to set a bit in its block's word.
//! Runs of up to 16 pages come out of one block, longer ones from the treap.
//!
//! The files beside this one, from the bottom up: `atomic`, `word` (bits of a
//! block), `state` (a chunk's, and its transitions), `hints` (where to look
//! first), `front` (where each word is), `single` (single pages), `chunk` (chunks
//! and their lists), `run` (runs), `anywhere` (the last pages), `marks` (which pages
//! are not backed), `cpu` (what is asked of the machine), `metadata`, `heap` (the
//! verbs), `set_up` (its books and its memory), `reclaim` (chunks given back), `search`
//! (where pages are found), `residency` (giving memory back), `count` (counters and
//! checks). `models` and `steps` are for tests: interleavings under weak memory, and
//! all of them under a strong one.

mod anywhere;
mod atomic;
mod chunk;
#[cfg(not(all(test, loom)))]
mod count;
mod cpu;
mod front;
#[cfg(not(all(test, loom)))]
mod heap;
mod hints;
mod marks;
#[cfg(not(all(test, loom)))]
mod metadata;
#[cfg(all(test, loom))]
mod models;
#[cfg(not(all(test, loom)))]
mod reclaim;
#[cfg(not(all(test, loom)))]
mod residency;
mod run;
#[cfg(not(all(test, loom)))]
mod search;
#[cfg(not(all(test, loom)))]
mod set_up;
mod single;
mod state;
#[cfg(all(test, not(loom)))]
mod steps;
mod word;

pub use cpu::{Cpu, OneCpu};
#[cfg(not(all(test, loom)))]
pub use heap::SharedHeap;
#[cfg(not(all(test, loom)))]
pub use metadata::{SharedMetadata, StaticFront, front_words};

//! Micro-benchmarks on page numbers: one allocator after the other, by turns.
//!
//! Three layers: [`work`] is what an allocator is asked to do, [`contest`] runs
//! every contender once in each round, and [`table`] makes medians of the
//! rounds, and of the ratios within them. The allocators stand behind the
//! adaptors of `spanheap-replay`; no memory is behind the pages.

pub mod contest;
pub mod table;
pub mod work;

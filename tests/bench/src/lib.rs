//! Holds `spanheap` against its peers, on page numbers and by turns.
//!
//! From the bottom up: [`figure`] names what is measured; [`adaptor`] holds the
//! contenders, a file each; [`meter`] runs a work's steps and times them;
//! [`check`] sees that no page has two owners; [`work`] is what contenders are
//! asked to do; [`contest`] runs the rounds; [`results`] keeps what came of
//! them, and makes medians and ratios within a round; [`targets`] says what
//! should come of them; [`table`] and [`picture`] show it. [`count`] has
//! instructions counted instead of time, by callgrind, [`held`] says where a lock is
//! held, [`worst`] leads the heaps to where they are slowest, and [`misuse`] frees what is
//! not to be freed.
//!
//! No memory is behind the pages: what is measured is the choice of pages and
//! the books about them.

pub mod adaptor;
mod callgrind;
pub mod check;
pub mod contest;
pub mod count;
pub mod figure;
pub mod held;
pub mod memory;
pub mod meter;
pub mod misuse;
pub mod options;
pub mod picture;
pub mod results;
mod run;
pub mod table;
pub mod targets;
pub mod work;
pub mod worst;

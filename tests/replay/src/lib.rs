//! Replays recorded page traces against `spanheap`, with real memory under it.
//!
//! A trace is read and checked ([`trace`]), then run once with every page
//! stamped and verified ([`pass`], [`live`]), and several times for its time
//! alone, beside a peer ([`timing`]). What came of it is a [`Report`]: a table,
//! or JSON. The pictures are in [`picture`].
//!
//! Allocators stand behind one trait, [`adaptor::PageRuns`], so that each pass
//! is written once. The layers, from the bottom up: `trace`, `adaptor`,
//! `live`, `recorder`, `pass`, `crowd` and `timing`, `picture`, `report`, `run`.
//!
//! Beside that, [`policies`] simulates when idle memory is given back, on the
//! same traces, without memory under it.

pub mod adaptor;
pub mod books;
pub mod live;
pub mod pass;
pub mod picture;
pub mod policies;
pub mod resident;
pub mod timing;
pub mod trace;

mod command;
mod contest;
mod crowd;
mod error;
mod history;
mod options;
mod output;
mod patience;
mod plan;
mod progress;
mod recorder;
mod report;
mod run;
mod witness;

pub use command::{Command, CommandLine};
pub use error::Error;
pub use history::{History, Sample};
pub use options::{FreeBy, HeapKind, Options, Peer};
pub use patience::Patience;
pub use recorder::When;
pub use report::Report;
pub use run::run;

//! Every interleaving of two CPUs' steps on a small front tier, by explicit search.
//!
//! The files of the front tier are compiled a second time here, as they are, over
//! two modules of this directory: `atomic`, whose every access is a step that the
//! search chooses the turn of, and `word`, which has blocks of three pages and
//! chunks of two blocks. So what is searched is the code itself. Only what is above
//! it, in `heap.rs` and `search.rs`, is mirrored (`ops`).
//!
//! A CPU that is in the middle of an operation is known by the operation and by what
//! its accesses were answered so far, because the code is determined by these. So
//! a state of the search (`world`) is: the words, which pages are handed out, and of
//! each CPU that. To take a step, the operation runs from its beginning, is told
//! what it was told, and takes one access more (`atomic`); it then runs on alone, on
//! words that are thrown away, which shows that it ends. The search (`explore`)
//! visits every state once, and in each one asks the rules (`rules`).
//!
//! Steps are sequentially consistent: what weaker memory may show is for the models
//! under loom. How often a chunk was returned is counted from anew whenever no
//! operation is in progress, because nobody remembers it then.

// Some of each file is for what is not compiled again.
#![expect(dead_code, reason = "only what the operations need is called")]

#[expect(clippy::duplicate_mod, reason = "the code itself, over other atomics")]
#[path = "../anywhere.rs"]
mod anywhere;
mod atomic;
#[expect(clippy::duplicate_mod, reason = "see above")]
#[path = "../chunk.rs"]
mod chunk;
mod explore;
#[expect(clippy::duplicate_mod, reason = "see above")]
#[path = "../front.rs"]
mod front;
#[expect(clippy::duplicate_mod, reason = "see above")]
#[path = "../hints.rs"]
mod hints;
mod ops;
mod rules;
#[expect(clippy::duplicate_mod, reason = "see above")]
#[path = "../run.rs"]
mod run;
#[expect(clippy::duplicate_mod, reason = "see above")]
#[path = "../single.rs"]
mod single;
#[expect(clippy::duplicate_mod, reason = "see above")]
#[path = "../state.rs"]
mod state;
mod tests;
mod word;
mod world;

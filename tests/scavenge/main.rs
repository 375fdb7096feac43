//! The scavenger, from the outside: any heap, a fake backing, a clock moved by hand.
//!
//! What is tested is what it promises, and that nothing a caller, a clock, a policy
//! or a backing does makes it lose memory, panic or ask to be called for ever. See
//! `common` for what is checked after every step.

mod clock;
mod common;

mod demands;
mod drain;
mod extremes;
mod floor;
mod holds;
mod leftovers;
mod limit;
mod measure;
mod purse;
mod random;
mod refusals;
mod shapes;
mod threads;

//! The atomics of the front tier: the processor's, or those of a model checker.
//!
//! Under `cfg(loom)` the unit tests run every interleaving of the models in
//! `models.rs`, on loom's own atomics; all else is compiled alike.

#[cfg(all(test, loom))]
pub(super) use loom::sync::atomic::{AtomicU64, Ordering};

#[cfg(not(all(test, loom)))]
pub(super) use core::sync::atomic::{AtomicU64, Ordering};

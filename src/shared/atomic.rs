//! The atomics of the front tier: the processor's, or those of a model checker.
//!
//! Under `cfg(loom)` the unit tests run the interleavings of the models in
//! `models.rs` on loom's atomics; all else is compiled alike.

#[cfg(not(all(test, loom)))]
pub(super) use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(all(test, loom))]
pub(super) use loom::sync::atomic::Ordering;
#[cfg(all(test, loom))]
pub(super) use stepped::AtomicU64;

/// Loom's, each step of which meets every other.
///
/// Loom tries another order of two steps only if they meet in one word, and of
/// each word it remembers the last step alone. A thread that reads a word before it
/// changes it hides so that another's read came before, and orders are left out. So
/// every step changes one more word first, in a way that orders nothing.
#[cfg(all(test, loom))]
mod stepped {
    use loom::sync::atomic;

    use super::Ordering;

    loom::lazy_static! {
        static ref STEPS: atomic::AtomicU64 = atomic::AtomicU64::new(0);
    }

    fn step() {
        STEPS.fetch_or(0, Ordering::Relaxed);
    }

    #[derive(Debug)]
    pub(in crate::shared) struct AtomicU64(atomic::AtomicU64);

    impl AtomicU64 {
        pub(in crate::shared) fn new(word: u64) -> Self {
            Self(atomic::AtomicU64::new(word))
        }

        pub(in crate::shared) fn load(&self, order: Ordering) -> u64 {
            step();
            self.0.load(order)
        }

        pub(in crate::shared) fn store(&self, word: u64, order: Ordering) {
            step();
            self.0.store(word, order);
        }

        pub(in crate::shared) fn swap(&self, word: u64, order: Ordering) -> u64 {
            step();
            self.0.swap(word, order)
        }

        pub(in crate::shared) fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
            step();
            self.0.fetch_or(bits, order)
        }

        pub(in crate::shared) fn fetch_and(&self, bits: u64, order: Ordering) -> u64 {
            step();
            self.0.fetch_and(bits, order)
        }

        pub(in crate::shared) fn compare_exchange(
            &self,
            word: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            step();
            self.0.compare_exchange(word, new, success, failure)
        }

        pub(in crate::shared) fn compare_exchange_weak(
            &self,
            word: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            step();
            self.0.compare_exchange_weak(word, new, success, failure)
        }
    }
}

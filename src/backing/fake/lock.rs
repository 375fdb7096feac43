//! How many heap locks this thread holds: what lets the fake see a hook that is
//! called under one.
//!
//! A lock cannot be asked who holds it, so the locked heap counts here, in test
//! builds alone. By thread: another thread that holds the lock is no fault.
//!
//! Invariant: the depth is zero whenever no heap lock is held by this thread.

use core::cell::Cell;

std::thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// This thread holds a heap's lock while the value lives, be it by a panic that
/// it ends.
#[derive(Debug)]
pub(crate) struct Held(());

impl Held {
    /// Notes that this thread has taken a heap's lock.
    pub(crate) fn new() -> Self {
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        Self(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Fails if this thread holds a heap's lock.
pub(super) fn assert_unlocked(hook: &str) {
    let depth = DEPTH.with(Cell::get);
    assert!(depth == 0, "{hook} is called under the heap's lock");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_between_two_locks_is_fine() {
        drop(Held::new());
        assert_unlocked("sys_used");
        drop(Held::new());
    }

    #[test]
    fn another_threads_lock_is_no_fault() {
        let _held = Held::new();
        let other = std::thread::spawn(|| assert_unlocked("sys_used")).join();
        assert!(other.is_ok());
    }

    #[test]
    #[should_panic(expected = "under the heap's lock")]
    fn a_hook_under_the_lock_is_a_fault() {
        let _held = Held::new();
        assert_unlocked("sys_used");
    }

    #[test]
    fn a_panic_under_the_lock_gives_it_back() {
        let panicked = std::panic::catch_unwind(|| {
            let _held = Held::new();
            panic!("in the middle of a step");
        });
        assert!(panicked.is_err());
        assert_unlocked("sys_used");
    }
}

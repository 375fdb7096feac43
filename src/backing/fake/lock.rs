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

/// Notes that this thread has taken a heap's lock.
#[doc(hidden)]
pub(crate) fn enter_lock() {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
}

/// Notes that this thread gives a heap's lock back.
///
/// # Panics
///
/// If this thread holds none.
#[doc(hidden)]
pub(crate) fn leave_lock() {
    DEPTH.with(|depth| {
        assert!(depth.get() > 0, "a lock is given back that was never taken");
        depth.set(depth.get() - 1);
    });
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
        enter_lock();
        leave_lock();
        assert_unlocked("sys_used");
        enter_lock();
        leave_lock();
    }

    #[test]
    fn another_threads_lock_is_no_fault() {
        enter_lock();
        let other = std::thread::spawn(|| assert_unlocked("sys_used")).join();
        leave_lock();
        assert!(other.is_ok());
    }

    #[test]
    #[should_panic(expected = "under the heap's lock")]
    fn a_hook_under_the_lock_is_a_fault() {
        enter_lock();
        assert_unlocked("sys_used");
    }

    #[test]
    #[should_panic(expected = "never taken")]
    fn a_lock_is_not_given_back_twice() {
        enter_lock();
        leave_lock();
        leave_lock();
    }
}

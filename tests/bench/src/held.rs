//! How long a lock is held: noted by whoever holds it, read after each operation.
//!
//! Only while a pass asks for it, because to look at the clock takes as long as
//! what the lock is held for.

use std::cell::Cell;
use std::time::Instant;

std::thread_local! {
    static LONGEST: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Notes how long `critical` takes, if this thread was asked to.
pub fn during<R>(critical: impl FnOnce() -> R) -> R {
    let Some(longest) = LONGEST.get() else {
        return critical();
    };
    let begin = Instant::now();
    let done = critical();
    let took = begin.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32;
    LONGEST.set(Some(longest.max(took)));
    done
}

/// Asks this thread to note it from now on, or no longer.
pub fn watch(on: bool) {
    LONGEST.set(on.then_some(0));
}

/// Returns the longest since the last call, in nanoseconds; 0 if there was none.
pub fn take() -> u32 {
    let longest = LONGEST.get();
    LONGEST.set(longest.map(|_| 0));
    longest.unwrap_or(0)
}

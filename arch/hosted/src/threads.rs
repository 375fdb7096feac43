//! A process's threads as the CPUs of a shared heap.
//!
//! Each thread is a CPU: it takes the lowest number that no living thread has at
//! its first call, and gives it up when it ends. What the heap keeps for that CPU
//! then serves the next thread that takes the number.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use spanheap::Cpu;

/// The threads of this process, one CPU each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Threads {
    /// Makes this thread answer as the CPU `cpu`, for as long as it lives or until
    /// it is told otherwise: for whoever plays what several CPUs did.
    pub fn act_as(cpu: usize) {
        NUMBER.set(cpu);
    }
}

const NONE: usize = usize::MAX;

/// The numbers below `end` that nobody has.
struct Numbers {
    vacant: BTreeSet<usize>,
    end: usize,
}

static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers {
    vacant: BTreeSet::new(),
    end: 0,
});

/// Gives a thread's number up when the thread ends.
struct Held(usize);

impl Drop for Held {
    fn drop(&mut self) {
        let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.vacant.insert(self.0);
        NUMBER.set(NONE);
    }
}

std::thread_local! {
    /// Without a destructor, so that to read it is to read a word.
    static NUMBER: Cell<usize> = const { Cell::new(NONE) };
    static HELD: Cell<Option<Held>> = const { Cell::new(None) };
}

impl Cpu for Threads {
    #[inline]
    fn index(&self) -> usize {
        match NUMBER.get() {
            NONE => take_number(),
            number => number,
        }
    }
}

#[cold]
fn take_number() -> usize {
    let number = {
        let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.vacant.pop_first().unwrap_or_else(|| {
            numbers.end += 1;
            numbers.end - 1
        })
    };
    // A thread that is ending keeps none.
    match HELD.try_with(|held| held.set(Some(Held(number)))) {
        Ok(()) => NUMBER.set(number),
        Err(_) => {
            let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.vacant.insert(number);
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn a_thread_acts_as_another_cpu() {
        thread::spawn(|| {
            let own = Threads.index();
            Threads::act_as(own + 3);
            assert_eq!(Threads.index(), own + 3);
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn living_threads_have_different_numbers_and_ended_ones_leave_theirs() {
        let together = |count: usize| {
            let barrier = Barrier::new(count);
            let number = || {
                let number = Threads.index();
                barrier.wait();
                assert_eq!(Threads.index(), number);
                number
            };
            let mut numbers: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..count).map(|_| scope.spawn(number)).collect();
                let join =
                    |thread: thread::ScopedJoinHandle<'_, usize>| thread.join().expect("no panic");
                threads.into_iter().map(join).collect()
            });
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), count);
            numbers.last().copied()
        };
        let first = together(8);
        for _ in 0..5 {
            assert_eq!(together(8), first, "the numbers were not given up");
        }
    }
}

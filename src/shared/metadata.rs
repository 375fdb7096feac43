//! The memory of a shared heap's books: the page heap's, and the front tier's.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::page::Window;
use crate::span::Metadata;

/// Returns how many words of 8 bytes the front tier of a heap over `window`
/// takes, for `cpus` CPUs: about 0.014 % of the window, 128 bytes for each CPU, and
/// 128 more, because it begins with a cache line wherever its memory does. `None` if
/// the number overflows.
#[must_use]
pub const fn front_words(window: &Window, cpus: usize) -> Option<usize> {
    super::front::front_words(window.pages().get(), cpus)
}

/// The memory that a shared heap keeps its books in.
pub struct SharedMetadata<'m> {
    pub(super) heap: Metadata<'m>,
    pub(super) front: &'m [AtomicU64],
    pub(super) cpus: usize,
}

impl fmt::Debug for SharedMetadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the words: there may be millions.
        f.debug_struct("SharedMetadata")
            .field("heap", &self.heap)
            .field("front", &self.front.len())
            .field("cpus", &self.cpus)
            .finish()
    }
}

impl<'m> SharedMetadata<'m> {
    /// Takes the page heap's memory, and at least [`front_words`] words that are
    /// all zero, for `cpus` CPUs. More CPUs than that share places, which costs
    /// time.
    #[must_use]
    pub const fn new(heap: Metadata<'m>, front: &'m [AtomicU64], cpus: usize) -> Self {
        Self { heap, front, cpus }
    }
}

/// The words of a front tier, in a `static`.
#[derive(Debug)]
pub struct StaticFront<const WORDS: usize> {
    words: [AtomicU64; WORDS],
    taken: AtomicBool,
}

impl<const WORDS: usize> StaticFront<WORDS> {
    /// Makes the words; all zero, so that a `static` takes no space in the image.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            words: [const { AtomicU64::new(0) }; WORDS],
            taken: AtomicBool::new(false),
        }
    }

    /// Returns the words, once.
    pub fn take(&'static self) -> Option<&'static [AtomicU64]> {
        // Alone: only that it is given once matters.
        let taken = self.taken.swap(true, Ordering::Relaxed);
        (!taken).then_some(&self.words)
    }
}

impl<const WORDS: usize> Default for StaticFront<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::front::{Front, front_words};
    use super::*;
    use std::vec::Vec;

    #[test]
    fn cpus_have_lines_of_their_own_wherever_the_memory_begins() {
        let pages = 1024;
        let words = front_words(pages, 2).expect("a size");
        let memory: Vec<_> = (0..words + 16).map(|_| AtomicU64::new(0)).collect();
        for begin in 0..16 {
            let given = &memory[begin..begin + words];
            let front = Front::new(given, pages, 2).expect("enough, wherever it begins");
            assert!(Front::new(&given[..words - 16], pages, 2).is_none());
            let lines = [0, 1].map(|cpu| {
                let place = front.place(cpu, 0).expect("a CPU");
                core::ptr::from_ref(place.block) as usize
            });
            assert_eq!(lines.map(|line| line % 128), [0, 0]);
        }
    }
}

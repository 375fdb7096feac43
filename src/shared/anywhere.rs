//! The last pages: out of any block of any chunk, whoever owns that.
//!
//! Which chunks have a free page is in a list ([`Front::nonempty`]) that is wrong in one way
//! only: whoever makes a block's word other than zero puts the chunk in, and it is taken
//! out by who finds nothing there.

use super::atomic::{AtomicU64, Ordering};
use super::chunk::blocks;
use super::front::{Bits, Front};
use super::word::{BLOCK, find_run};

impl Front<'_> {
    /// Takes one page from wherever there is one: the lowest.
    pub(super) fn claim_anywhere(&self) -> Option<u32> {
        loop {
            let chunk = self.nonempty().first()?;
            let found = blocks(chunk)
                .find_map(|block| Some(block * BLOCK + claim_one(self.word(Bits::Free, block)?)?));
            if found.is_some() {
                return found;
            }
            self.nonempty().clear(chunk);
            // The second look.
            let mut words = self.words(Bits::Free, chunk).iter();
            if words.any(|word| word.load(Ordering::SeqCst) != 0) {
                self.nonempty().set(chunk);
            }
        }
    }

    /// Takes a run wherever there is one, looking at every word of a chunk with a free
    /// page.
    pub(super) fn take_run_anywhere(&self, count: u32) -> Option<u32> {
        let nonempty = self.nonempty();
        let chunks = (0..self.chunks()).filter(|&chunk| nonempty.contains(chunk));
        chunks.flat_map(blocks).find_map(|block| {
            let claimed = self.claim_run(block, count, |free| find_run(free, count))?;
            Some(block * BLOCK + claimed.0)
        })
    }
}

/// Takes the lowest free page of a block.
fn claim_one(word: &AtomicU64) -> Option<u32> {
    let mut free = word.load(Ordering::Relaxed);
    loop {
        if free == 0 {
            return None;
        }
        // As `claim_block`.
        match word.compare_exchange(free, free & (free - 1), Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => return Some(free.trailing_zeros()),
            Err(now) => free = now,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::front::front_words;
    use super::super::word::{BLOCKS, CHUNK};
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_last_pages_are_found_wherever_they_were_freed() {
        let words = front_words(CHUNK, 1).expect("a size");
        let memory: Vec<_> = (0..words).map(|_| AtomicU64::new(0)).collect();
        let front = Front::new(&memory, CHUNK, 1).expect("enough words");
        front.open(0, front.place(0, 0).expect("a CPU"));
        front.leave(0);
        let taken = core::iter::from_fn(|| front.take_run(BLOCK, 0));
        assert_eq!(taken.count(), BLOCKS);
        assert_eq!(front.claim_anywhere(), None);
        assert!(!front.nonempty().may_have_any(), "nobody looks there again");
        // A part of a run, a run, a page.
        let last = BLOCKS as u32 - 1;
        let parted = front.free_part(last * BLOCK, 2);
        assert_eq!(parted, Some(Ok(())));
        assert_eq!(front.take_run_anywhere(2), Some(last * BLOCK));
        assert_eq!(front.claim_anywhere(), None);
        assert_eq!(front.free_run(last * BLOCK, 2), Some(Ok(())));
        assert_eq!(front.claim_anywhere(), Some(last * BLOCK));
        assert_eq!(front.claim_anywhere(), Some(last * BLOCK + 1));
        assert_eq!(front.claim_anywhere(), None);
        assert_eq!(front.free_page(last * BLOCK), Some(Ok(())));
        assert_eq!(front.claim_anywhere(), Some(last * BLOCK));
    }
}

//! The machine's limit: a pair of compare-and-swaps, and nothing beside it.
//!
//! A page is claimed by clearing its bit, and given back by setting it. There
//! is no search: what a thread gave back last it claims next, and else the
//! page behind the one before. So the swaps meet the same words as the work
//! does, one after the other, each waiting for the one before it.
//!
//! Only single pages; whoever is full is found by going all the way round.

use std::sync::atomic::{AtomicU64, Ordering};

use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{About, Contender, Ground, Shareable, Side, Unable, name};

/// A pair of compare-and-swaps.
#[derive(Debug)]
pub struct Bare;

impl Contender for Bare {
    const ABOUT: About = About {
        side: Side::Floor,
        shared: true,
        runs: false,
        aligns: false,
        parts: false,
        ..About::peer(name::BARE, "")
    };
    type Books = Vec<AtomicU64>;
    type Runs<'b> = Claims<'b>;

    fn books(ground: &Ground) -> Result<Vec<AtomicU64>, Unable> {
        let words = ground.pages().div_ceil(64);
        Ok((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    fn runs<'b>(books: &'b mut Vec<AtomicU64>, ground: &Ground) -> Result<Claims<'b>, Unable> {
        for word in books.iter_mut() {
            *word.get_mut() = u64::MAX;
        }
        Ok(Claims {
            words: books,
            pages: ground.pages(),
            next: 0,
        })
    }
}

impl Shareable for Bare {
    fn handle<'b>(runs: &Self::Runs<'b>, thread: u32) -> impl PageRuns<Block = PageRange> + Send {
        Claims {
            next: runs.pages / 2 * (thread % 2),
            ..*runs
        }
    }
}

/// What one thread knows: the words, and which page it claims next.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'b> {
    words: &'b [AtomicU64],
    pages: u32,
    next: u32,
}

impl PageRuns for Claims<'_> {
    type Block = PageRange;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        if pages.get() != 1 {
            return Err(Denied::Unsupported);
        }
        for _ in 0..self.pages {
            let page = self.next;
            self.next = if page + 1 < self.pages { page + 1 } else { 0 };
            let (word, bit) = (&self.words[page as usize / 64], 1 << (page % 64));
            let mut seen = word.load(Ordering::Relaxed);
            while seen & bit != 0 {
                // Partner: the release in `free`.
                match word.compare_exchange_weak(
                    seen,
                    seen & !bit,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        return PageRange::new(Page::new(page), pages).ok_or(Denied::Exhausted);
                    }
                    Err(now) => seen = now,
                }
            }
        }
        Err(Denied::Exhausted)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        let page = block.start().number();
        let (word, bit) = (&self.words[page as usize / 64], 1 << (page % 64));
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            if seen & bit != 0 {
                return Err(Denied::Exhausted);
            }
            // Partner: the acquire in `alloc`.
            match word.compare_exchange_weak(seen, seen | bit, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        self.next = page;
        Ok(())
    }

    fn free_part(&mut self, _: PageRange, _: PageRange) -> Result<(), Denied> {
        Err(Denied::Unsupported)
    }
}

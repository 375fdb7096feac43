//! Whose a page is: what it says itself, in its own first and last words.
//!
//! Whoever is handed a page that is another's sees that, and so does the other;
//! and so does the owner of a page whose memory was taken away.

use core::sync::atomic::{AtomicU64, Ordering};

use spanheap::{Page, PageRange};
use spanheap_guest::pointer;

use crate::heap;

const PAGE: u64 = 4096;

/// Whose a page can be: a CPU's, its handler's, or nobody's but on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    const NOBODY: Self = Self(0);
    pub(crate) const ON_ITS_WAY: Self = Self(0xff);

    pub(crate) fn cpu(number: usize) -> Self {
        Self(1 + number as u64)
    }

    pub(crate) fn handler(number: usize) -> Self {
        Self(0x81 + number as u64)
    }

    /// Returns what the first word of a page of this owner's is, and of no other
    /// page or owner.
    fn stamp(self, page: Page) -> u64 {
        let number = u64::from(page.number()) + 1;
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & !0xff | self.0
    }

    /// Takes pages that were handed out, which shall be nobody's.
    pub(crate) fn claim(self, range: PageRange) {
        for page in range.pages() {
            let [first, last] = words(page);
            // Relaxed throughout: what is tested is whether the heap orders two
            // owners of a page.
            let before = first.swap(self.stamp(page), Ordering::Relaxed);
            let whose = Self(before & 0xff);
            assert!(
                whose == Self::NOBODY || before != whose.stamp(page),
                "page {} is {whose:x?}'s and {self:x?}'s",
                page.number()
            );
            last.store(!self.stamp(page), Ordering::Relaxed);
        }
    }

    /// Gives up pages, which shall still be as they were left.
    pub(crate) fn give_up(self, range: PageRange) {
        for page in range.pages() {
            let [first, last] = words(page);
            let stamp = self.stamp(page);
            let found = last.load(Ordering::Relaxed);
            assert_eq!(found, !stamp, "page {} was overwritten", page.number());
            let before = first.swap(Self::NOBODY.stamp(page), Ordering::Relaxed);
            assert_eq!(before, stamp, "page {} was overwritten", page.number());
        }
    }

    pub(crate) fn free(self, range: PageRange) {
        self.give_up(range);
        let freed = heap().free(range);
        freed.unwrap_or_else(|why| panic!("{range:?} of {self:x?}, in use: {why}"));
    }
}

/// Returns the first word of a page, and the last.
fn words(page: Page) -> [&'static AtomicU64; 2] {
    let at = heap().window().address_of(page);
    [at, at + PAGE - 8].map(|at| {
        // SAFETY: all memory is mapped there for good, words are aligned, and all
        // that are used are used as atomics.
        unsafe { AtomicU64::from_ptr(pointer(at)) }
    })
}

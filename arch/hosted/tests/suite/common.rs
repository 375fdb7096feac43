//! Stamps, ranges and heaps for the tests.
//!
//! A stamp is the page's number mixed with a seed, in the first and the last
//! word of the page: a page that was lost, swapped or cleared shows.

use spanheap::{MapEntry, Metadata, Page, PageCount, PageRange, Slot, Window};
use spanheap_hosted::{Batching, HostedBacking};

pub(crate) const BOTH: [Batching; 2] = [Batching::Vectored, Batching::Loop];

pub(crate) fn range(start: u32, pages: u32) -> PageRange {
    PageRange::new(Page::new(start), PageCount::new(pages)).expect("not empty")
}

/// The memory for a heap's books: a slot for every page, an entry for 16.
pub(crate) struct Books {
    slots: Vec<Slot>,
    map: Vec<MapEntry>,
}

impl Books {
    pub(crate) fn of(window: &Window) -> Self {
        let pages = window.pages().get() as usize;
        Self {
            slots: vec![Slot::VACANT; pages],
            map: vec![MapEntry::EMPTY; pages.div_ceil(16)],
        }
    }

    pub(crate) fn metadata(&mut self) -> Metadata<'_> {
        Metadata::new(&mut self.slots, &mut self.map)
    }
}

/// The first and the last word of each page of `range`.
fn words(backing: &HostedBacking, range: PageRange) -> impl Iterator<Item = (u64, *mut u64)> {
    let bytes = backing.pointer(range).expect("in the window");
    let page = backing.window().geometry().page_bytes() as usize;
    let start = bytes.as_ptr().cast::<u8>();
    range.pages().enumerate().flat_map(move |(index, number)| {
        [index * page, (index + 1) * page - 8]
            .map(|at| (u64::from(number.number()), start.wrapping_add(at).cast()))
    })
}

const fn stamp_of(page: u64, seed: u64) -> u64 {
    (page + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed | 1
}

/// Stamps pages, which are committed and the test's own.
pub(crate) fn stamp(backing: &HostedBacking, range: PageRange, seed: u64) {
    for (page, word) in words(backing, range) {
        // SAFETY: the words lie in pages that the test committed or was handed.
        unsafe { word.write(stamp_of(page, seed)) }
    }
}

/// Returns the pages, committed and the test's own, that do not hold `stamp`'s
/// stamp.
pub(crate) fn spoiled(backing: &HostedBacking, range: PageRange, seed: u64) -> usize {
    words(backing, range)
        // SAFETY: as in `stamp`.
        .filter(|&(page, word)| unsafe { word.read() } != stamp_of(page, seed))
        .count()
}

/// Returns whether every byte of the pages, committed and the test's own, is
/// zero.
pub(crate) fn is_zero(backing: &HostedBacking, range: PageRange) -> bool {
    let bytes = backing.pointer(range).expect("in the window");
    // SAFETY: the pages are committed, and the test writes to them on this
    // thread alone.
    let bytes = unsafe { bytes.as_ref() };
    bytes.iter().all(|&byte| byte == 0)
}

pub(crate) fn resident(backing: &HostedBacking) -> u64 {
    backing.usage().expect("/proc/self/smaps").resident_bytes
}

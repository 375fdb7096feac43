//! Live blocks, each page of them stamped, in a table of seats.
//!
//! The table lies in pages of the heap that it is about. A stamp is two words,
//! the first and the last of its page, which the block's number and the page's
//! place in it make different from all others: so a page that was handed out
//! twice is found, and one whose memory was given back under its owner.
//!
//! Blocks are freed by handle, and parts of blocks by address.
//!
//! Invariant: a seat is taken exactly while a page of its block lives.

use core::slice;

use spanheap::{Page, PageCount, PageRange, Span, Window};
use spanheap_guest::balloon::{Heap, PAGE};
use spanheap_guest::pointer;
use spanheap_guest_tape::Seat;

/// A block of which pages are alive.
#[derive(Clone, Copy)]
struct Block {
    span: Span,
    /// How many blocks were allocated before it.
    number: u32,
    /// How many of its pages live.
    left: u32,
}

/// The live blocks of a heap.
pub(crate) struct Live<'h> {
    heap: &'h Heap,
    window: Window,
    table: &'h mut [Option<Block>],
    blocks: u32,
    pages: u32,
}

impl<'h> Live<'h> {
    /// No blocks, in a table of `seats` seats, all of it written.
    pub(crate) fn new(heap: &'h Heap, seats: usize) -> Self {
        let bytes = (seats * size_of::<Option<Block>>()) as u64;
        let pages = PageCount::new(bytes.div_ceil(PAGE).max(1) as u32);
        let span = heap.alloc(pages).expect("memory for the table");
        let window = heap.window();
        let first = pointer::<Option<Block>>(window.address_of(span.range().start()));
        for seat in 0..seats {
            // SAFETY: the pages were just allocated, in the direct map, and so
            // many entries fit.
            unsafe { first.wrapping_add(seat).write(None) };
        }
        // SAFETY: all entries were written, and the pages are never freed, and
        // used by nothing else.
        let table = unsafe { slice::from_raw_parts_mut(first, seats) };
        Self {
            heap,
            window,
            table,
            blocks: 0,
            pages: 0,
        }
    }

    /// Returns how many pages live.
    pub(crate) const fn pages(&self) -> PageCount {
        PageCount::new(self.pages)
    }

    /// Allocates a block and stamps it.
    pub(crate) fn alloc(&mut self, seat: Seat, pages: PageCount) {
        let before = self.table[seat.index()];
        assert!(before.is_none(), "{seat:?} is taken");
        let span = match self.heap.alloc(pages) {
            Ok(span) => span,
            Err(why) => panic!("{} pages were refused: {why}", pages.get()),
        };
        let block = Block {
            span,
            number: self.blocks,
            left: pages.get(),
        };
        for (at, stamp) in self.stamps(&block, whole(&block)) {
            // SAFETY: a page of the block, which was just allocated.
            unsafe { at.write_volatile(stamp) };
        }
        self.table[seat.index()] = Some(block);
        self.blocks += 1;
        self.pages += pages.get();
    }

    /// Verifies a block and frees it.
    pub(crate) fn free(&mut self, seat: Seat) {
        let block = self.table[seat.index()].take().expect("a block");
        self.verify(&block, whole(&block));
        self.heap.free(block.span).expect("in use");
        self.pages -= block.left;
    }

    /// Verifies a part of a block, counted from its first page, and frees it.
    pub(crate) fn free_part(&mut self, seat: Seat, part: PageRange) {
        let mut block = self.table[seat.index()].expect("a block");
        self.verify(&block, part);
        let bytes = self.window.bytes_of(placed(&block, part));
        let freed = self.heap.free_part_at(bytes.start, part.count());
        freed.expect("in use");
        block.left -= part.count().get();
        self.table[seat.index()] = Some(block).filter(|block| block.left > 0);
        self.pages -= part.count().get();
    }

    /// Verifies pages of a block that live.
    pub(crate) fn alive(&self, seat: Seat, part: PageRange) {
        let block = self.table[seat.index()].expect("a block");
        self.verify(&block, part);
    }

    fn verify(&self, block: &Block, part: PageRange) {
        for (at, stamp) in self.stamps(block, part) {
            // SAFETY: a page of the block, which was not freed.
            let found = unsafe { at.read_volatile() };
            assert_eq!(
                found, stamp,
                "{at:p}, of block {}, was overwritten",
                block.number
            );
        }
    }

    /// Returns where the stamps of a part of a block are, and what they are.
    fn stamps(&self, block: &Block, part: PageRange) -> impl Iterator<Item = (*mut u64, u64)> {
        let window = self.window;
        // With a bit that no number reaches, so that none is zero.
        let number = (1 << 63) | u64::from(block.number) << 32;
        let pages = part.pages().zip(placed(block, part).pages());
        pages.flat_map(move |(index, page)| {
            let at = window.address_of(page);
            let stamp = number | u64::from(index.number());
            [(at, stamp), (at + PAGE - 8, !stamp)].map(|(at, stamp)| (pointer(at), stamp))
        })
    }
}

/// Returns all of a block's pages, counted from its first.
fn whole(block: &Block) -> PageRange {
    PageRange::new(Page::new(0), block.span.count()).expect("a block has pages")
}

/// Returns where a part of a block is.
fn placed(block: &Block, part: PageRange) -> PageRange {
    assert!(part.end().number() <= block.span.count().get());
    let start = block.span.range().start().number() + part.start().number();
    PageRange::new(Page::new(start), part.count()).expect("a part has pages")
}

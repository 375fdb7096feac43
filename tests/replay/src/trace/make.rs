//! A trace that nobody recorded, made operation by operation.
//!
//! For loads that are easier said than recorded: what is freed is named by the
//! seat that came with it, and time passes when the maker says so.
//!
//! Invariant: what was made so far is a trace; what cannot be is left out.

use spanheap::PageCount;

use super::{Class, Counts, Header, Op, Seat, Tick, Trace};

/// Makes a trace.
#[derive(Clone, Debug)]
pub struct Maker {
    page_bytes: u64,
    ops: Vec<Op>,
    ticks: Vec<Tick>,
    counts: Counts,
    now_ms: u64,
    /// By seat; none if the seat is vacant.
    lengths: Vec<PageCount>,
    vacant: Vec<Seat>,
    live: u64,
    peak_live: u64,
    peak_blocks: u32,
}

impl Maker {
    /// No operations yet, on pages of `page_bytes` bytes.
    #[must_use]
    pub const fn new(page_bytes: u64) -> Self {
        Self {
            page_bytes,
            ops: Vec::new(),
            ticks: Vec::new(),
            counts: Counts {
                events: 0,
                allocs: 0,
                frees: 0,
                partial_frees: 0,
            },
            now_ms: 0,
            lengths: Vec::new(),
            vacant: Vec::new(),
            live: 0,
            peak_live: 0,
            peak_blocks: 0,
        }
    }

    /// Allocates a block of `pages` pages, at least one.
    pub fn alloc(&mut self, pages: PageCount, class: Class) -> Seat {
        let pages = pages.max(PageCount::new(1));
        let seat = self.vacant.pop().unwrap_or_else(|| {
            self.lengths.push(PageCount::ZERO);
            Seat::new(self.lengths.len() as u32 - 1)
        });
        self.lengths[seat.index()] = pages;
        self.ops.push(Op::Alloc { seat, pages, class });
        self.counts.allocs += 1;
        self.counts.events += 1;
        self.live += u64::from(pages.get());
        self.peak_live = self.peak_live.max(self.live);
        let blocks = self.lengths.len() - self.vacant.len();
        self.peak_blocks = self.peak_blocks.max(blocks as u32);
        seat
    }

    /// Frees the block at `seat`, if there is one.
    pub fn free(&mut self, seat: Seat) {
        let Some(length) = self.lengths.get_mut(seat.index()) else {
            return;
        };
        let pages = std::mem::replace(length, PageCount::ZERO);
        if pages == PageCount::ZERO {
            return;
        }
        self.vacant.push(seat);
        self.ops.push(Op::Free { seat });
        self.counts.frees += 1;
        self.counts.events += 1;
        self.live -= u64::from(pages.get());
    }

    /// Lets `ms` milliseconds pass.
    pub fn pass(&mut self, ms: u64) {
        if ms == 0 {
            return;
        }
        self.now_ms = self.now_ms.saturating_add(ms);
        self.counts.events += 1;
        self.ticks.push(Tick {
            before: self.ops.len() as u32,
            at_ms: self.now_ms,
        });
    }

    /// Returns the time, in milliseconds since the trace began.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Returns the trace, in which `source` says what it is.
    #[must_use]
    pub fn finish(self, source: &str) -> Trace {
        Trace {
            header: Header {
                page_size: self.page_bytes,
                events: self.counts.events,
                allocs: self.counts.allocs,
                frees: self.counts.frees,
                partial_frees: 0,
                peak_live_pages: self.peak_live,
                ms: self.now_ms,
                source: source.into(),
            },
            counts: self.counts,
            ops: self.ops,
            ticks: self.ticks,
            switches: Vec::new(),
            seats: self.lengths.len() as u32,
            peak_pieces: self.peak_blocks,
            parts: Vec::new(),
        }
    }
}

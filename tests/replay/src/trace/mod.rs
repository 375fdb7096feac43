//! A recorded page trace, decoded into what a replay needs.
//!
//! The operations are one flat array of 12-byte values, so that a timing pass
//! reads little memory beside the allocator's own. Time and CPU changes stand
//! beside it, each naming the operation it precedes: a pass that has no use
//! for them does not even see them.
//!
//! A block is named by its *seat*: its place in the table where a program
//! keeps what it knows of its live blocks. Seats are reused as blocks are freed,
//! as such tables are, so that this one grows with the live blocks and not
//! with the length of the trace.
//!
//! Invariant: every operation is possible in the order given. A free names a
//! seat that is taken, a part lies within what remains of its block, and no
//! block of which a part was freed is freed as a whole.

mod decode;
mod error;
mod integers;
mod make;
mod read;
mod remains;

pub use error::{EventFault, TraceError};
pub use make::Maker;
pub use read::read;
pub use remains::{NotThere, Remains};

use serde::Deserialize;
use spanheap::{PageCount, PageRange};

/// A place in the table of live blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Seat(u32);

impl Seat {
    /// The seat at this index of the table.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// Returns the seat's index in the table.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a block's pages were asked for, as far as the recorder knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Kernel memory that stays where it is.
    Unmovable,
    /// User memory and page cache.
    Movable,
    /// Caches that can be dropped.
    Reclaimable,
    /// Anything else.
    Other,
}

/// One operation on the allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A block of `pages` pages is allocated and takes `seat`.
    Alloc {
        /// Where the block is kept.
        seat: Seat,
        /// How many pages: at least one.
        pages: PageCount,
        /// What for.
        class: Class,
    },
    /// The whole block at `seat` is freed.
    Free {
        /// Where the block is kept.
        seat: Seat,
    },
    /// A part of the block at `seat` is freed; which one, [`Trace::part`] says.
    FreePart {
        /// Where the block is kept.
        seat: Seat,
        /// The index of the part.
        part: u32,
    },
}

const _: () = assert!(size_of::<Op>() == 12);

/// Time that has passed before an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The index of the operation that comes next.
    pub before: u32,
    /// The time then, in milliseconds since the trace began.
    pub at_ms: u64,
}

/// A change of CPU before an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The index of the operation that comes next.
    pub before: u32,
    /// The CPU from then on.
    pub cpu: u32,
}

/// The line of JSON at the beginning of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Header {
    /// A page in bytes.
    pub page_size: u64,
    /// Events of every kind; some recorders leave time and CPU changes out.
    pub events: u64,
    /// Blocks allocated.
    pub allocs: u64,
    /// Frees, of which `partial_frees` were of a part of a block.
    pub frees: u64,
    /// Frees of a part of a block; a trace may have more than its header says.
    pub partial_frees: u64,
    /// The most pages alive at once.
    pub peak_live_pages: u64,
    /// The length of the recording in milliseconds.
    pub ms: u64,
    /// What was recorded, in words.
    pub source: String,
}

/// How many events of each kind a trace holds, as counted while it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events of every kind, time and CPU changes included.
    pub events: u64,
    /// Blocks allocated.
    pub allocs: u64,
    /// Blocks freed as a whole.
    pub frees: u64,
    /// Parts freed.
    pub partial_frees: u64,
}

impl Counts {
    /// Returns the number of operations on the allocator.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.allocs + self.frees + self.partial_frees
    }
}

/// A trace: possible from beginning to end, and as its header says.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What the header says.
    pub header: Header,
    /// What was counted.
    pub counts: Counts,
    /// The operations, in order.
    pub ops: Vec<Op>,
    /// When time passes, in order.
    pub ticks: Vec<Tick>,
    /// When the CPU changes, in order.
    pub switches: Vec<Switch>,
    /// How many seats the table of live blocks needs.
    pub seats: u32,
    /// The most spans in use at once: blocks, and pieces of blocks.
    pub peak_pieces: u32,
    parts: Vec<PageRange>,
}

impl Trace {
    /// Returns a part that is freed, counted from its block's first page.
    ///
    /// # Panics
    ///
    /// If `part` is not from an [`Op::FreePart`] of this trace.
    #[must_use]
    pub fn part(&self, part: u32) -> PageRange {
        self.parts[part as usize]
    }

    /// Returns a page's size in bytes.
    #[must_use]
    pub const fn page_bytes(&self) -> u64 {
        self.header.page_size
    }

    /// Returns the bytes in the most pages alive at once.
    #[must_use]
    pub const fn peak_live_bytes(&self) -> u64 {
        self.header
            .peak_live_pages
            .saturating_mul(self.header.page_size)
    }
}

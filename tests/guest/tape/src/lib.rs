//! A tape: what a guest is to do, event by event, as bytes.
//!
//! The runner writes it and the guest plays it, and both by this file, so that
//! they cannot differ about it. All that takes thought was done by whoever wrote
//! it: when to release, when to be measured, and which pages are alive at the
//! end. The guest needs no clock, no decompressor, and no books but a table of
//! its blocks: each event names the *seat* of its block in that table, and seats
//! are used again.
//!
//! A tape is records of four 32-bit words, lowest byte first. The first record
//! is the header, and each one behind it an event: its kind, and three words
//! that mean what the kind says, or zero. No kind is zero.
//!
//! Invariant: what [`Tape::events`] yields names a seat below [`Tape::seats`]
//! and never no pages. That events are possible in their order is the writer's
//! to see to.

#![no_std]

use core::fmt;

use spanheap::{Page, PageCount, PageRange};

/// The bytes of a record.
pub const RECORD_BYTES: usize = 16;

/// The first word of a tape.
const MAGIC: u32 = u32::from_le_bytes(*b"TAPE");

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

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Allocate a block, which takes the seat.
    Alloc {
        /// Where the block is kept.
        seat: Seat,
        /// How many pages: at least one.
        pages: PageCount,
    },
    /// Free the whole block at the seat.
    Free {
        /// Where the block is kept.
        seat: Seat,
    },
    /// Free a part of the block at the seat.
    FreePart {
        /// Where the block is kept.
        seat: Seat,
        /// The part, counted from the block's first page.
        part: PageRange,
    },
    /// Release all that is idle.
    Release,
    /// Be measured.
    Sample {
        /// Milliseconds since the beginning.
        at_ms: u64,
    },
    /// These pages of the block at the seat are alive, and nothing is freed any
    /// more.
    Alive {
        /// Where the block is kept.
        seat: Seat,
        /// The pages, counted from the block's first.
        part: PageRange,
    },
}

const ALLOC: u32 = 1;
const FREE: u32 = 2;
const FREE_PART: u32 = 3;
const RELEASE: u32 = 4;
const SAMPLE: u32 = 5;
const ALIVE: u32 = 6;

impl Event {
    /// Returns the event's record.
    #[must_use]
    pub fn encode(self) -> [u8; RECORD_BYTES] {
        let on_part = |kind, seat: Seat, part: PageRange| {
            [kind, seat.0, part.start().number(), part.count().get()]
        };
        record(match self {
            Self::Alloc { seat, pages } => [ALLOC, seat.0, 0, pages.get()],
            Self::Free { seat } => [FREE, seat.0, 0, 0],
            Self::FreePart { seat, part } => on_part(FREE_PART, seat, part),
            Self::Release => [RELEASE, 0, 0, 0],
            Self::Sample { at_ms } => [SAMPLE, at_ms as u32, (at_ms >> 32) as u32, 0],
            Self::Alive { seat, part } => on_part(ALIVE, seat, part),
        })
    }

    /// Reads a record; `None` if it is no event of a table of so many seats.
    fn decode(record: &[u8; RECORD_BYTES], seats: u32) -> Option<Self> {
        let [kind, first, second, third] = words(record);
        let seat = || Some(Seat(first)).filter(|_| first < seats);
        let part = || PageRange::new(Page::new(second), PageCount::new(third));
        Some(match (kind, second, third) {
            (ALLOC, 0, 1..) => Self::Alloc {
                seat: seat()?,
                pages: PageCount::new(third),
            },
            (FREE, 0, 0) => Self::Free { seat: seat()? },
            (FREE_PART, ..) => Self::FreePart {
                seat: seat()?,
                part: part()?,
            },
            (RELEASE, 0, 0) if first == 0 => Self::Release,
            (SAMPLE, _, 0) => Self::Sample {
                at_ms: u64::from(second) << 32 | u64::from(first),
            },
            (ALIVE, ..) => Self::Alive {
                seat: seat()?,
                part: part()?,
            },
            _ => return None,
        })
    }
}

/// What a tape begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The bytes of a page.
    pub page_bytes: u32,
    /// How many seats the table of live blocks needs.
    pub seats: u32,
    /// How many events there are.
    pub events: u32,
}

impl Header {
    /// Returns the header's record.
    #[must_use]
    pub fn encode(self) -> [u8; RECORD_BYTES] {
        record([MAGIC, self.page_bytes, self.seats, self.events])
    }
}

/// Why bytes are no tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapeError {
    /// They do not begin as one.
    Foreign,
    /// There are fewer or more of them than the header says.
    Length,
    /// This event, counted from 0, is none, or not one of this tape.
    Event(u32),
}

impl fmt::Display for TapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("this is no tape"),
            Self::Length => f.write_str("the tape is not as long as it says"),
            Self::Event(number) => write!(f, "event {number} of the tape is not valid"),
        }
    }
}

impl core::error::Error for TapeError {}

/// A tape that can be played.
#[derive(Clone, Copy, Debug)]
pub struct Tape<'t> {
    header: Header,
    records: &'t [[u8; RECORD_BYTES]],
}

impl<'t> Tape<'t> {
    /// Takes bytes for a tape.
    ///
    /// # Errors
    ///
    /// If they are none, or not a whole one.
    pub fn new(bytes: &'t [u8]) -> Result<Self, TapeError> {
        let (records, rest) = bytes.as_chunks();
        let (first, records) = records.split_first().ok_or(TapeError::Foreign)?;
        let [magic, page_bytes, seats, events] = words(first);
        if magic != MAGIC {
            return Err(TapeError::Foreign);
        }
        if records.len() != events as usize || !rest.is_empty() {
            return Err(TapeError::Length);
        }
        let header = Header {
            page_bytes,
            seats,
            events,
        };
        Ok(Self { header, records })
    }

    /// Returns the bytes of a page.
    #[must_use]
    pub const fn page_bytes(&self) -> u64 {
        self.header.page_bytes as u64
    }

    /// Returns how many seats the table of live blocks needs.
    #[must_use]
    pub const fn seats(&self) -> usize {
        self.header.seats as usize
    }

    /// Returns the events, in order; an error in the place of one that is none.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, TapeError>> + use<'t> {
        let seats = self.header.seats;
        (0_u32..).zip(self.records).map(move |(number, record)| {
            Event::decode(record, seats).ok_or(TapeError::Event(number))
        })
    }
}

fn record(words: [u32; 4]) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    for (bytes, word) in record.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    record
}

fn words(record: &[u8; RECORD_BYTES]) -> [u32; 4] {
    let (bytes, _) = record.as_chunks();
    core::array::from_fn(|at| u32::from_le_bytes(bytes[at]))
}

#[cfg(test)]
mod tests;

//! Everything that can be wrong with a trace file.
//!
//! Each variant is a fact about the file; its text fits one line and holds no
//! byte of the file itself.

use std::io;

use thiserror::Error;

/// Why a file was not read as a trace.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// There is nothing in the file.
    #[error("the trace is empty")]
    Empty,
    /// The file is not gzip, or what was compressed is no page trace.
    #[error("this is no page trace: {0}")]
    Foreign(&'static str),
    /// The format is a later one than this program knows.
    #[error("the page trace is of a version other than 1")]
    Version,
    /// The file ends before the trace does.
    #[error("the trace is truncated: {0}")]
    Truncated(&'static str),
    /// The compressed data are damaged.
    #[error("the trace is corrupt: {0}")]
    Corrupt(&'static str),
    /// The line of JSON is none, or lacks a field.
    #[error("the trace's header is not valid: {0}")]
    Header(String),
    /// A page is no power of two, or of a size nobody uses.
    #[error("the trace's page size of {0} bytes is not a power of two from 1024 to 2097152")]
    PageSize(u64),
    /// The trace is longer than its header says, or than fits in memory.
    #[error("the trace has more than {limit} events")]
    TooLong {
        /// The most that it may have.
        limit: u64,
    },
    /// What was counted is not what the header says.
    #[error("the trace's header says {header} {what}, but the trace has {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// What the header says.
        header: u64,
        /// What the trace has.
        found: u64,
    },
    /// An event that cannot be.
    #[error("event {number} of the trace is not possible: {fault}")]
    Event {
        /// Which event, from 1.
        number: u64,
        /// Why not.
        fault: EventFault,
    },
    /// The file could not be read.
    #[error("the trace cannot be read: {0}")]
    Io(io::Error),
}

/// Why an event cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EventFault {
    /// An integer has more than 64 bits.
    #[error("an integer of more than 64 bits")]
    LongInteger,
    /// A block of no pages.
    #[error("a block of no pages")]
    NoPages,
    /// More pages than can be numbered.
    #[error("a block of more pages than can be numbered")]
    TooManyPages,
    /// A free of a block that was never allocated.
    #[error("a free of a block that was never allocated")]
    UnknownBlock,
    /// A free of a block that was freed.
    #[error("a free of a block that was freed before")]
    FreedBefore,
    /// A whole free of a block of which a part was freed.
    #[error("a whole free of a block of which a part was freed before")]
    FreedInPart,
    /// A free of a part of no pages.
    #[error("a free of a part of no pages")]
    EmptyPart,
    /// A part that reaches past its block, or that was freed before.
    #[error("a free of pages that are not, or no longer, of the block")]
    OutsideBlock,
    /// Time that does not fit 64 bits.
    #[error("more time than can be counted")]
    TooMuchTime,
    /// A CPU that cannot be numbered.
    #[error("a CPU that cannot be numbered")]
    BadCpu,
}

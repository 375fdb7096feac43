//! The handle to a span in use, and what an onlooker may know of any span.
//!
//! A handle is a plain value that names a slot, the slot's generation and the
//! heap. The heap believes none of it: a generation that has passed, or another
//! heap's number, is an error and changes nothing.

use crate::page::{PageCount, PageRange};
use crate::span::slot::SlotId;

/// A handle to a span in use: what was allocated, and what frees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "dropping a handle does not free its pages"]
pub struct Span {
    pub(crate) range: PageRange,
    pub(crate) slot: SlotId,
    pub(crate) generation: u32,
    pub(crate) heap: u32,
}

impl Span {
    /// Returns the span's pages.
    #[must_use]
    pub const fn range(&self) -> PageRange {
        self.range
    }

    /// Returns how many pages the span has: at least one.
    #[must_use]
    pub const fn count(&self) -> PageCount {
        self.range.count()
    }
}

/// The state of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanState {
    /// Handed out.
    InUse,
    /// Idle, and backed.
    Resident,
    /// Idle, and to be committed before it is used.
    Released,
    /// Idle, while the backing works on it.
    Detached,
}

/// What is known of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanInfo {
    /// The pages.
    pub range: PageRange,
    /// What they are.
    pub state: SpanState,
    /// For idle pages, whether they may hold anything but zeroes once they are
    /// committed. True for a span in use.
    pub needs_zero: bool,
}

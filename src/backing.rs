//! What is under the heap: the trait that commits and releases memory.
//!
//! The heap decides *which* pages; a backing does it, by page-table unmapping,
//! a hypervisor's balloon or `madvise`. The heap never calls it while it holds
//! a lock, so a backing may block, and may call the heap again.
//!
//! The life of one page, as the backing sees it:
//!
//! ```text
//!                      sys_unused (whole physical pages)
//!   ┌──────────┐ ────────────────────────────────────────► ┌──────────┐
//!   │ resident │                                           │ released │
//!   └──────────┘ ◄──────────────────────────────────────── └──────────┘
//!     │    ▲  ▲        sys_used (outward, idempotent)           │
//!     └────┘  └─ refused: stays as it is ──────────────────────►┘
//!     zero; sys_used beside a page that is already resident
//! ```
//!
//! Invariant: between two calls of `sys_unused` for a page there is one of
//! `sys_used` for it.

use crate::page::{PageCount, PageRange};

#[cfg(any(test, feature = "fake"))]
pub mod fake;

/// Whether memory is backed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Residency {
    /// The backing holds memory for it.
    Resident,
    /// It must be committed with `sys_used` before it is touched.
    Released,
}

/// The backing has no memory to give now. Carries a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What went wrong, in the backing's own terms (an `errno`, a device
    /// status); 0 if it has nothing to say.
    pub code: i32,
}

/// Memory that a backing adds to a heap that has none left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The new pages, inside the heap's window.
    pub range: PageRange,
    /// Whether they must be committed first.
    pub residency: Residency,
}

/// An internal link that cannot be: something else wrote to the heap's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Corruption {
    /// The slot that was asked for, or that holds the lie.
    pub slot: u32,
    /// How many slots there are.
    pub slots: u32,
}

/// Commits and releases physical pages.
///
/// Every method takes `&self`: the heap calls them outside of its lock, from
/// any CPU. Nobody else calls them for pages that a heap manages, unless these are in
/// use and the caller's, and resident again before they are freed. Ranges are in
/// pages of the heap's window
/// ([`Window::bytes_of`](crate::Window::bytes_of) gives addresses).
///
/// # Safety
///
/// The heap hands pages out on these promises:
///
/// * after `sys_used(range)` returned `Ok`, every byte of `range` can be read
///   and written until it is passed to `sys_unused`;
/// * no method changes a byte outside of what it was given, but for released
///   pages: `sys_used` rounds outward to physical pages, and keeps the contents
///   of every page there that is resident already;
/// * `zeroes_released` is true only if memory committed after a release reads
///   as zero.
#[expect(
    unsafe_code,
    reason = "the contract is about memory, which the heap itself never touches"
)]
pub unsafe trait Backing {
    /// Commits `range`, of which some or all pages are released.
    ///
    /// Rounds outward to physical pages itself; is idempotent; never discards
    /// what a page that is resident already holds.
    ///
    /// # Errors
    ///
    /// If there is no memory. Nothing in `range` is handed out then; pages it
    /// did commit may be committed again later.
    fn sys_used(&self, range: PageRange) -> Result<(), Refused>;

    /// Releases `ranges`, in the order given, and returns how many of them, a
    /// prefix, are released.
    ///
    /// Each range is made of whole physical pages, idle and resident; nobody
    /// touches them until the call returns.
    fn sys_unused(&self, ranges: &[PageRange]) -> usize;

    /// Fills `range`, which is resident and owned by the caller, with zeroes.
    fn zero(&self, range: PageRange);

    /// Returns whether memory that was released reads as zero once it is
    /// committed again. `false` unless the backing knows.
    fn zeroes_released(&self) -> bool {
        false
    }

    /// Asks for another region of at least `pages` pages, inside the heap's
    /// window; called when nothing fits, a region could serve and a slot is left
    /// to name it.
    ///
    /// A region that the heap cannot add
    /// ([`AllocError::BadGrowth`](crate::AllocError::BadGrowth)) is not given
    /// back.
    ///
    /// Whoever implements it promises of the region what
    /// [`PageHeap::add_region`](crate::PageHeap::add_region) asks for.
    fn grow(&self, pages: PageCount) -> Option<Growth> {
        let _ = pages;
        None
    }

    /// What happens when the heap's metadata was overwritten from outside.
    ///
    /// The heap cannot go on. The default panics with the numbers; a kernel
    /// that must not link a panic overrides it.
    fn corrupted(what: Corruption) -> !
    where
        Self: Sized,
    {
        panic!(
            "the heap's metadata was overwritten: slot {} of {}",
            what.slot, what.slots
        )
    }
}

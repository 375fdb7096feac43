//! The record of one span, for its whole life, and the index that names it.
//!
//! One record serves the address-ordered list, the treap and the pool's free
//! list, so that freeing a span never needs memory. 48 bytes: half a cache
//! line less than with pointers.
//!
//! A record of zeroes is a vacant one, which is why metadata is handed over
//! zeroed and set up in no time.

use core::num::NonZeroU32;

use bitflags::bitflags;

/// Names a slot of the pool. Not zero, so that an absent link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct SlotId(NonZeroU32);

impl SlotId {
    /// The slot at this index of the pool.
    pub(crate) const fn at(index: u32) -> Option<Self> {
        match NonZeroU32::new(index.wrapping_add(1)) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// Returns the slot's index in the pool.
    pub(crate) const fn index(self) -> u32 {
        self.0.get() - 1
    }
}

/// A slot, or none.
pub(crate) type Link = Option<SlotId>;

bitflags! {
    /// What a slot holds. No flag: nothing, it is vacant.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Marks: u8 {
        /// Handed out.
        const IN_USE = 1;
        /// In the treap.
        const FREE = 1 << 1;
        /// Idle, and in nobody's tree while the backing works on it.
        const DETACHED = 1 << 2;
        /// Idle, and not backed.
        const RELEASED = 1 << 3;
        /// May hold anything but zeroes.
        const NEEDS_ZERO = 1 << 4;
        /// The first span of a region: never merges with what lies before it.
        const REGION_START = 1 << 5;
        /// What a span takes over from one that merges into it.
        const INHERITED = Self::NEEDS_ZERO.bits() | Self::REGION_START.bits();
    }
}

bitflags! {
    /// Kinds of free span: exactly one of the first five, and perhaps `SEAM`.
    ///
    /// As a filter it stands for every span that is of one of its kinds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Kinds: u8 {
        /// Resident, with no whole physical page to release.
        const DUST = 1;
        /// Resident, with a whole physical page and no whole huge page.
        const RESIDENT = 1 << 1;
        /// Resident, with a whole huge page.
        const RESIDENT_HUGE = 1 << 2;
        /// Released, with no whole huge page.
        const RELEASED = 1 << 3;
        /// Released, with a whole huge page.
        const RELEASED_HUGE = 1 << 4;
        /// The next span is free, adjacent and of the other residency.
        const SEAM = 1 << 5;
        /// Either, with a whole huge page.
        const HUGE = Self::RESIDENT_HUGE.bits() | Self::RELEASED_HUGE.bits();
        /// Resident, with something to release.
        const RELEASABLE = Self::RESIDENT.bits() | Self::RESIDENT_HUGE.bits();
        /// Every free span.
        const ANY = Self::DUST.bits() | Self::RELEASABLE.bits()
            | Self::RELEASED.bits() | Self::HUGE.bits();
    }
}

/// The record of one span: a slot of the pool. All zeroes: vacant.
///
/// Opaque outside of the crate; public so that a caller can hand memory over.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Slot {
    // What a search reads comes first: it rarely crosses a cache line.
    /// The first page.
    pub(crate) start: u32,
    /// In the treap, the nodes below: lower addresses, higher addresses.
    pub(crate) child: [Link; 2],
    /// In the treap, the longest span below, on either side.
    pub(crate) longest: [u32; 2],
    /// In the treap, the kinds of span below, on either side.
    pub(crate) below: [Kinds; 2],
    /// Of a free span: its own kind.
    pub(crate) kinds: Kinds,
    /// What the slot holds.
    pub(crate) marks: Marks,
    /// The pages; not zero unless the slot is vacant.
    pub(crate) len: u32,
    /// In the treap, the node above.
    pub(crate) parent: Link,
    /// In the treap, the heap order: no less than the parent's.
    pub(crate) priority: u32,
    /// The span before this one in address order.
    pub(crate) prev: Link,
    /// The span behind this one in address order; in a vacant slot the next
    /// vacant one.
    pub(crate) next: Link,
    /// How often handles to this slot have become stale.
    pub(crate) generation: u32,
}

const _: () = assert!(size_of::<Slot>() == 48 && align_of::<Slot>() == 4);
const _: () = assert!(size_of::<Link>() == 4);

impl Slot {
    /// A slot that holds nothing.
    pub const VACANT: Self = Self {
        start: 0,
        len: 0,
        generation: 0,
        prev: None,
        next: None,
        parent: None,
        child: [None; 2],
        priority: 0,
        longest: [0; 2],
        below: [Kinds::empty(); 2],
        kinds: Kinds::empty(),
        marks: Marks::empty(),
    };

    /// Returns the page after the last.
    pub(crate) const fn end(&self) -> u32 {
        self.start.wrapping_add(self.len)
    }

    /// Returns whether the span is in the treap.
    pub(crate) const fn is_free(&self) -> bool {
        self.marks.contains(Marks::FREE)
    }

    /// Returns whether the span is idle and not backed.
    pub(crate) const fn is_released(&self) -> bool {
        self.marks.contains(Marks::RELEASED)
    }
}

//! One entry of a page table, as a value, and the levels it can stand on.
//!
//! The `x86_64` crate has a type for it, which knows two states: unused and
//! mapped. Here there is a third. An entry whose page was taken away still
//! remembers its frame and its flags: it is *held*, not present, so that a
//! touch faults, but one step away from what it was. So a release can be
//! undone, a frame is still known after the flush that must come before it is
//! given back, and a page comes back with the attributes that it had.
//!
//! A held entry has the bits of its address inverted. Some processors load
//! speculatively through an entry that is not present, out of the cache, by the
//! address in it (L1 terminal fault); inverted it names no memory.
//!
//! Bits used of those that are left to software: 9 in an entry that points to a
//! table, 10 in one that is not present. Whoever makes a backing promises that
//! nothing else uses them there.
//!
//! Invariant: an entry that is not present and has [`HELD`] set was made by
//! [`Entry::held`], and [`Entry::restored`] makes of it what it was.

use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;
use x86_64::structures::paging::page_table::PageTableFlags as Flags;

/// The bits of an address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const PRESENT: u64 = Flags::PRESENT.bits();
const LARGE: u64 = Flags::HUGE_PAGE.bits();
/// In an entry that points to a table: the table came from the reserve.
const OURS: u64 = Flags::BIT_9.bits();
/// In an entry that is not present: it remembers a page.
const HELD: u64 = Flags::BIT_10.bits();
/// What the processor sets by itself.
const TOUCHED: u64 = Flags::ACCESSED.bits() | Flags::DIRTY.bits();
/// The page attribute bit: a large page has its size bit where this is.
const SMALL_PAT: u64 = LARGE;
const LARGE_PAT: u64 = 1 << 12;

/// Entries in a table.
pub(crate) const ENTRIES: usize = 512;

/// How high in the tree of tables an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Each entry maps 4 KiB.
    One,
    /// Each entry maps 2 MiB.
    Two,
    /// Each entry maps 1 GiB.
    Three,
    /// Each entry points to a table for 512 GiB.
    Four,
}

impl Level {
    /// Returns how many bytes one entry is for.
    pub(crate) const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// Returns which entry of a table is for the byte at `address`.
    pub(crate) const fn index(self, address: u64) -> usize {
        (address >> self.shift()) as usize % ENTRIES
    }

    const fn shift(self) -> u32 {
        match self {
            Self::One => 12,
            Self::Two => 21,
            Self::Three => 30,
            Self::Four => 39,
        }
    }
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Empty,
    /// Here is a page.
    Leaf,
    /// Here was a page; this is the frame.
    Held,
    /// Here is a table of the next lower level.
    Table,
    /// Not present, and something that only another part of the kernel knows.
    Foreign,
}

/// An entry of a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    /// An entry that says nothing.
    pub(crate) const EMPTY: Self = Self(0);

    /// Makes an entry that maps a page of `level` to the frame at `address`.
    pub(crate) fn leaf(level: Level, address: PhysAddr, flags: Flags) -> Self {
        let size = match level {
            Level::One => 0,
            _ => LARGE,
        };
        Self(address.as_u64() | flags.bits() & !(ADDRESS | LARGE) | size | PRESENT)
    }

    /// Makes an entry that points to a table from the reserve, which maps what
    /// only the kernel may touch, or users too if `below` says so.
    pub(crate) fn table(frame: PhysFrame, below: Flags) -> Self {
        let users = below & Flags::USER_ACCESSIBLE;
        let flags = Flags::PRESENT | Flags::WRITABLE | users;
        Self(frame.start_address().as_u64() | flags.bits() | OURS)
    }

    /// Returns what an entry of this level says.
    pub(crate) const fn kind(self, level: Level) -> Kind {
        if self.0 == 0 {
            Kind::Empty
        } else if self.0 & PRESENT == 0 {
            if self.0 & HELD != 0 {
                Kind::Held
            } else {
                Kind::Foreign
            }
        } else if matches!(level, Level::One) || self.0 & LARGE != 0 {
            Kind::Leaf
        } else {
            Kind::Table
        }
    }

    /// Returns whether this points to a table that came from the reserve.
    pub(crate) const fn is_our_table(self) -> bool {
        self.0 & (PRESENT | LARGE | OURS) == PRESENT | OURS
    }

    /// Returns the frame of the table that this points to.
    pub(crate) const fn table_frame(self) -> PhysFrame {
        PhysFrame::containing_address(PhysAddr::new_truncate(self.0 & ADDRESS))
    }

    /// Returns a leaf's entry with the page taken away and remembered.
    pub(crate) const fn held(self) -> Self {
        Self((self.0 & !PRESENT | HELD) ^ ADDRESS)
    }

    /// Returns the leaf that this was before it was held.
    pub(crate) const fn restored(self) -> Self {
        Self((self.0 ^ ADDRESS) & !HELD | PRESENT)
    }

    /// Returns where the frame of a leaf lies, or that of a held one.
    pub(crate) const fn address(self, level: Level) -> PhysAddr {
        let present = self.as_leaf().0;
        let low = match level {
            Level::One => 0,
            // The page attribute bit is among them.
            _ => level.bytes() - 1,
        };
        PhysAddr::new_truncate(present & ADDRESS & !low)
    }

    /// Returns the flags of a leaf or a held one.
    pub(crate) const fn flags(self) -> Flags {
        Flags::from_bits_retain(self.as_leaf().0 & !ADDRESS)
    }

    /// Returns the entry, one level below `level`, that maps or remembers the
    /// part number `index` of what this leaf of `level` maps or remembers.
    pub(crate) const fn part(self, level: Level, index: usize) -> Self {
        let whole = self.as_leaf().0;
        let start = self.address(level).as_u64();
        let flags = whole & !(ADDRESS | LARGE);
        let attribute = whole & LARGE_PAT != 0;
        let part = match level {
            Level::Two => {
                let attribute = if attribute { SMALL_PAT } else { 0 };
                (start + index as u64 * Level::One.bytes()) | flags | attribute
            }
            _ => {
                let attribute = if attribute { LARGE_PAT } else { 0 };
                (start + index as u64 * Level::Two.bytes()) | flags | attribute | LARGE
            }
        };
        self.like(Self(part))
    }

    /// Returns the entry of 2 MiB of which this one of 4 KiB could be the first
    /// part; `None` if its frame does not begin a frame of 2 MiB.
    pub(crate) const fn whole(self) -> Option<Self> {
        let part = self.as_leaf().0;
        let address = part & ADDRESS;
        if !address.is_multiple_of(Level::Two.bytes()) {
            return None;
        }
        let attribute = if part & SMALL_PAT != 0 { LARGE_PAT } else { 0 };
        Some(self.like(Self(part | LARGE | attribute)))
    }

    /// Returns whether both are the same but for what the processor writes.
    pub(crate) const fn says_as(self, other: Self) -> bool {
        (self.0 ^ other.0) & !TOUCHED == 0
    }

    /// Returns the entry with the processor's marks set, so that a page that
    /// stands for several claims no less than any of them.
    pub(crate) const fn touched(self) -> Self {
        Self(self.0 | TOUCHED)
    }

    const fn is_held(self) -> bool {
        self.0 & (PRESENT | HELD) == HELD
    }

    const fn as_leaf(self) -> Self {
        if self.is_held() {
            self.restored()
        } else {
            self
        }
    }

    /// Returns `leaf`, held if this one is.
    const fn like(self, leaf: Self) -> Self {
        if self.is_held() { leaf.held() } else { leaf }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: PhysAddr = PhysAddr::new(0x1234_5600_0000 & !0x1f_ffff);

    fn sample(level: Level, more: u64) -> Entry {
        let flags = Flags::WRITABLE | Flags::GLOBAL | Flags::NO_EXECUTE | Flags::DIRTY;
        Entry(Entry::leaf(level, FRAME, flags).0 | more)
    }

    #[test]
    fn a_held_entry_comes_back_as_it_was_and_names_no_memory_meanwhile() {
        for level in [Level::One, Level::Two] {
            let leaf = sample(level, 0);
            let held = leaf.held();
            assert_eq!(leaf.kind(level), Kind::Leaf);
            assert_eq!(held.kind(level), Kind::Held);
            assert_eq!(held.0 & ADDRESS, !FRAME.as_u64() & ADDRESS);
            assert_eq!(held.address(level), FRAME);
            assert_eq!(held.flags(), leaf.flags());
            assert_eq!(held.restored(), leaf);
        }
    }

    #[test]
    fn the_parts_of_a_large_page_make_it_whole_again() {
        for attribute in [0, LARGE_PAT] {
            for leaf in [
                sample(Level::Two, attribute),
                sample(Level::Two, attribute).held(),
            ] {
                let first = leaf.part(Level::Two, 0);
                assert_eq!(first.whole(), Some(leaf));
                assert_eq!(first.kind(Level::One) == Kind::Held, leaf.is_held());
                let last = leaf.part(Level::Two, 511);
                assert_eq!(last.address(Level::One), FRAME + 511 * 4096_u64);
                assert_eq!(last.as_leaf().0 & SMALL_PAT != 0, attribute != 0);
                assert_eq!(last.whole(), None);
            }
        }
    }

    #[test]
    fn the_parts_of_a_giant_page_are_large_pages() {
        let leaf = Entry::leaf(Level::Three, PhysAddr::new(3 << 30), Flags::WRITABLE);
        let part = Entry(leaf.0 | LARGE_PAT).part(Level::Three, 7);
        assert_eq!(part.kind(Level::Two), Kind::Leaf);
        assert_eq!(
            part.address(Level::Two),
            PhysAddr::new((3 << 30) + (7 << 21))
        );
        assert_ne!(part.0 & LARGE_PAT, 0);
    }

    #[test]
    fn what_another_part_of_the_kernel_keeps_in_an_entry_is_not_taken_for_a_page() {
        assert_eq!(Entry(0xabcd_e000).kind(Level::One), Kind::Foreign);
        assert_eq!(Entry::EMPTY.kind(Level::One), Kind::Empty);
    }
}

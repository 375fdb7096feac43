//! What a heap is made over: page sizes, regions, the size of its books.
//!
//! Every setup is valid: bad regions and bad arguments are operations, not
//! setups.

use std::ops::RangeInclusive;

use proptest::prelude::*;
use spanheap::backing::fake::{FakeBacking, Reuse};
use spanheap::{
    Geometry, Growth, MapEntry, Metadata, PageCount, PageRange, Residency, Slot, Window,
};

use super::range;

/// A page in bytes.
pub(crate) const PAGE: u64 = 4096;

/// Everything that is decided before the first operation.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// A physical page in bytes.
    pub(crate) physical: u64,
    /// A huge page in bytes, or 0.
    pub(crate) huge: u64,
    pub(crate) origin: u64,
    /// The window in pages.
    pub(crate) pages: u32,
    pub(crate) slots: u32,
    /// Pages to an entry of the page map.
    pub(crate) grain: u32,
    pub(crate) reuse: Reuse,
    /// The regions that are there from the start.
    pub(crate) regions: Vec<(PageRange, Residency)>,
    /// The regions that operations may add.
    pub(crate) late: Vec<(PageRange, Residency)>,
    /// The regions that the backing may grow by.
    pub(crate) offers: Vec<(PageRange, Residency)>,
}

impl Setup {
    /// One region that fills its window; a slot for every page.
    pub(crate) fn plain(pages: u32, residency: Residency) -> Self {
        Self {
            physical: PAGE,
            huge: 0,
            origin: 1 << 30,
            pages,
            slots: pages,
            grain: 1,
            reuse: Reuse::Scribbles,
            regions: vec![(range(0, pages), residency)],
            late: Vec::new(),
            offers: Vec::new(),
        }
    }

    pub(crate) fn window(&self) -> Window {
        let geometry =
            Geometry::new(PAGE, self.physical, self.huge).expect("sizes that go together");
        Window::new(geometry, self.origin, PageCount::new(self.pages)).expect("a valid window")
    }

    pub(crate) fn books(&self) -> Books {
        Books {
            slots: vec![Slot::VACANT; self.slots as usize],
            map: vec![MapEntry::EMPTY; self.pages.div_ceil(self.grain) as usize],
        }
    }

    pub(crate) fn fake(&self) -> FakeBacking {
        let fake = FakeBacking::new(self.window()).with_reuse(self.reuse);
        for &(range, residency) in &self.offers {
            fake.offer(Growth { range, residency });
        }
        fake
    }
}

/// A heap's metadata, owned.
pub(crate) struct Books {
    slots: Vec<Slot>,
    map: Vec<MapEntry>,
}

impl Books {
    pub(crate) fn metadata(&mut self) -> Metadata<'_> {
        Metadata::new(&mut self.slots, &mut self.map)
    }
}

/// Any setup with these page sizes: one to five regions with gaps or without,
/// some of them late or grown; slots scarce or plenty.
pub(crate) fn setups(physical: u64, huge: u64) -> impl Strategy<Value = Setup> {
    let unit = (physical / PAGE).max(1) as u32;
    let huge_pages = (huge / PAGE) as u32;
    // Regions in physical pages: small ones, and some that hold huge pages.
    let lengths: RangeInclusive<u32> = match huge_pages {
        0..=64 => 1..=(48 / unit).max(3),
        _ => 1..=(3 * huge_pages / unit),
    };
    let gap = prop_oneof![2 => Just(0_u32), 1 => 1..4_u32];
    let residency = prop_oneof![Just(Residency::Resident), Just(Residency::Released)];
    let role = prop_oneof![4 => Just(Role::First), 1 => Just(Role::Late), 1 => Just(Role::Offer)];
    let region = (gap, lengths, residency, role);
    let slots = prop_oneof![1 => 1..12_u32, 1 => 12..40_u32, 3 => Just(u32::MAX)];
    let grain = (0..=6_u32).prop_map(|shift| 1 << shift);
    let reuse = prop_oneof![Just(Reuse::Zeroes), Just(Reuse::Scribbles)];
    let at_zero = prop::bool::weighted(0.1);
    let regions = prop::collection::vec(region, 1..=5);
    (regions, slots, grain, reuse, at_zero).prop_map(
        move |(regions, slots, grain, reuse, at_zero)| {
            let mut setup = Setup {
                physical,
                huge,
                // No rounder than it must be, so that an alignment of the page
                // number is not taken for one of the address.
                origin: if at_zero {
                    0
                } else {
                    (1 << 30) + 3 * physical.max(huge).max(PAGE)
                },
                pages: 0,
                slots: 0,
                grain,
                reuse,
                regions: Vec::new(),
                late: Vec::new(),
                offers: Vec::new(),
            };
            let mut page = if at_zero { unit } else { 0 };
            for (gap, length, residency, role) in regions {
                let start = page + gap * unit;
                page = start + length * unit;
                let list = match role {
                    Role::First => &mut setup.regions,
                    Role::Late => &mut setup.late,
                    Role::Offer => &mut setup.offers,
                };
                list.push((range(start, page), residency));
            }
            setup.pages = page + 1;
            setup.slots = slots.min(setup.pages).max(setup.regions.len() as u32);
            setup
        },
    )
}

/// When a region is added.
#[derive(Clone, Copy, Debug)]
enum Role {
    First,
    Late,
    Offer,
}

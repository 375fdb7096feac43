//! The boot memory map, made into the ranges that a heap may manage.
//!
//! Firmware and boot loaders report memory in bytes, in any order, unaligned
//! and overlapping, and a kernel adds what it has taken since: its image, its
//! page tables, the boot information itself. This file turns both lists into
//! whole pages, before there is anything to allocate from: a sweep over the two
//! slices by address, which reads each of them again for every range it finds
//! and stores nothing. Boot maps have a few dozen entries; O(n²) is enough.
//!
//! Reserved wins over usable, and every doubt goes against the page: a page is
//! managed only if all bytes of its physical page are usable, none is
//! reserved, and all lie in the window. The page at address 0 is never managed.
//!
//! Invariant: the sweep's position never moves back, so what it finds comes in
//! address order and is disjoint.

use core::iter::FusedIterator;
use core::ops::Range;

use crate::page::{Page, PageRange, Window};

/// A boot memory map: which bytes are memory, and which of them are taken.
///
/// The ranges of each list may come in any order, overlap, touch, start and
/// end anywhere; empty and inverted ones mean nothing.
///
/// # Examples
///
/// What a virtual machine with 4 GiB and a hole below 4 GiB reports, and what
/// its kernel has loaded:
///
/// ```
/// use spanheap::region::MemoryMap;
/// use spanheap::{Geometry, PageCount, Window};
///
/// let usable = [
///     0x1_0000_0000..0x1_4000_0000,
///     0x0000_0000..0x0009_fc00, // ends inside a page: the BIOS's data follows
///     0x0010_0000..0xbffd_9000,
/// ];
/// let reserved = [
///     0x0009_fc00..0x000a_0000,
///     0x000f_0000..0x0010_0000,
///     0xbffd_9000..0xc000_0000,
///     0x0020_0000..0x005a_7123, // the kernel's image
///     0x0001_0500..0x0001_0560, // the boot information
/// ];
/// let window = Window::new(Geometry::SMALL_PAGES, 0, PageCount::new(5 << 18))?;
///
/// let map = MemoryMap::new(&usable, &reserved);
/// let bytes: Vec<_> = map.ranges(&window).map(|range| window.bytes_of(range)).collect();
/// assert_eq!(
///     bytes,
///     [
///         0x0000_1000..0x0001_0000, // not the page at address 0
///         0x0001_1000..0x0009_f000,
///         0x0010_0000..0x0020_0000,
///         0x005a_8000..0xbffd_9000,
///         0x1_0000_0000..0x1_4000_0000,
///     ]
/// );
/// # Ok::<(), spanheap::WindowError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MemoryMap<'a> {
    usable: &'a [Range<u64>],
    reserved: &'a [Range<u64>],
}

impl<'a> MemoryMap<'a> {
    /// A map of the addresses that are memory, without those that are taken.
    #[must_use]
    pub const fn new(usable: &'a [Range<u64>], reserved: &'a [Range<u64>]) -> Self {
        Self { usable, reserved }
    }

    /// Returns the pages of `window` that a heap may manage: in address order,
    /// disjoint, each as long as it can be, made of whole physical pages.
    #[must_use]
    pub fn ranges(&self, window: &Window) -> ManagedRanges<'a> {
        let geometry = window.geometry();
        ManagedRanges {
            map: *self,
            window: *window,
            unit: geometry.page_bytes().max(geometry.physical_bytes()),
            run: 0..0,
            at: 0,
        }
    }
}

/// The managed ranges of a [`MemoryMap`]; see [`MemoryMap::ranges`].
#[derive(Clone, Debug)]
pub struct ManagedRanges<'a> {
    map: MemoryMap<'a>,
    window: Window,
    /// What every range is made of, in bytes: a page or a physical page,
    /// whichever is larger.
    unit: u64,
    /// The run of usable bytes that is being cut.
    run: Range<u64>,
    /// The first byte that was not looked at.
    at: u64,
}

impl ManagedRanges<'_> {
    /// Rounds an address down to a unit.
    const fn down(&self, address: u64) -> u64 {
        address & !(self.unit - 1)
    }

    /// Rounds an address up to a unit, if there is one above it.
    const fn up(&self, address: u64) -> Option<u64> {
        match address.checked_add(self.unit - 1) {
            Some(address) => Some(self.down(address)),
            None => None,
        }
    }

    /// Returns the first run of usable bytes at or behind `at`, with all that
    /// touches it merged in.
    fn usable_from(&self, at: u64) -> Option<Range<u64>> {
        let usable = self.map.usable;
        let open = usable
            .iter()
            .map(|range| range.start.max(at)..range.end)
            .filter(|range| !range.is_empty());
        let Range { start, mut end } = open.min_by_key(|range| range.start)?;
        // Each round takes in at least one range, or is the last.
        while let Some(further) = usable
            .iter()
            .filter(|range| range.start <= end && range.end > end)
            .map(|range| range.end)
            .max()
        {
            end = further;
        }
        Some(start..end)
    }

    /// Returns the reserved ranges; the byte at address 0 is one of them.
    fn reserved(&self) -> impl Iterator<Item = &Range<u64>> {
        core::iter::once(&(0..1))
            .chain(self.map.reserved)
            .filter(|range| !range.is_empty())
    }

    /// Returns the first stretch at or behind `at` that is not reserved, and
    /// ends where the next reserved one begins.
    fn unreserved_from(&self, mut at: u64) -> Range<u64> {
        while let Some(end) = self
            .reserved()
            .filter(|range| range.contains(&at))
            .map(|range| range.end)
            .max()
        {
            at = end;
        }
        let end = self.reserved().map(|range| range.start);
        at..end.filter(|&start| start > at).min().unwrap_or(u64::MAX)
    }

    /// Returns the whole units of `bytes` in the window, as pages. The bytes
    /// are rounded inward, which leaves out the page of every reserved byte.
    fn pages_inside(&self, bytes: Range<u64>) -> Option<PageRange> {
        let window_end = Page::new(self.window.pages().get());
        let start = self.up(bytes.start.max(self.window.origin()))?;
        let end = self.down(bytes.end.min(self.window.address_of(window_end)));
        let count = self.window.geometry().pages_for(end.checked_sub(start)?)?;
        PageRange::new(self.window.page_at(start).ok()?, count)
    }
}

impl Iterator for ManagedRanges<'_> {
    type Item = PageRange;

    fn next(&mut self) -> Option<PageRange> {
        loop {
            if self.at >= self.run.end {
                self.run = self.usable_from(self.at)?;
                self.at = self.run.start;
            }
            let free = self.unreserved_from(self.at);
            self.at = free.end.min(self.run.end);
            if let Some(range) = self.pages_inside(free.start..self.at) {
                return Some(range);
            }
        }
    }
}

impl FusedIterator for ManagedRanges<'_> {}

#[cfg(all(test, not(loom)))]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "lists of one range are meant"
)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::page::{Geometry, PageCount};

    const KIB4: u64 = 4096;

    fn window(origin: u64, pages: u32) -> Window {
        Window::new(Geometry::SMALL_PAGES, origin, PageCount::new(pages)).unwrap()
    }

    /// What the sweep finds, as page numbers.
    fn sweep(window: &Window, usable: &[Range<u64>], reserved: &[Range<u64>]) -> Vec<Range<u32>> {
        MemoryMap::new(usable, reserved)
            .ranges(window)
            .map(|range| range.start().number()..range.end().number())
            .collect()
    }

    /// What the sweep should find: every byte of every physical page looked at.
    fn naive(window: &Window, usable: &[Range<u64>], reserved: &[Range<u64>]) -> Vec<Range<u32>> {
        let good = |page: u32| {
            if page >= window.pages().get() || window.address_of(Page::new(page)) == 0 {
                return false;
            }
            let mut bytes =
                window.bytes_of(PageRange::new(Page::new(page), PageCount::new(1)).unwrap());
            bytes.all(|byte| {
                usable.iter().any(|range| range.contains(&byte))
                    && !reserved.iter().any(|range| range.contains(&byte))
            })
        };
        let step = window.geometry().physical_pages().get();
        let mut runs: Vec<Range<u32>> = Vec::new();
        for first in (0..window.pages().get()).step_by(step as usize) {
            if !(first..first + step).all(good) {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == first => run.end += step,
                _ => runs.push(first..first + step),
            }
        }
        runs
    }

    #[test]
    fn a_map_without_memory_has_no_ranges() {
        assert!(sweep(&window(0, 64), &[], &[]).is_empty());
        assert!(sweep(&window(0, 64), &[], &[0..u64::MAX]).is_empty());
    }

    #[test]
    fn empty_and_inverted_ranges_mean_nothing() {
        let window = window(0, 64);
        let inverted = Range {
            start: 32 * KIB4,
            end: 8 * KIB4,
        };
        let usable = [4 * KIB4..16 * KIB4, 20 * KIB4..20 * KIB4, inverted.clone()];
        let reserved = [8 * KIB4..8 * KIB4, inverted];
        assert_eq!(sweep(&window, &usable, &reserved), [4..16]);
    }

    #[test]
    fn ranges_that_touch_inside_a_page_make_it_whole() {
        let usable = [2 * KIB4 + 100..4 * KIB4, KIB4..2 * KIB4 + 100];
        assert_eq!(sweep(&window(0, 64), &usable, &[]), [1..4]);
        let with_a_gap = [2 * KIB4 + 101..4 * KIB4, KIB4..2 * KIB4 + 100];
        assert_eq!(sweep(&window(0, 64), &with_a_gap, &[]), [1..2, 3..4]);
    }

    #[test]
    fn a_reserved_byte_takes_its_page() {
        let reserved = [5 * KIB4 + 7..5 * KIB4 + 8];
        assert_eq!(
            sweep(&window(0, 64), &[KIB4..9 * KIB4], &reserved),
            [1..5, 6..9]
        );
    }

    #[test]
    fn the_page_at_address_zero_is_never_managed() {
        assert_eq!(sweep(&window(0, 64), &[0..8 * KIB4], &[]), [1..8]);
        let sixteen_kib = Geometry::new(KIB4, 4 * KIB4, 0).unwrap();
        let window = Window::new(sixteen_kib, 0, PageCount::new(64)).unwrap();
        assert_eq!(sweep(&window, &[0..8 * KIB4], &[]), [4..8]);
    }

    #[test]
    fn the_window_clips_and_a_cut_physical_page_is_left_out() {
        let origin = 1 << 30;
        assert_eq!(sweep(&window(origin, 64), &[0..u64::MAX], &[]), [0..64]);
        let sixteen_kib = Geometry::new(KIB4, 4 * KIB4, 0).unwrap();
        let window = Window::new(sixteen_kib, origin, PageCount::new(63)).unwrap();
        assert_eq!(sweep(&window, &[0..u64::MAX], &[]), [0..60]);
    }

    #[test]
    fn the_last_addresses_do_not_overflow() {
        let huge = 2 << 20;
        let origin = u64::MAX - (huge - 1);
        let window = window(origin, 511);
        let top = u64::MAX - KIB4;
        assert_eq!(sweep(&window, &[0..u64::MAX], &[]), [0..511]);
        assert_eq!(sweep(&window, &[0..u64::MAX], &[top..u64::MAX]), [0..510]);
        assert_eq!(sweep(&window, &[top..u64::MAX], &[]), []);
        assert_eq!(sweep(&window, &[u64::MAX - 1..u64::MAX], &[]), []);
    }

    /// Ranges of up to 96 bytes around a window's ends, some of them inverted.
    fn ranges_near(origin: u64) -> impl Strategy<Value = Vec<Range<u64>>> {
        let range = (-40_i64..300, -8_i64..96).prop_map(move |(start, length)| {
            let start = origin.saturating_add_signed(start);
            start..start.saturating_add_signed(length)
        });
        prop::collection::vec(range, 0..12)
    }

    fn maps() -> impl Strategy<Value = (Window, Vec<Range<u64>>, Vec<Range<u64>>)> {
        let origin = prop::sample::select(vec![0, 256, 1 << 40, u64::MAX - 255]);
        let sizes = (origin, 0_u32..4, 0_u32..6, 1_u32..64);
        sizes.prop_flat_map(|(origin, page, physical, pages)| {
            let geometry = Geometry::new(1 << page, 1 << physical, 0).unwrap();
            let pages = PageCount::new(pages.min(255 >> page));
            let window = Window::new(geometry, origin, pages).unwrap();
            (Just(window), ranges_near(origin), ranges_near(origin))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn the_sweep_finds_what_looking_at_every_byte_finds(
            (window, usable, reserved) in maps()
        ) {
            prop_assert_eq!(
                sweep(&window, &usable, &reserved),
                naive(&window, &usable, &reserved)
            );
        }
    }
}

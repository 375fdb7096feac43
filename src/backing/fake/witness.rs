//! What is committed and what every page holds: the second witness of a test.
//!
//! Knows nothing of spans. It believes what it was told of regions, watches the
//! hooks, and panics at the first call that a real machine would answer with a
//! fault or with somebody's lost data.
//!
//! Invariant: a unit's state changes by `add`, `used` and `unused` alone, and a
//! page's content is meaningful exactly while its unit is committed.

use std::vec::Vec;

use crate::backing::Residency;
use crate::page::{Page, PageRange, Window};

/// What a page holds that nobody has written since it was committed.
const GARBAGE: u64 = 0xBAAD_F00D_BAAD_F00D;

/// What becomes of a page's content when it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// Reads as zero once it is committed again, and the fake says so.
    Zeroes,
    /// Reads as anything but zero, and the fake promises nothing.
    Scribbles,
}

/// One physical page, or one page if that is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// In no region that the fake was told of.
    Unknown,
    Committed,
    Released,
}

/// The committed map and the contents.
#[derive(Debug)]
pub(super) struct Witness {
    window: Window,
    reuse: Reuse,
    units: Vec<Unit>,
    contents: Vec<u64>,
}

impl Witness {
    pub(super) fn new(window: Window, reuse: Reuse) -> Self {
        let pages = window.pages().get();
        let unit = window.geometry().physical_pages().get();
        Self {
            window,
            reuse,
            units: std::vec![Unit::Unknown; pages.div_ceil(unit) as usize],
            contents: std::vec![GARBAGE; pages as usize],
        }
    }

    pub(super) const fn reuse(&self) -> Reuse {
        self.reuse
    }

    pub(super) const fn set_reuse(&mut self, reuse: Reuse) {
        self.reuse = reuse;
    }

    /// Takes note of a new region.
    pub(super) fn add(&mut self, range: PageRange, residency: Residency) {
        assert!(self.can_add(range), "{range:?} is no region to add");
        let state = match residency {
            Residency::Resident => Unit::Committed,
            Residency::Released => Unit::Released,
        };
        let units = self.units_of(range);
        self.units[units].fill(state);
        self.contents[indices(range)].fill(GARBAGE);
    }

    /// Whether `range` is new, inside the window and of whole physical pages.
    pub(super) fn can_add(&self, range: PageRange) -> bool {
        self.is_inside(range)
            && self.is_whole(range)
            && self.units[self.units_of(range)]
                .iter()
                .all(|&unit| unit == Unit::Unknown)
    }

    /// Commits what is not committed of `range`, rounded outward.
    pub(super) fn used(&mut self, range: PageRange) {
        self.assert_inside("sys_used", range);
        for unit in self.units_of(range) {
            match self.units[unit] {
                Unit::Committed => {}
                Unit::Unknown => panic!("sys_used({range:?}) reaches out of every region"),
                Unit::Released => {
                    self.units[unit] = Unit::Committed;
                    let content = match self.reuse {
                        Reuse::Zeroes => 0,
                        Reuse::Scribbles => GARBAGE,
                    };
                    let pages = self.pages_of(unit);
                    self.contents[pages].fill(content);
                }
            }
        }
    }

    /// Panics unless every one of these ranges may be released, whether or not
    /// the fake then does it.
    pub(super) fn assert_releasable(&self, ranges: &[PageRange]) {
        assert!(!ranges.is_empty(), "sys_unused of nothing");
        for (index, &range) in ranges.iter().enumerate() {
            self.assert_inside("sys_unused", range);
            assert!(
                self.is_whole(range),
                "sys_unused({range:?}) cuts a physical page"
            );
            for unit in self.units_of(range) {
                assert!(
                    self.units[unit] != Unit::Unknown,
                    "sys_unused({range:?}) reaches out of every region"
                );
                assert!(
                    self.units[unit] == Unit::Committed,
                    "sys_unused({range:?}) releases page {} twice",
                    self.pages_of(unit).start
                );
            }
            for &other in &ranges[..index] {
                assert!(
                    range.intersection(other).is_none(),
                    "sys_unused of {other:?} and of {range:?} in one batch"
                );
            }
        }
    }

    /// Releases a range that [`assert_releasable`](Self::assert_releasable) let pass.
    pub(super) fn unused(&mut self, range: PageRange) {
        let units = self.units_of(range);
        self.units[units].fill(Unit::Released);
        self.contents[indices(range)].fill(GARBAGE);
    }

    /// Zeroes pages, all of them committed.
    pub(super) fn zero(&mut self, range: PageRange) {
        self.write("zero", range, 0);
    }

    /// Writes `content` to every page, as `who`.
    pub(super) fn write(&mut self, who: &str, range: PageRange, content: u64) {
        self.assert_inside(who, range);
        for page in range.pages() {
            assert!(
                self.is_committed(page),
                "{who}({range:?}) touches page {}, which is not backed",
                page.number()
            );
        }
        self.contents[indices(range)].fill(content);
    }

    pub(super) fn is_committed(&self, page: Page) -> bool {
        let unit = self.window.geometry().physical_pages().get();
        self.units.get((page.number() / unit) as usize) == Some(&Unit::Committed)
    }

    /// What a committed page holds.
    pub(super) fn read(&self, page: Page) -> Option<u64> {
        if self.is_committed(page) {
            self.contents.get(page.number() as usize).copied()
        } else {
            None
        }
    }

    fn is_inside(&self, range: PageRange) -> bool {
        range.end().number() <= self.window.pages().get()
    }

    fn assert_inside(&self, who: &str, range: PageRange) {
        assert!(
            self.is_inside(range),
            "{who}({range:?}) reaches out of the window"
        );
    }

    /// Whether both ends lie on physical pages.
    fn is_whole(&self, range: PageRange) -> bool {
        let unit = self.window.geometry().physical_pages().get();
        range.start().number().is_multiple_of(unit) && range.end().number().is_multiple_of(unit)
    }

    fn units_of(&self, range: PageRange) -> core::ops::Range<usize> {
        let unit = self.window.geometry().physical_pages().get();
        (range.start().number() / unit) as usize..range.end().number().div_ceil(unit) as usize
    }

    fn pages_of(&self, unit: usize) -> core::ops::Range<usize> {
        let pages = self.window.geometry().physical_pages().get() as usize;
        unit * pages..(unit * pages + pages).min(self.contents.len())
    }
}

fn indices(range: PageRange) -> core::ops::Range<usize> {
    range.start().number() as usize..range.end().number() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Geometry, PageCount};

    fn range(start: u32, end: u32) -> PageRange {
        PageRange::between(Page::new(start), Page::new(end)).unwrap()
    }

    /// 16 pages, two to a physical page; the first eight are one region.
    fn witness(residency: Residency, reuse: Reuse) -> Witness {
        let geometry = Geometry::new(4096, 8192, 0).unwrap();
        let window = Window::new(geometry, 1 << 20, PageCount::new(16)).unwrap();
        let mut witness = Witness::new(window, reuse);
        witness.add(range(0, 8), residency);
        witness
    }

    fn committed(witness: &Witness) -> Vec<u32> {
        (0..16)
            .filter(|&page| witness.is_committed(Page::new(page)))
            .collect()
    }

    #[test]
    fn using_rounds_outward_and_keeps_what_is_there() {
        let mut witness = witness(Residency::Released, Reuse::Zeroes);
        witness.used(range(1, 2));
        assert_eq!(committed(&witness), [0, 1]);
        witness.write("test", range(0, 1), 7);
        witness.used(range(1, 3));
        assert_eq!(committed(&witness), [0, 1, 2, 3]);
        assert_eq!(witness.read(Page::new(0)), Some(7));
        assert_eq!(witness.read(Page::new(2)), Some(0));
        assert_eq!(witness.read(Page::new(4)), None);
    }

    #[test]
    fn a_released_page_comes_back_as_the_fake_was_told() {
        for (reuse, content) in [(Reuse::Zeroes, 0), (Reuse::Scribbles, GARBAGE)] {
            let mut witness = witness(Residency::Resident, reuse);
            witness.write("test", range(2, 4), 7);
            witness.assert_releasable(&[range(2, 4)]);
            witness.unused(range(2, 4));
            assert_eq!(committed(&witness), [0, 1, 4, 5, 6, 7]);
            witness.used(range(2, 3));
            assert_eq!(witness.read(Page::new(2)), Some(content));
            assert_eq!(witness.read(Page::new(3)), Some(content));
        }
    }

    #[test]
    #[should_panic(expected = "releases page 2 twice")]
    fn releasing_twice_is_a_fault() {
        let mut witness = witness(Residency::Resident, Reuse::Zeroes);
        witness.unused(range(2, 4));
        witness.assert_releasable(&[range(0, 4)]);
    }

    #[test]
    #[should_panic(expected = "in one batch")]
    fn releasing_twice_in_one_batch_is_a_fault() {
        let witness = witness(Residency::Resident, Reuse::Zeroes);
        witness.assert_releasable(&[range(2, 4), range(0, 4)]);
    }

    #[test]
    #[should_panic(expected = "cuts a physical page")]
    fn releasing_half_a_physical_page_is_a_fault() {
        let witness = witness(Residency::Resident, Reuse::Zeroes);
        witness.assert_releasable(&[range(2, 5)]);
    }

    #[test]
    #[should_panic(expected = "of nothing")]
    fn releasing_an_empty_batch_is_a_fault() {
        let witness = witness(Residency::Resident, Reuse::Zeroes);
        witness.assert_releasable(&[]);
    }

    #[test]
    #[should_panic(expected = "reaches out of every region")]
    fn releasing_unmanaged_pages_is_a_fault() {
        let witness = witness(Residency::Resident, Reuse::Zeroes);
        witness.assert_releasable(&[range(6, 10)]);
    }

    #[test]
    #[should_panic(expected = "reaches out of every region")]
    fn using_unmanaged_pages_is_a_fault() {
        witness(Residency::Released, Reuse::Zeroes).used(range(7, 9));
    }

    #[test]
    #[should_panic(expected = "reaches out of the window")]
    fn using_pages_behind_the_window_is_a_fault() {
        witness(Residency::Released, Reuse::Zeroes).used(range(15, 17));
    }

    #[test]
    #[should_panic(expected = "which is not backed")]
    fn zeroing_a_released_page_is_a_fault() {
        let mut witness = witness(Residency::Released, Reuse::Zeroes);
        witness.used(range(0, 2));
        witness.zero(range(1, 3));
    }

    #[test]
    #[should_panic(expected = "is no region to add")]
    fn adding_a_region_twice_is_a_fault() {
        witness(Residency::Released, Reuse::Zeroes).add(range(6, 10), Residency::Resident);
    }
}

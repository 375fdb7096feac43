//! How long huge pages have been idle, and how long they stayed away before.
//!
//! One record for each huge page of the window. When its last page becomes free,
//! it is stamped; when it was released and is taken back, the time between is
//! kept, since that is the best guess of how long it will stay idle the next time.
//! Nothing is learnt from a huge page that was not released, so that handing out
//! resident pages costs nothing.
//!
//! Times are milliseconds on a clock of the caller's, which wrap after 49 days.
//! A stamp is the end of the interval in which the page became free (the next
//! call of the scavenger), so that nothing is thought older than it is. If that call
//! comes late, the stamps of the interval are put right. And a page that was taken
//! back was away until the interval began, so that none is thought to have stayed away
//! for longer than it did.

use crate::page::{Geometry, Window};

/// What is known of one huge page. All zeroes: nothing.
///
/// Opaque outside of the crate; public so that a caller can hand memory over.
#[derive(Clone, Copy, Debug)]
pub struct HugeAge {
    /// When its last page became free.
    since: u32,
    /// How long it was idle before it was last taken back, at least 1; 0: it never
    /// was.
    away: u32,
    /// Whether it was released since it became free.
    released: bool,
}

const _: () = assert!(size_of::<HugeAge>() == 12);

impl HugeAge {
    /// A huge page of which nothing is known.
    pub const UNKNOWN: Self = Self {
        since: 0,
        away: 0,
        released: false,
    };
}

/// For how long huge pages are held before they are given back, in milliseconds.
///
/// See [`Scavenger`](crate::Scavenger), which chooses these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The time now, on the clock of [`PageHeap::tick`](crate::PageHeap::tick).
    pub now: u32,
    /// One that was never taken back is held for so long.
    pub unknown: u32,
    /// One that was taken back within so long is held for so long.
    pub break_even: u32,
    /// One that stayed away for longer is held for so long.
    pub young: u32,
}

impl Hold {
    /// Holds every huge page for `ms` milliseconds.
    #[must_use]
    pub const fn fixed(now: u32, ms: u32) -> Self {
        Self {
            now,
            unknown: ms,
            break_even: ms,
            young: ms,
        }
    }
}

/// The records of a heap's huge pages.
#[derive(Debug)]
pub(crate) struct Ages<'m> {
    ages: &'m mut [HugeAge],
    /// The power of two that a huge page is in pages.
    shift: u32,
    /// That less one; all ones if no records are kept.
    mask: u32,
    /// When this interval began: what is taken back in it was away until then at
    /// least.
    begun: u32,
    /// When it ends: what becomes free in it is stamped with this.
    stamp: u32,
}

impl<'m> Ages<'m> {
    /// Keeps no records.
    pub(crate) const fn none() -> Self {
        Self {
            ages: &mut [],
            shift: 0,
            mask: u32::MAX,
            begun: 0,
            stamp: 0,
        }
    }

    /// Keeps records in `ages`. Those of huge pages for which there is none are not
    /// kept.
    pub(crate) fn new(ages: &'m mut [HugeAge], geometry: Geometry) -> Self {
        match geometry.huge_pages() {
            Some(pages) if !ages.is_empty() => Self {
                ages,
                shift: pages.get().trailing_zeros(),
                mask: pages.get() - 1,
                begun: 0,
                stamp: 0,
            },
            _ => Self::none(),
        }
    }

    /// Begins an interval.
    pub(crate) const fn tick(&mut self, now: u32, until: u32) {
        self.begun = now;
        self.stamp = until;
    }

    /// Of `count` records from the one at `from` on, takes those stamped with `early`
    /// to be stamped with `stamp`. Says no if there are none from there on.
    pub(crate) fn restamp(&mut self, from: usize, count: usize, early: u32) -> bool {
        let stamp = self.stamp;
        let Some(ages) = self.ages.get_mut(from..).filter(|ages| !ages.is_empty()) else {
            return false;
        };
        for age in ages.iter_mut().take(count) {
            if age.since == early && !age.released {
                age.since = stamp;
            }
        }
        true
    }

    /// Returns the stamp.
    pub(crate) const fn stamp(&self) -> u32 {
        self.stamp
    }

    /// Notes that `pages` became free, with all of `around` about them: a huge page
    /// that they completed is idle from now on. Both are from the first page to the one
    /// behind the last.
    #[inline]
    pub(crate) fn note_idle(&mut self, pages: (u32, u32), around: (u32, u32)) {
        // Nearly every free span is short.
        if around.1 - around.0 > self.mask {
            self.note_long_idle(pages, around);
        }
    }

    #[inline(never)]
    fn note_long_idle(&mut self, pages: (u32, u32), around: (u32, u32)) {
        let start = self.down(pages.0).max(self.up(around.0));
        let end = self.up(pages.1).min(self.down(around.1));
        if start < end {
            let stamp = self.stamp;
            for age in self.touched(start, end) {
                age.since = stamp;
                age.released = false;
            }
        }
    }

    /// Returns the start of the huge page that `page` is in; 0 if no records are kept.
    #[inline]
    pub(crate) const fn down(&self, page: u32) -> u32 {
        page & !self.mask
    }

    /// Returns the start of the first huge page that is not before `page`; 0 if no
    /// records are kept.
    #[inline]
    pub(crate) const fn up(&self, page: u32) -> u32 {
        page.saturating_add(self.mask) & !self.mask
    }

    /// Notes that these whole huge pages are released.
    pub(crate) fn note_released(&mut self, start: u32, end: u32) {
        for age in self.touched(start, end) {
            age.released = true;
        }
    }

    /// Notes that pages were taken back that had been released.
    pub(crate) fn note_taken_back(&mut self, start: u32, end: u32) {
        let begun = self.begun;
        for age in self.touched(start, end) {
            if age.released {
                age.released = false;
                age.away = elapsed(age.since, begun).max(1);
            }
        }
    }

    /// Returns how long the huge page that holds `page` must still be held: 0 if
    /// not at all.
    #[inline]
    pub(crate) fn left(&self, page: u32, hold: &Hold) -> u32 {
        let Some(age) = self.ages.get((page >> self.shift) as usize) else {
            return 0;
        };
        let held = match age.away {
            0 => hold.unknown,
            away if away < hold.break_even => hold.break_even,
            _ => hold.young,
        };
        held.saturating_sub(elapsed(age.since, hold.now))
    }

    fn touched(&mut self, start: u32, end: u32) -> &mut [HugeAge] {
        let (first, last) = (start >> self.shift, end.saturating_sub(1) >> self.shift);
        let end = (last as usize + 1).min(self.ages.len());
        self.ages.get_mut(first as usize..end).unwrap_or(&mut [])
    }
}

/// How far ahead of the time now a stamp may lie, in milliseconds: no scavenger
/// promises to call within so long. One further ahead is not of the future, but half
/// of the clock old, or of another scavenger's clock.
const AHEAD: u32 = 1 << 20;

/// Returns the time from `since` to `now`: none if `now` is earlier, and all there is
/// if nobody knows.
#[inline]
const fn elapsed(since: u32, now: u32) -> u32 {
    let passed = now.wrapping_sub(since);
    if passed <= u32::MAX / 2 {
        passed
    } else if since.wrapping_sub(now) <= AHEAD {
        0
    } else {
        u32::MAX
    }
}

/// Returns how many records a heap over `window` keeps.
pub(super) const fn entries(window: &Window) -> usize {
    match window.geometry().huge_pages() {
        Some(pages) => window.pages().get().div_ceil(pages.get()) as usize,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every page of the window is free.
    const ALL: (u32, u32) = (0, 1 << 20);

    const HOLD: Hold = Hold {
        now: 0,
        unknown: 50,
        break_even: 100,
        young: 10,
    };

    fn at(now: u32) -> Hold {
        Hold { now, ..HOLD }
    }

    fn ages(records: &mut [HugeAge]) -> Ages<'_> {
        Ages::new(records, Geometry::SMALL_PAGES)
    }

    #[test]
    fn what_was_taken_back_soon_is_held_for_longer_and_what_was_late_for_less() {
        let mut records = [HugeAge::UNKNOWN; 2];
        let mut ages = ages(&mut records);
        ages.tick(1000, 1000);
        ages.note_idle((511, 512), ALL);
        assert_eq!(ages.left(0, &at(1000)), 50, "nothing is known");
        for (away, held) in [(99, 100), (100, 10), (5000, 10), (0, 100)] {
            ages.note_released(0, 512);
            ages.tick(1000 + away, 1000 + away);
            ages.note_taken_back(3, 4);
            ages.tick(1000, 1000);
            ages.note_idle((0, 1), ALL);
            assert_eq!(ages.left(0, &at(1000)), held, "away for {away} ms");
            assert_eq!(ages.left(511, &at(1000 + held)), 0);
        }
        assert_eq!(ages.left(512, &at(1000)), 0, "the other one is as it was");
    }

    #[test]
    fn only_the_first_page_that_comes_back_says_how_long_it_was_away() {
        let mut records = [HugeAge::UNKNOWN; 1];
        let mut ages = ages(&mut records);
        ages.note_released(0, 512);
        ages.tick(99, 99);
        ages.note_taken_back(0, 1);
        ages.tick(7000, 7000);
        ages.note_taken_back(1, 2);
        ages.note_idle((0, 1), ALL);
        assert_eq!(ages.left(0, &at(7000)), 100);
    }

    #[test]
    fn within_an_interval_nothing_is_taken_to_be_idle_or_away_for_longer_than_it_was() {
        let mut records = [HugeAge::UNKNOWN; 1];
        let mut ages = ages(&mut records);
        ages.tick(1000, 1030);
        ages.note_idle((0, 512), ALL);
        assert_eq!(ages.left(0, &at(1030)), 50);
        ages.note_released(0, 512);
        // Taken back between these two: perhaps just after the first.
        ages.tick(1129, 1500);
        ages.note_taken_back(0, 1);
        ages.note_idle((0, 512), ALL);
        assert_eq!(ages.left(0, &at(1500)), 100);
    }

    #[test]
    fn the_stamps_of_an_interval_that_ended_late_are_put_right() {
        let mut records = [HugeAge::UNKNOWN; 4];
        let mut ages = ages(&mut records);
        ages.tick(0, 10);
        ages.note_idle((0, 512), ALL);
        ages.tick(10, 20);
        ages.note_idle((512, 1024), ALL);
        ages.note_idle((1536, 2048), ALL);
        ages.note_released(1536, 2048);
        ages.tick(45, 45);
        assert!(ages.restamp(0, 2, 20));
        assert!(ages.restamp(2, 2, 20));
        assert!(!ages.restamp(4, 2, 20));
        assert_eq!(ages.left(0, &at(45)), 15, "older than that interval");
        assert_eq!(ages.left(512, &at(45)), 50);
        assert_eq!(ages.left(1536, &at(45)), 25, "released since");
    }

    #[test]
    fn the_clock_may_wrap_and_may_go_backwards() {
        let mut records = [HugeAge::UNKNOWN; 1];
        let mut ages = ages(&mut records);
        ages.tick(u32::MAX - 9, u32::MAX - 9);
        ages.note_idle((0, 512), ALL);
        assert_eq!(ages.left(0, &at(10)), 30);
        assert_eq!(ages.left(0, &at(u32::MAX - 19)), 50, "before it was freed");
    }

    #[test]
    fn what_lay_idle_for_half_of_the_clock_is_old_and_not_of_the_future() {
        let mut records = [HugeAge::UNKNOWN; 1];
        let mut ages = ages(&mut records);
        ages.tick(7, 7);
        ages.note_idle((0, 512), ALL);
        for days in [1, 12, 24, 25, 30, 49] {
            let now = days * 24 * 3600 * 1000;
            assert_eq!(ages.left(0, &at(now)), 0, "after {days} days");
        }
        ages.tick(1 << 30, 1 << 30);
        ages.note_idle((0, 512), ALL);
        assert_eq!(ages.left(0, &at(0)), 0, "a clock that begins anew");
    }

    #[test]
    fn huge_pages_without_a_record_are_never_held() {
        let mut records = [HugeAge::UNKNOWN; 1];
        let mut ages = ages(&mut records);
        ages.tick(5, 5);
        ages.note_idle((0, 1 << 20), ALL);
        assert_eq!(ages.left(0, &at(5)), 50);
        assert_eq!(ages.left(512, &at(5)), 0);
        assert_eq!(Ages::none().left(7, &at(5)), 0);
    }
}

//! The scavenger: what it knows from one call to the next, and what it does when it
//! is polled. What others demand of it is in `demand`.

use super::amount::{idle_huge, round_down, scale};
use super::clock::{Clock, ms, wrapping_ms};
use super::heap::Reclaim;
use super::peak::Peak;
use super::policy::Policy;
use super::purse::Purse;
use crate::heap::{Budget, Release, ReleaseEnd, Stats};
use crate::page::PageCount;
use crate::span::Hold;

/// What costs are counted for.
const UNIT: u64 = 2 << 20;

/// The longest that nobody looks, nanoseconds: what becomes free meanwhile is taken
/// to be free since then only.
const LONGEST: u64 = 1_000_000_000;

const NS_PER_MS: u64 = 1_000_000;

/// A release that was not tried.
pub(super) const NOTHING: Release = Release {
    pages: PageCount::ZERO,
    calls: 0,
    end: ReleaseEnd::Drained,
};

/// Gives a heap's idle memory back at the right time; see [`Policy`].
///
/// For one heap, whose every call it is given. Times are nanoseconds on any clock
/// of the caller's: one that stands still, jumps or goes backwards does no harm.
///
/// # Examples
///
/// ```
/// # use spanheap::{Backing, Geometry, MapEntry, Metadata, Page, PageCount, PageHeap};
/// # use spanheap::{PageRange, Policy, Refused, Residency, Scavenger, Slot, Window};
/// # struct Nothing;
/// # // SAFETY: these pages are numbers only; nobody touches memory.
/// # unsafe impl Backing for Nothing {
/// #     fn sys_used(&self, _: PageRange) -> Result<(), Refused> { Ok(()) }
/// #     fn sys_unused(&self, ranges: &[PageRange]) -> usize { ranges.len() }
/// #     fn zero(&self, _: PageRange) {}
/// # }
/// # let (mut slots, mut map) = ([Slot::VACANT; 16], [MapEntry::EMPTY; 64]);
/// # let mut ages = [spanheap::HugeAge::UNKNOWN; 8];
/// # let window = Window::new(Geometry::SMALL_PAGES, 0x20_0000, PageCount::new(4096))?;
/// # let metadata = Metadata::new(&mut slots, &mut map).with_ages(&mut ages);
/// # let mut heap = PageHeap::new(window, metadata, Nothing)?;
/// # let all = PageRange::new(Page::new(0), PageCount::new(4096)).ok_or("no pages")?;
/// # // SAFETY: as above.
/// # unsafe { heap.add_region(all, Residency::Resident)? };
/// let mut scavenger = Scavenger::new(Policy::BALANCED);
/// let mut now = 0;
/// while heap.stats().huge_resident > 0 {
///     // In an idle loop, or from a timer that is set anew each time.
///     now = scavenger.poll(&mut heap, now);
/// }
/// assert!(now <= Policy::BALANCED.deadline_ns * 9 / 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scavenger {
    pub(super) policy: Policy,
    pub(super) clock: Clock,
    purse: Purse,
    pub(super) peak: Peak,
    /// Bytes that were released by this and not taken back since.
    returned: u64,
    /// What the heap said it had committed, in pages.
    committed: u64,
    /// For how long nobody need look while nothing becomes due.
    wait: u64,
    /// When it is to be called again, by the time that has passed.
    until: u64,
    /// What was in use then, and for how long it has been.
    demand: PageCount,
    still: u64,
}

impl Scavenger {
    /// Makes a scavenger, for a heap that it has not seen yet.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            clock: Clock::new(),
            purse: Purse::new(),
            peak: Peak::new(),
            returned: 0,
            committed: 0,
            wait: 0,
            until: 0,
            demand: PageCount::ZERO,
            still: 0,
        }
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Changes the policy, from the next call on.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Releases what is due at `now`, and returns when to call again. To call
    /// earlier does no harm, and to call later only holds memory for longer.
    ///
    /// Releases at most a [`step`](Policy::step), and reads one record for each huge
    /// page that is idle and resident.
    pub fn poll(&mut self, heap: &mut (impl Reclaim + ?Sized), now: u64) -> u64 {
        let stats = self.look_closely(heap, now);
        let policy = self.policy;
        let ms_now = wrapping_ms(self.clock.passed());
        if self.clock.passed() / NS_PER_MS > self.until / NS_PER_MS {
            heap.catch_up(ms_now);
        }
        let idle = idle_huge(&stats);
        let mut left = Budget::bytes(policy.step).calls(policy.calls);

        // What is overdue, whatever it costs.
        let overdue = Hold::fixed(ms_now, ms(policy.deadline_ns.max(policy.young_ns)));
        let above_minimum = idle.saturating_sub(policy.minimum);
        let first = self.release_some(heap, &mut left, above_minimum, overdue);

        // What is due, as long as there is something to pay with.
        let headroom = scale(self.peak.get(), policy.headroom.into(), 1000);
        let most = round_down(&stats, stats.bytes(stats.in_use) / 2);
        let keep = headroom.min(most).max(policy.minimum);
        let above_headroom = idle
            .saturating_sub(stats.bytes(first.pages))
            .saturating_sub(keep);
        let affordable = scale(self.purse.left(), UNIT, policy.costs.release_ns);
        let hold = match self.purse.left() {
            0 => overdue,
            _ => self.hold(&stats, ms_now),
        };
        let due = self.release_some(heap, &mut left, above_headroom.min(affordable), hold);

        // What completes huge pages that are released in part is no loss to anybody.
        let budget = left.held(hold).leftovers();
        let rest = self.release(heap, budget);

        let gone = [first, due, rest].map(|done| stats.bytes(done.pages));
        let gone = gone.into_iter().fold(0, u64::saturating_add);
        let ends = [first.end, due.end, rest.end];
        let held = ends.into_iter().filter_map(|end| match end {
            ReleaseEnd::Held(ms) => Some(u64::from(ms).saturating_mul(NS_PER_MS)),
            _ => None,
        });
        let quiet = self.quiet(gone);
        // The step is used up, and there may be more.
        let wait = if gone > 0 && ends.contains(&ReleaseEnd::Budget) {
            NS_PER_MS
        } else {
            held.fold(quiet, u64::min).max(NS_PER_MS)
        };
        self.until = self.clock.passed().wrapping_add(wait);
        heap.tick(ms_now, wrapping_ms(self.until));
        now.saturating_add(wait)
    }

    /// Releases at most so many bytes of whole huge pages that are not held, and takes
    /// what that used off the budget `left`.
    fn release_some(
        &mut self,
        heap: &mut (impl Reclaim + ?Sized),
        left: &mut Budget,
        bytes: u64,
        hold: Hold,
    ) -> Release {
        if bytes == 0 {
            return NOTHING;
        }
        let budget = Budget::bytes(bytes.min(left.bytes)).calls(left.calls);
        let done = self.release(heap, budget.held(hold));
        let gone = Reclaim::treap_stats(heap).bytes(done.pages);
        *left = Budget::bytes(left.bytes.saturating_sub(gone))
            .calls(left.calls.saturating_sub(done.calls));
        done
    }

    /// Returns for how long nobody need look if nothing becomes due: twice as long
    /// each time that nothing has changed, and no longer than it said if it is called
    /// before that.
    fn quiet(&mut self, gone: u64) -> u64 {
        let least = self.policy.young_ns.clamp(NS_PER_MS, LONGEST);
        if gone > 0 || self.still == 0 {
            self.wait = least;
            return least;
        }
        match self.until.checked_sub(self.clock.passed()) {
            Some(left) if left > 0 => left.min(LONGEST),
            _ => {
                self.wait = self.wait.saturating_mul(2).clamp(least, LONGEST);
                self.wait
            }
        }
    }

    /// The same as [`look`](Self::look); and what CPUs hold for themselves is made
    /// idle, once nothing has changed for a good part of the deadline.
    fn look_closely(&mut self, heap: &mut (impl Reclaim + ?Sized), now: u64) -> Stats {
        let before = self.clock.passed();
        let mut stats = self.look(heap, now);
        if stats.in_use != self.demand {
            self.demand = stats.in_use;
            self.still = 0;
            return stats;
        }
        let passed = self.clock.passed().wrapping_sub(before);
        let enough = self.policy.deadline_ns / 4;
        let was_enough = self.still >= enough;
        self.still = self.still.saturating_add(passed);
        if !was_enough && self.still >= enough {
            heap.gather();
            stats = Reclaim::treap_stats(heap);
            self.demand = stats.in_use;
        }
        stats
    }

    /// Lets time pass, pays for what was taken back, and notes the demand.
    pub(super) fn look(&mut self, heap: &mut (impl Reclaim + ?Sized), now: u64) -> Stats {
        let passed = self.clock.advance(now);
        let stats = Reclaim::treap_stats(heap);
        let room = self.room(&stats);
        self.purse.fill(passed, self.policy.share, room);
        let pages = stats.used_pages.saturating_sub(self.committed);
        self.committed = stats.used_pages;
        let page_bytes = stats.geometry.page_bytes();
        let taken_back = pages.saturating_mul(page_bytes).min(self.returned);
        self.returned -= taken_back;
        self.purse
            .spend(scale(taken_back, self.policy.costs.take_back_ns, UNIT));
        let demand = stats.bytes(stats.in_use);
        let time = self.clock.passed();
        self.peak.note(time, self.policy.deadline_ns, demand);
        stats
    }

    /// Returns what it costs to drain the heap once and to take it all back.
    fn room(&self, stats: &Stats) -> u64 {
        let costs = self.policy.costs;
        let each = costs.release_ns.saturating_add(costs.take_back_ns);
        scale(stats.bytes(stats.sys), each, UNIT)
    }

    /// Returns for how long what is held, with what the purse holds.
    fn hold(&self, stats: &Stats, now: u32) -> Hold {
        let dear = self
            .purse
            .dear(self.policy.break_even_ns(), self.room(stats));
        let young = self.policy.young_ns;
        Hold {
            now,
            unknown: ms(scale(dear, self.policy.unknown.into(), 1000).max(young)),
            break_even: ms(dear.max(young)),
            young: ms(young),
        }
    }

    /// Releases, and pays for it.
    pub(super) fn release(
        &mut self,
        heap: &mut (impl Reclaim + ?Sized),
        budget: Budget,
    ) -> Release {
        let done = heap.release(budget);
        let bytes = Reclaim::treap_stats(heap).bytes(done.pages);
        self.note_released(bytes);
        done
    }

    pub(super) fn note_released(&mut self, bytes: u64) {
        self.returned = self.returned.saturating_add(bytes);
        self.purse
            .spend(scale(bytes, self.policy.costs.release_ns, UNIT));
    }
}

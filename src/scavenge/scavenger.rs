//! The scavenger: what it knows from one call to the next, and its verbs.

use super::clock::{Clock, ms, wrapping_ms};
use super::heap::Reclaim;
use super::peak::Peak;
use super::policy::Policy;
use super::purse::Purse;
use crate::heap::{Budget, Release, ReleaseEnd, Stats};
use crate::page::PageCount;
use crate::span::Hold;

/// Of a huge page of which nothing is known, the hold in thousandths of the one at
/// which it breaks even: 1 / (e - 1).
const UNKNOWN: u64 = 582;

/// What costs are counted for.
const UNIT: u64 = 2 << 20;

/// The longest that nobody looks, nanoseconds: what becomes free meanwhile is taken
/// to be free since then only.
const LONGEST: u64 = 1_000_000_000;

const NS_PER_MS: u64 = 1_000_000;

/// How much the machine's owner wants memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// It would be of use: all whole huge pages go that are idle, but for the
    /// minimum.
    Moderate,
    /// Somebody will fail without it: all that is idle goes, the minimum too, and
    /// free pages inside of huge pages that are in use.
    Severe,
}

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
    policy: Policy,
    clock: Clock,
    purse: Purse,
    peak: Peak,
    /// Bytes that were released by this and not taken back since.
    returned: u64,
    /// What the heap said it had committed, in pages.
    committed: u64,
    /// For how long nobody need look while nothing becomes due.
    wait: u64,
    /// When it is to be called again, by the time that has passed.
    until: u64,
    /// What was in use then.
    demand: PageCount,
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
    pub fn poll(&mut self, heap: &mut impl Reclaim, now: u64) -> u64 {
        let stats = self.look(heap, now);
        let policy = self.policy;
        let ms_now = wrapping_ms(self.clock.passed());
        if self.clock.passed() / NS_PER_MS > self.until / NS_PER_MS {
            heap.catch_up(ms_now);
        }
        let idle = idle_huge(&stats);

        // What is overdue, whatever it costs.
        let above_minimum = idle.saturating_sub(policy.minimum);
        let hold = Hold::fixed(ms_now, ms(policy.deadline_ns.max(policy.young_ns)));
        let budget = Budget::bytes(above_minimum.min(policy.step)).held(hold);
        let overdue = self.release(heap, budget.calls(policy.calls));
        let gone = stats.bytes(overdue.pages);

        // What is due, as long as there is something to pay with.
        let headroom = scale(self.peak.get(), policy.headroom.into(), 1000);
        let above_headroom = idle
            .saturating_sub(gone)
            .saturating_sub(headroom.max(policy.minimum));
        let affordable = scale(self.purse.left(), UNIT, policy.costs.release_ns);
        let step = policy.step.saturating_sub(gone);
        let bytes = above_headroom.min(affordable).min(step);
        let due = (bytes > 0).then(|| {
            let budget = Budget::bytes(bytes).held(self.hold(&stats, ms_now));
            self.release(
                heap,
                budget.calls(policy.calls.saturating_sub(overdue.calls)),
            )
        });

        // The step is used up, and there is more.
        let gone = gone + due.map_or(0, |due| stats.bytes(due.pages));
        let ends = [Some(overdue.end), due.map(|due| due.end)];
        let is_cut = gone > 0 && ends.contains(&Some(ReleaseEnd::Budget));
        let held = ends.into_iter().flatten().filter_map(|end| match end {
            ReleaseEnd::Held(ms) => Some(u64::from(ms).saturating_mul(NS_PER_MS)),
            _ => None,
        });
        let quiet = self.quiet(&stats, gone);
        let wait = if is_cut {
            NS_PER_MS
        } else {
            held.fold(quiet, u64::min).max(NS_PER_MS)
        };
        self.demand = stats.in_use;
        self.until = self.clock.passed().wrapping_add(wait);
        heap.tick(ms_now, wrapping_ms(self.until));
        now.saturating_add(wait)
    }

    /// Returns for how long nobody need look if nothing becomes due: twice as long
    /// each time that nothing has changed, and no longer than it said if it is called
    /// before that.
    fn quiet(&mut self, stats: &Stats, gone: u64) -> u64 {
        let least = self.policy.young_ns.clamp(NS_PER_MS, LONGEST);
        if gone > 0 || stats.in_use != self.demand {
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

    /// The system goes to sleep: all that is idle goes at once, but for the minimum,
    /// and the past peak is forgotten.
    pub fn idle(&mut self, heap: &mut impl Reclaim, now: u64) -> Release {
        self.peak.forget();
        heap.gather();
        let stats = self.look(heap, now);
        let bytes = idle_resident(&stats).saturating_sub(self.policy.minimum);
        self.release(heap, Budget::bytes(bytes))
    }

    /// The machine's owner wants memory.
    pub fn pressure(&mut self, heap: &mut impl Reclaim, now: u64, level: Pressure) -> Release {
        heap.gather();
        let stats = self.look(heap, now);
        match level {
            Pressure::Moderate => {
                let bytes = idle_huge(&stats).saturating_sub(self.policy.minimum);
                self.release(heap, self.huge_pages(bytes))
            }
            Pressure::Severe => self.reclaim_all(heap, u64::MAX, &stats),
        }
    }

    /// The machine's owner wants so many bytes: what a balloon's target asks for.
    /// Whole huge pages go first, rounded up to one; the minimum and pages inside of
    /// huge pages that are in use only if they must.
    pub fn reclaim(&mut self, heap: &mut impl Reclaim, now: u64, bytes: u64) -> Release {
        heap.gather();
        let stats = self.look(heap, now);
        self.reclaim_all(heap, bytes, &stats)
    }

    /// Sets the most bytes that may be resident, and releases what is idle beyond
    /// it. What is in use stays, if that is more: then nothing more is committed
    /// until it is less. `u64::MAX`: no limit.
    pub fn set_limit(&mut self, heap: &mut impl Reclaim, now: u64, bytes: u64) -> Release {
        heap.set_limit(bytes);
        let stats = Reclaim::stats(heap);
        let over = stats.bytes(stats.resident()).saturating_sub(bytes);
        self.reclaim(heap, now, over)
    }

    fn reclaim_all(&mut self, heap: &mut impl Reclaim, bytes: u64, stats: &Stats) -> Release {
        let geometry = stats.geometry;
        let physical = stats.bytes(geometry.physical_pages());
        let huge = geometry
            .huge_pages()
            .map_or(physical, |pages| stats.bytes(pages));
        let mut done = Release {
            pages: PageCount::ZERO,
            calls: 0,
            end: ReleaseEnd::Drained,
        };
        // If all of it must go, no span need be cut.
        if bytes < idle_resident(stats) {
            let whole = self.huge_pages(round_up(bytes, huge));
            done = plus(done, self.release(heap, whole));
        }
        let left = bytes.saturating_sub(stats.bytes(done.pages));
        if left > 0 && done.end != ReleaseEnd::Refused {
            let any = Budget::bytes(round_up(left, physical));
            done = plus(done, self.release(heap, any));
        }
        let left = bytes.saturating_sub(stats.bytes(done.pages));
        if left > 0 && done.end != ReleaseEnd::Refused {
            let inside = heap.release_inside(Budget::bytes(round_up(left, physical)));
            self.note_released(stats.bytes(inside.pages));
            done = plus(done, inside);
        }
        done
    }

    /// So many bytes of whole huge pages, however young.
    fn huge_pages(&self, bytes: u64) -> Budget {
        Budget::bytes(bytes).held(Hold::fixed(wrapping_ms(self.clock.passed()), 0))
    }

    /// Lets time pass, pays for what was taken back, and notes the demand.
    fn look(&mut self, heap: &mut impl Reclaim, now: u64) -> Stats {
        let passed = self.clock.advance(now);
        let stats = Reclaim::stats(heap);
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
            unknown: ms(scale(dear, UNKNOWN, 1000).max(young)),
            break_even: ms(dear.max(young)),
            young: ms(young),
        }
    }

    /// Releases, and pays for it.
    fn release(&mut self, heap: &mut impl Reclaim, budget: Budget) -> Release {
        let done = heap.release(budget);
        let bytes = Reclaim::stats(heap).bytes(done.pages);
        self.note_released(bytes);
        done
    }

    fn note_released(&mut self, bytes: u64) {
        self.returned = self.returned.saturating_add(bytes);
        self.purse
            .spend(scale(bytes, self.policy.costs.release_ns, UNIT));
    }
}

/// Returns the bytes in whole huge pages that are idle and resident; all idle and
/// resident bytes, if there are no huge pages.
fn idle_huge(stats: &Stats) -> u64 {
    match stats.geometry.huge_pages() {
        Some(pages) => u64::from(stats.huge_resident) * stats.bytes(pages),
        None => idle_resident(stats),
    }
}

/// Returns the bytes that are idle and resident.
fn idle_resident(stats: &Stats) -> u64 {
    stats.bytes(stats.idle) - stats.bytes(stats.released)
}

/// Returns what two releases, one after the other, come to.
const fn plus(first: Release, then: Release) -> Release {
    Release {
        pages: PageCount::new(first.pages.get().saturating_add(then.pages.get())),
        calls: first.calls.saturating_add(then.calls),
        end: then.end,
    }
}

/// Returns `bytes`, rounded up to a multiple of `unit`, a power of two.
const fn round_up(bytes: u64, unit: u64) -> u64 {
    bytes.saturating_add(unit - 1) & !(unit - 1)
}

/// Returns `of` times `by` through `through`, which is not zero.
fn scale(of: u64, by: u64, through: u64) -> u64 {
    let scaled = u128::from(of) * u128::from(by) / u128::from(through.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

//! What others demand of a scavenger, at once: that the system goes to sleep, that
//! the machine's owner wants memory, or no more than so much of it to be used.

use super::amount::{idle_huge, idle_resident, plus, round_up};
use super::clock::wrapping_ms;
use super::heap::Reclaim;
use super::scavenger::{NOTHING, Scavenger};
use crate::heap::{Budget, Release, ReleaseEnd, Stats};
use crate::span::Hold;

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

impl Scavenger {
    /// The system goes to sleep: all that is idle goes at once, but for the minimum,
    /// and the past peak is forgotten.
    pub fn idle(&mut self, heap: &mut (impl Reclaim + ?Sized), now: u64) -> Release {
        self.peak.forget();
        heap.gather();
        let stats = self.look(heap, now);
        let bytes = idle_resident(&stats).saturating_sub(self.policy.minimum);
        self.release(heap, Budget::bytes(bytes))
    }

    /// The machine's owner wants memory.
    pub fn pressure(
        &mut self,
        heap: &mut (impl Reclaim + ?Sized),
        now: u64,
        level: Pressure,
    ) -> Release {
        heap.gather();
        let stats = self.look(heap, now);
        match level {
            Pressure::Moderate => {
                let bytes = idle_huge(&stats).saturating_sub(self.policy.minimum);
                let done = self.release(heap, self.huge_pages(bytes));
                if done.end == ReleaseEnd::Refused {
                    return done;
                }
                let rest = self.release(heap, self.huge_pages(u64::MAX).leftovers());
                plus(done, rest)
            }
            Pressure::Severe => self.reclaim_all(heap, u64::MAX, &stats),
        }
    }

    /// The machine's owner wants so many bytes: what a balloon's target asks for.
    /// Whole huge pages go first, rounded up to one; the minimum and pages inside of
    /// huge pages that are in use only if they must.
    pub fn reclaim(&mut self, heap: &mut (impl Reclaim + ?Sized), now: u64, bytes: u64) -> Release {
        heap.gather();
        let stats = self.look(heap, now);
        self.reclaim_all(heap, bytes, &stats)
    }

    /// Sets the most bytes that may be resident, and releases what is idle beyond
    /// it. What is in use stays, if that is more: then nothing more is committed
    /// until it is less. `u64::MAX`: no limit.
    pub fn set_limit(
        &mut self,
        heap: &mut (impl Reclaim + ?Sized),
        now: u64,
        bytes: u64,
    ) -> Release {
        heap.set_limit(bytes);
        let stats = Reclaim::treap_stats(heap);
        let over = stats.bytes(stats.resident()).saturating_sub(bytes);
        self.reclaim(heap, now, over)
    }

    fn reclaim_all(
        &mut self,
        heap: &mut (impl Reclaim + ?Sized),
        bytes: u64,
        stats: &Stats,
    ) -> Release {
        let geometry = stats.geometry;
        let physical = stats.bytes(geometry.physical_pages());
        let huge = geometry
            .huge_pages()
            .map_or(physical, |pages| stats.bytes(pages));
        let mut done = NOTHING;
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
}

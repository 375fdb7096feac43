//! What a scavenger is told: every number, its unit and its reason.

/// What releasing memory and taking it back costs, in nanoseconds of a CPU.
///
/// For 2 MiB, whatever the heap's huge page is. The defaults are what a hosted
/// backing over transparent huge pages costs, and a balloon over such memory about
/// the same: to take memory back costs some fifty times what it costs to release it,
/// because it is zeroed and mapped anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// To release 2 MiB.
    pub release_ns: u64,
    /// To take back 2 MiB, until it can be written to: the fault, the zeroing.
    pub take_back_ns: u64,
}

impl Costs {
    /// What was measured where the defaults were chosen.
    pub const USUAL: Self = Self {
        release_ns: 6_000,
        take_back_ns: 350_000,
    };
}

/// When, how much and at what cost a [`Scavenger`](super::Scavenger) gives memory
/// back.
///
/// Start from a preset and change what you know better:
///
/// ```
/// use spanheap::{Costs, Policy};
///
/// let policy = Policy {
///     minimum: 64 << 20,
///     costs: Costs { take_back_ns: 900_000, ..Costs::USUAL },
///     ..Policy::BALANCED
/// };
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What memory costs that is kept: nanoseconds of a CPU for one GiB and one
    /// second. Together with what taking back costs it says how long a huge page is
    /// held; see [`break_even_ns`](Self::break_even_ns).
    ///
    /// Balanced: 0.1 s. Clouds ask about as much for eight GiB as for a CPU.
    pub price_ns: u64,
    /// What releasing and taking back cost. To be [measured](Costs::measure) where it
    /// matters: under a slow hypervisor memory is to be held for longer.
    pub costs: Costs,
    /// A huge page of which nothing is known is held for so many thousandths of that.
    ///
    /// Balanced: 582, the mean of the best random hold (1 / (e - 1)). After a load has
    /// ended, all of it is such memory.
    pub unknown: u32,
    /// How much of one CPU all of it may cost, in millionths.
    ///
    /// Balanced: a hundredth, what Go's runtime allows its scavenger.
    pub share: u32,
    /// So many bytes of whole, idle huge pages stay, whatever happens but severe
    /// pressure.
    ///
    /// All presets: none.
    pub minimum: u64,
    /// And so much of the peak of demand within the last deadline, in thousandths,
    /// until the deadline; but no more than half of what is in use, so that nothing
    /// stays in an idle system.
    ///
    /// Balanced: 40. On recorded traces that saves a twentieth of what taking back
    /// costs, and what comes and goes in a few huge pages costs nothing; from 40 to 60
    /// it makes little difference.
    pub headroom: u32,
    /// What has been idle for so long goes, whatever it has cost so far, but for the
    /// minimum; nanoseconds. What becomes idle between two looks, which are a second
    /// apart at the most, may stay for so much longer.
    ///
    /// Balanced: 10 s. Who comes back only then loses at most a hundredth of its time
    /// for each 500 MiB.
    pub deadline_ns: u64,
    /// Nothing goes that has not been idle for so long; nanoseconds. Also how often
    /// a busy system is looked at.
    ///
    /// Balanced: 75 ms. Six of seven huge pages that came back at all in two of four
    /// recorded traces did so within that; and an idle guest is looked at once a second
    /// whatever this is.
    pub young_ns: u64,
    /// At most so many bytes go in one call of `poll`.
    ///
    /// All presets: 256 MiB, less than a millisecond.
    pub step: u64,
    /// In at most so many calls of the backing.
    ///
    /// All presets: 8, of up to 32 ranges each.
    pub calls: u32,
}

impl Policy {
    /// Memory is scarce, and CPUs are not: it goes after a sixth of a second.
    pub const EAGER: Self = Self {
        price_ns: 600_000_000,
        share: 50_000,
        headroom: 0,
        deadline_ns: 2_000_000_000,
        young_ns: 20_000_000,
        ..Self::BALANCED
    };

    /// What serves most.
    pub const BALANCED: Self = Self {
        price_ns: 100_000_000,
        costs: Costs::USUAL,
        unknown: 582,
        share: 10_000,
        minimum: 0,
        headroom: 40,
        deadline_ns: 10_000_000_000,
        young_ns: 75_000_000,
        step: 256 << 20,
        calls: 8,
    };

    /// Memory is plenty: only what lies idle for long goes.
    pub const KEEP: Self = Self {
        price_ns: 10_000_000,
        share: 2_000,
        headroom: 100,
        deadline_ns: 60_000_000_000,
        ..Self::BALANCED
    };

    /// Returns for how long it costs less to keep a huge page than to release it and
    /// take it back, in nanoseconds.
    #[must_use]
    pub const fn break_even_ns(&self) -> u64 {
        let cost = self
            .costs
            .release_ns
            .saturating_add(self.costs.take_back_ns) as u128;
        let price = if self.price_ns == 0 { 1 } else { self.price_ns } as u128;
        // 512 times 2 MiB are a GiB.
        let held = cost * 512 * 1_000_000_000 / price;
        if held > u64::MAX as u128 {
            u64::MAX
        } else {
            held as u64
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::BALANCED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_in_order_of_how_long_memory_stays() {
        let presets = [Policy::EAGER, Policy::BALANCED, Policy::KEEP];
        for [sooner, later] in [[presets[0], presets[1]], [presets[1], presets[2]]] {
            assert!(sooner.break_even_ns() < later.break_even_ns());
            assert!(sooner.share > later.share, "it may cost more");
            assert!(sooner.headroom < later.headroom);
            assert!(sooner.deadline_ns < later.deadline_ns);
        }
        const { assert!(Policy::EAGER.young_ns < Policy::BALANCED.young_ns) };
    }

    #[test]
    fn under_the_eager_preset_memory_goes_after_a_sixth_of_a_second() {
        let held = Policy::EAGER.break_even_ns() / 1000 * u64::from(Policy::EAGER.unknown);
        assert!((160_000_000..180_000_000).contains(&held), "{held} ns");
    }
}

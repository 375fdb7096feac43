//! The peak of demand within a while: the highest of a ring of intervals.

/// Intervals that a while is made of: the peak is forgotten a sixteenth early at most.
const INTERVALS: usize = 16;

/// The highest demand of each interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peak {
    ring: [u64; INTERVALS],
    /// The interval that is going on, by number.
    now: u64,
}

impl Peak {
    pub(super) const fn new() -> Self {
        Self {
            ring: [0; INTERVALS],
            now: 0,
        }
    }

    /// Notes what the demand is at `time`, of whiles that are `length` long.
    pub(super) fn note(&mut self, time: u64, length: u64, demand: u64) {
        let interval = time / (length / INTERVALS as u64).max(1);
        let begun = interval.wrapping_sub(self.now).min(INTERVALS as u64);
        for behind in 0..begun {
            let at = interval.wrapping_sub(behind) as usize % INTERVALS;
            if let Some(peak) = self.ring.get_mut(at) {
                *peak = 0;
            }
        }
        self.now = interval;
        if let Some(peak) = self.ring.get_mut(interval as usize % INTERVALS) {
            *peak = demand.max(*peak);
        }
    }

    /// Returns the peak.
    pub(super) fn get(&self) -> u64 {
        self.ring.iter().copied().fold(0, u64::max)
    }

    /// Forgets it.
    pub(super) fn forget(&mut self) {
        self.ring = [0; INTERVALS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_remembered_for_a_while_and_not_for_two() {
        let mut peak = Peak::new();
        peak.note(0, 160, 7);
        peak.note(5, 160, 9);
        for time in (10..160).step_by(10) {
            peak.note(time, 160, 2);
            assert_eq!(peak.get(), 9, "at {time}");
        }
        peak.note(160, 160, 3);
        assert_eq!(peak.get(), 3);
        peak.note(100_000, 160, 1);
        assert_eq!(peak.get(), 1);
        peak.forget();
        assert_eq!(peak.get(), 0);
    }

    #[test]
    fn a_while_of_nothing_is_the_present() {
        let mut peak = Peak::new();
        peak.note(3, 0, 5);
        peak.note(40, 0, 1);
        assert_eq!(peak.get(), 1);
    }
}

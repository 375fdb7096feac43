//! How much memory was what, over trace time.
//!
//! At most about two thousand samples, however long the trace, in a table that
//! is in memory before the first event.

use crate::resident;

/// How many samples are taken, at about equal distances.
const SAMPLES: u64 = 1000;

/// Memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds since the trace began.
    pub at_ms: u64,
    /// Handed out.
    pub live: u64,
    /// Idle, and backed.
    pub idle: u64,
    /// Idle, and given back after use. Memory that was never used does not
    /// count.
    pub given_back: u64,
    /// What the system says a process holds, less the baseline.
    pub measured: u64,
}

/// The samples of one replay, in order of time.
#[derive(Debug)]
pub struct History {
    samples: Vec<Sample>,
    every_ms: u64,
    next_ms: u64,
    now_ms: u64,
}

impl History {
    /// No samples yet of a trace that is `ms` milliseconds long.
    #[must_use]
    pub fn new(ms: u64) -> Self {
        // One for each end of a gap, the first and the last two.
        let room = 2 * SAMPLES as usize + 8;
        Self {
            samples: resident::room(Sample::default(), room),
            every_ms: ms.div_ceil(SAMPLES).max(1),
            next_ms: 0,
            now_ms: 0,
        }
    }

    /// Returns whether a sample is due when time passes to `at_ms`.
    #[must_use]
    pub const fn is_due(&self, at_ms: u64) -> bool {
        at_ms >= self.next_ms
    }

    /// Lets time pass to `at_ms` and takes a sample of what held since the
    /// time before; a long gap gets one at each end.
    pub fn take(&mut self, at_ms: u64, sample: Sample) {
        if at_ms.saturating_sub(self.now_ms) > self.every_ms {
            let at_ms = self.now_ms;
            self.samples.push(Sample { at_ms, ..sample });
        }
        self.samples.push(Sample { at_ms, ..sample });
        self.next_ms = at_ms.saturating_add(self.every_ms);
        self.now_ms = at_ms;
    }

    /// Lets time pass without a sample.
    pub const fn pass(&mut self, at_ms: u64) {
        self.now_ms = at_ms;
    }

    /// Takes a sample now, due or not.
    pub fn take_now(&mut self, sample: Sample) {
        let at_ms = self.now_ms;
        self.samples.push(Sample { at_ms, ..sample });
    }

    /// Returns the samples.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_of_any_length_fits_the_room_that_was_made() {
        for (ms, step) in [
            (0, 1),
            (10, 1),
            (12_315, 1),
            (40_125, 33),
            (u64::MAX, 1 << 50),
        ] {
            let mut history = History::new(ms);
            let room = history.samples.capacity();
            let mut at = 0;
            while at < ms {
                at = at.saturating_add(step).min(ms);
                if history.is_due(at) {
                    history.take(at, Sample::default());
                } else {
                    history.pass(at);
                }
            }
            history.take_now(Sample::default());
            history.take_now(Sample::default());
            assert_eq!(history.samples.capacity(), room, "{ms} ms by {step}");
            assert!(history.samples.is_sorted_by_key(|sample| sample.at_ms));
        }
    }

    #[test]
    fn a_gap_is_level_from_one_end_to_the_other() {
        let mut history = History::new(1000);
        let level = |live| Sample {
            live,
            ..Sample::default()
        };
        history.take(1, level(1));
        history.take(901, level(2));
        let seen: Vec<_> = history
            .samples()
            .iter()
            .map(|sample| (sample.at_ms, sample.live))
            .collect();
        assert_eq!(seen, [(1, 1), (1, 2), (901, 2)]);
    }
}

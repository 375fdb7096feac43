//! What a guest has said of itself while it was measured, and what the host had
//! behind it then: kept, drawn, and told in a few lines.
//!
//! The first sample is the baseline: what QEMU has before the first event is not
//! the trace's.

use std::fmt;

use indicatif::HumanCount;
use spanheap_replay::Sample;
use spanheap_replay::picture::{self, Captions, DrawError};

/// What a guest says of itself, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Milliseconds since the beginning.
    pub(crate) at_ms: u64,
    /// Handed out.
    pub(crate) in_use: u64,
    /// Idle, and resident.
    pub(crate) idle: u64,
    /// Idle, and released.
    pub(crate) released: u64,
}

impl Counters {
    /// Reads four decimal numbers.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let counters = Self {
            at_ms: next()?,
            in_use: next()?,
            idle: next()?,
            released: next()?,
        };
        numbers.next().is_none().then_some(counters)
    }
}

/// Both sides at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What the guest said.
    pub(crate) guest: Counters,
    /// What QEMU had of the host's memory, less the baseline, in bytes.
    pub(crate) host: u64,
}

/// One boot, moment by moment.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    moments: Vec<Moment>,
    baseline: u64,
}

impl Recording {
    /// Adds a moment: the guest's counters, and QEMU's share of the host's
    /// memory.
    pub(crate) fn add(&mut self, guest: Counters, pss: u64) -> Moment {
        if self.moments.is_empty() {
            self.baseline = pss;
        }
        let host = pss.saturating_sub(self.baseline);
        let moment = Moment { guest, host };
        self.moments.push(moment);
        moment
    }

    /// Returns whether the guest was never measured.
    pub(crate) const fn is_empty(&self) -> bool {
        self.moments.is_empty()
    }

    /// Draws the guest's counters and the host's memory over time, as SVG.
    pub(crate) fn draw(&self, title: &str, below: &str) -> Result<String, DrawError> {
        let samples: Vec<_> = self
            .moments
            .iter()
            .map(|moment| Sample {
                at_ms: moment.guest.at_ms,
                live: moment.guest.in_use,
                idle: moment.guest.idle,
                measured: moment.host,
                ..Sample::default()
            })
            .collect();
        let captions = Captions {
            title,
            below,
            measured: "QEMU's share of the host's memory (Pss)",
            baseline: self.baseline,
            given_back: None,
        };
        picture::plot(&samples, &captions)
    }
}

/// The recording in four lines.
impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let highest = self.moments.iter().max_by_key(|moment| moment.guest.in_use);
        let (Some(peak), Some(end)) = (highest, self.moments.last()) else {
            return f.write_str("nothing was measured");
        };
        let [when, in_use, idle, released, host] = ["", "in use", "idle", "released", "QEMU has"];
        writeln!(f, "{when:24}{in_use:>12}{idle:>12}{released:>12}{host:>12}")?;
        let mut row = |when: &str, of: &Moment| {
            let Counters {
                in_use,
                idle,
                released,
                ..
            } = of.guest;
            let [in_use, idle, released, host] =
                [in_use, idle, released, of.host].map(|bytes| Mebibytes(bytes).to_string());
            writeln!(f, "{when:24}{in_use:>12}{idle:>12}{released:>12}{host:>12}")
        };
        row(
            &format!("peak, at {:.1} s", seconds(peak.guest.at_ms)),
            peak,
        )?;
        row("end, all idle released", end)?;
        let back = peak.host.saturating_sub(end.host);
        write!(
            f,
            "the host got {} back; the {} of before the first event do not count",
            Mebibytes(back),
            Mebibytes(self.baseline)
        )
    }
}

/// Bytes in MiB, for people.
pub(crate) struct Mebibytes(pub(crate) u64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = self;
        write!(f, "{} MiB", HumanCount((bytes + (1 << 19)) >> 20))
    }
}

/// Milliseconds in seconds.
pub(crate) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn counters(at_ms: u64, in_use: u64) -> Counters {
        Counters {
            at_ms,
            in_use,
            idle: MIB,
            released: 2000 * MIB - in_use,
        }
    }

    #[test]
    fn four_numbers_are_counters_and_nothing_else_is() {
        let read = Counters {
            at_ms: 1,
            in_use: 2,
            idle: 3,
            released: 4,
        };
        assert_eq!(Counters::parse("1 2 3 4"), Some(read));
        for wrong in ["", "1 2 3", "1 2 3 4 5", "1 2 3 -4", "1  2 3 4", "1 2 3 4 "] {
            assert_eq!(Counters::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_host_s_memory_counts_from_the_first_moment_on() {
        let mut recording = Recording::default();
        assert!(recording.is_empty());
        let hosts = [70, 1370, 60].map(|mebibytes: u64| {
            let guest = counters(mebibytes, mebibytes * MIB);
            recording.add(guest, mebibytes * MIB).host
        });
        assert_eq!(hosts, [0, 1300 * MIB, 0]);
    }

    #[test]
    fn the_summary_tells_the_peak_the_end_and_what_the_host_got_back() {
        let mut recording = Recording::default();
        recording.add(counters(0, 0), 70 * MIB);
        recording.add(counters(5290, 1240 * MIB), 1311 * MIB);
        recording.add(counters(12_315, 227 * MIB), 300 * MIB);
        let told = recording.to_string();
        let lines: Vec<_> = told
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "in use idle released QEMU has",
                "peak, at 5.3 s 1,240 MiB 1 MiB 760 MiB 1,241 MiB",
                "end, all idle released 227 MiB 1 MiB 1,773 MiB 230 MiB",
                "the host got 1,011 MiB back; the 70 MiB of before the first event do not count",
            ]
        );
    }

    #[test]
    fn a_recording_of_nothing_says_so() {
        assert_eq!(Recording::default().to_string(), "nothing was measured");
    }
}

//! The policies, behind one trait.
//!
//! A policy is polled: it sees how much lives and how much is resident, gives
//! back what it thinks right, and says when it wants to be asked again. What
//! it may do is what any owner of a heap may do.

mod always;
mod decay;
mod fixed;
mod go;
mod linux;
mod never;
mod ours;

use spanheap::{Costs, Reclaim};

use super::priced::Priced;
use super::prices::Prices;

pub use ours::Preset;

/// A millisecond in nanoseconds: traces' time is no finer.
pub const MS: u64 = 1_000_000;

/// When and how much to give back.
pub trait Policy {
    /// Does what is due at `now_ns`, counted from the beginning of the load, and
    /// returns when it wants to be asked again; `None`: never.
    fn poll(&mut self, now_ns: u64, scene: &mut Scene<'_>) -> Option<u64>;

    /// Returns how many bytes it keeps even if they stay idle.
    fn floor_bytes(&self) -> u64 {
        0
    }
}

/// What a policy sees and may use.
pub struct Scene<'s> {
    /// The heap.
    pub heap: &'s mut dyn Reclaim,
    /// What happened since the last poll.
    pub since: Since,
    pub(super) priced: &'s Priced,
}

impl std::fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl Scene<'_> {
    /// Returns the bytes that live.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.priced.live_bytes()
    }

    /// Returns the bytes that have memory behind them.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.priced.resident_bytes()
    }

    /// Returns the bytes that are resident and do not live.
    #[must_use]
    pub fn idle_bytes(&self) -> u64 {
        self.resident_bytes().saturating_sub(self.live_bytes())
    }

    /// Returns how many huge pages are free and resident as a whole.
    #[must_use]
    pub fn idle_huge(&self) -> u64 {
        self.priced.idle_huge()
    }
}

/// What happened since the last poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// Blocks, or parts of blocks, freed.
    pub frees: u64,
    /// Huge pages that came to be free as a whole.
    pub emptied: u64,
    /// The most bytes alive at once.
    pub peak_live_bytes: u64,
}

/// Which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is ever given back.
    Never,
    /// All that is idle goes at once.
    Always,
    /// What has been idle for so many milliseconds.
    Fixed(u64),
    /// Go 1.13's scavenger.
    Go,
    /// Decay in jemalloc's style.
    Decay,
    /// Linux's free page reporting.
    Linux,
    /// The project's own.
    Ours(Preset),
}

/// How many fixed delays there are.
const FIXED: u32 = 16;
/// The shortest and the longest of them, in milliseconds.
const SHORTEST: f64 = 10.0;
const LONGEST: f64 = 30_000.0;

impl Kind {
    /// Returns every policy, in the order in which they are shown.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let fixed = (0..FIXED).map(|index| {
            let part = f64::from(index) / f64::from(FIXED - 1);
            Self::Fixed((SHORTEST * (LONGEST / SHORTEST).powf(part)).round() as u64)
        });
        let mut all = vec![Self::Never, Self::Always];
        all.extend(fixed);
        all.extend([Self::Go, Self::Decay, Self::Linux]);
        all.extend(Preset::ALL.map(Self::Ours));
        all
    }

    /// Returns the policy's name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Never => "never".into(),
            Self::Always => "always".into(),
            Self::Fixed(ms) if ms < 1000 => format!("after {ms} ms"),
            Self::Fixed(ms) => format!("after {:.1} s", ms as f64 / 1000.0),
            Self::Go => "Go 1.13".into(),
            Self::Decay => "decay 10 s".into(),
            Self::Linux => "page reporting".into(),
            Self::Ours(preset) => preset.name().into(),
        }
    }

    /// Returns whether it is one of the fixed delays.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    /// Returns whether it is the project's own.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Ours(_))
    }

    /// Makes the policy, which may know what things cost.
    #[must_use]
    pub fn policy(self, prices: Prices) -> Box<dyn Policy> {
        match self {
            Self::Never => Box::new(never::Never),
            Self::Always => Box::new(always::Always),
            Self::Fixed(ms) => Box::new(fixed::Fixed::new(ms)),
            Self::Go => Box::new(go::Go::default()),
            Self::Decay => Box::new(decay::Decay::default()),
            Self::Linux => Box::new(linux::Linux::default()),
            Self::Ours(preset) => {
                let costs = Costs {
                    release_ns: prices.release_huge_ns,
                    take_back_ns: prices.take_huge_ns,
                };
                Box::new(ours::Ours::new(preset, costs))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_delays_run_from_10_ms_to_30_s() {
        let fixed: Vec<_> = Kind::all()
            .into_iter()
            .filter(|kind| kind.is_fixed())
            .collect();
        assert_eq!(fixed.len(), 16);
        assert_eq!(fixed[0], Kind::Fixed(10));
        assert_eq!(fixed[15], Kind::Fixed(30_000));
    }

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = Kind::all().into_iter().map(Kind::name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Kind::all().len());
    }
}

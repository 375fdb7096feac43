//! A host that changes its mind: it wants the machine to be of another size, again
//! and again, at random times.
//!
//! Sizes are random with a fixed seed; every eighth or so is all of the machine's.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The least and the most milliseconds from one size to the next.
const PAUSE: Range<u64> = 50..450;

/// Returns for how many seconds the host changes its mind.
pub(crate) fn seconds() -> io::Result<u64> {
    const NAME: &str = "SPANHEAP_SOAK_SECONDS";
    match std::env::var(NAME) {
        Ok(value) => value
            .parse()
            .map_err(|why| io::Error::other(format!("{NAME}: {why}"))),
        Err(_) => Ok(20),
    }
}

/// What the host wants, and when.
pub(crate) struct Wander {
    sizes: Range<u64>,
    random: Random,
    began: Instant,
    next: Instant,
    /// How many sizes were wanted.
    pub(crate) wanted: u64,
}

impl Wander {
    /// Begins with sizes of so many bytes.
    pub(crate) fn new(sizes: Range<u64>) -> Self {
        let now = Instant::now();
        Self {
            sizes,
            random: Random(0x9e37_79b9_7f4a_7c15),
            began: now,
            next: now,
            wanted: 0,
        }
    }

    /// Returns how long ago it began.
    pub(crate) fn passed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns how long it is to the next size.
    pub(crate) fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Returns the next size, whose time has come.
    pub(crate) fn next(&mut self) -> u64 {
        let pause = self.random.within(&PAUSE);
        self.next = Instant::now() + Duration::from_millis(pause);
        match self.random.within(&(0..8)) {
            0 => self.sizes.end,
            _ => self.random.within(&self.sizes),
        }
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn within(&mut self, range: &Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start).max(1)
    }
}

//! Numbers that are the same in every run with the same seed.

/// Marsaglia's xorshift, whose state is never zero.
pub(crate) struct Random(u64);

impl Random {
    /// One of many for each seed.
    pub(crate) fn new(seed: u64, salt: u64) -> Self {
        Self(mix(mix(seed).wrapping_add(salt)) | 1)
    }

    pub(crate) const fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * limit as u64) >> 32) as u32
    }

    pub(crate) const fn one_in(&mut self, many: u32) -> bool {
        self.below(many) == 0
    }

    /// At least 1 and less than 2 to the `bits`; each power of two is as likely as
    /// the others.
    pub(crate) const fn log_uniform(&mut self, bits: u32) -> u32 {
        let power = 1 << self.below(bits);
        power + self.below(power)
    }
}

/// Steele, Lea and Flood's mixer: numbers that are near come out far apart.
pub(crate) const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// The seed: `SPANHEAP_SEED`, or 0.
pub(crate) fn seed() -> u64 {
    let chosen = std::env::var("SPANHEAP_SEED").ok();
    chosen.and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

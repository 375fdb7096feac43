//! Ranges in a list of fixed length, and what is random.

use spanheap::PageRange;

/// Some ranges.
pub(crate) struct List<const N: usize> {
    ranges: [Option<PageRange>; N],
    len: usize,
}

impl<const N: usize> List<N> {
    pub(crate) const EMPTY: Self = Self {
        ranges: [None; N],
        len: 0,
    };

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Says no if it is full.
    pub(crate) fn push(&mut self, range: PageRange) -> bool {
        let Some(free) = self.ranges.get_mut(self.len) else {
            return false;
        };
        *free = Some(range);
        self.len += 1;
        true
    }

    pub(crate) fn pop(&mut self) -> Option<PageRange> {
        self.len = self.len.checked_sub(1)?;
        self.ranges[self.len].take()
    }

    /// Takes any of them out.
    pub(crate) fn take(&mut self, random: &mut Random) -> Option<PageRange> {
        if self.len > 0 {
            let at = random.below(self.len as u32) as usize;
            self.ranges.swap(at, self.len - 1);
        }
        self.pop()
    }
}

/// Marsaglia's xorshift.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % limit
    }
}

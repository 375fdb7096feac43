//! What a target reads its steps from: the fuzzer's bytes, as numbers.
//!
//! Steps are read one after the other until the bytes are used up, so that an input
//! that is cut, or grows at its end, does the same as before as far as it goes. A
//! number beyond the last byte is the smallest there is.

use arbitrary::{Arbitrary, Unstructured};

/// The bytes that are left.
pub(crate) struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// Whether there is another step.
    pub(crate) fn has_more(&self) -> bool {
        !self.0.is_empty()
    }

    /// A number below `limit`, or 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0.int_in_range(0..=limit.max(1) - 1).unwrap_or(0)
    }

    /// A number from 1 to `most`.
    pub(crate) fn up_to(&mut self, most: u32) -> u32 {
        1 + self.below(most)
    }

    /// One of `outcomes` in a hundred times, more or less.
    pub(crate) fn percent(&mut self, outcomes: u32) -> bool {
        self.below(100) >= 100 - outcomes
    }

    /// One of these, of which there must be some.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize]
    }

    /// An index of a list, if it is not empty.
    pub(crate) fn index<T>(&mut self, of: &[T]) -> Option<usize> {
        (!of.is_empty()).then(|| self.below(of.len() as u32) as usize)
    }

    /// Anything of a type.
    pub(crate) fn any<T: Arbitrary<'a> + Default>(&mut self) -> T {
        self.0.arbitrary().unwrap_or_default()
    }

    /// A number of any size, mostly a small one, or close to a power of two.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => u64::from(self.any::<u8>()),
            1 => (1_u64 << self.below(64)).wrapping_add_signed(i64::from(self.any::<i8>())),
            2 => u64::from(self.any::<u32>()),
            _ => self.any(),
        }
    }
}

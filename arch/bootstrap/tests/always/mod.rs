//! Memory that is always there.

use spanheap::{Backing, PageRange, Refused};

/// A backing that commits and releases nothing.
#[derive(Debug)]
pub(crate) struct Always;

// SAFETY: what the tests add is resident already, nothing is ever released, and
// no byte is changed.
unsafe impl Backing for Always {
    fn sys_used(&self, _: PageRange) -> Result<(), Refused> {
        Ok(())
    }

    fn sys_unused(&self, _: &[PageRange]) -> usize {
        0
    }

    fn zero(&self, _: PageRange) {}
}

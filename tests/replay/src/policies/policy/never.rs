//! Never: nothing is given back. All the memory, and none of the cost.

use super::{Policy, Scene};

/// Gives nothing back.
#[derive(Debug)]
pub(super) struct Never;

impl Policy for Never {
    fn poll(&mut self, _: u64, _: &mut Scene<'_>) -> Option<u64> {
        None
    }
}

//! What the front tier asks of the machine: which CPU this is, and how
//! interrupts are kept off.

/// The CPUs of a machine.
///
/// Both answers are about speed alone: a wrong or changing index makes CPUs
/// share what should be their own, and costs time, never correctness.
/// Interrupts matter only where a handler calls the heap's verbs that lock
/// ([`SharedHeap`](super::SharedHeap) says which do).
pub trait Cpu {
    /// Returns which CPU runs this, from 0 on. Numbers beyond those that the heap
    /// has room for share the places of others.
    fn index(&self) -> usize;

    /// Runs `critical` with interrupts off on this CPU, and puts them back as
    /// they were. It is short: no backing is called within.
    fn without_interrupts<R>(&self, critical: impl FnOnce() -> R) -> R {
        critical()
    }
}

/// A machine with one CPU, whose interrupt handlers do not use the heap.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneCpu;

impl Cpu for OneCpu {
    fn index(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_cpu_is_the_first() {
        assert_eq!(OneCpu.index(), 0);
        assert_eq!(OneCpu.without_interrupts(|| 7), 7);
    }
}

//! What the handler of a CPU's timer does: it frees the oldest that it has, and
//! allocates.

use spanheap::{AllocError, Class, PageRange};
use spanheap_guest::processors::{self, PROCESSORS};
use spin::Mutex;

use super::{Owner, class, found_or_not};

static KEPT: [Mutex<Kept>; PROCESSORS] = [const { Mutex::new(Kept::NOTHING) }; PROCESSORS];

/// What a CPU's handler has, and has done. Locked by the handler, and with the
/// CPU's interrupts off.
pub(crate) struct Kept {
    ranges: [Option<PageRange>; 8],
    pub(crate) ticks: u32,
    pub(crate) singles: u32,
    pub(crate) runs: u32,
    pub(crate) freed: u32,
}

impl Kept {
    const NOTHING: Self = Self {
        ranges: [None; 8],
        ticks: 0,
        singles: 0,
        runs: 0,
        freed: 0,
    };
}

/// One tick, which is given its number and a class to allocate by.
pub(crate) fn tick(alloc: impl FnOnce(u32, Class) -> Result<PageRange, AllocError>) {
    let cpu = processors::number();
    let me = Owner::handler(cpu);
    let mut kept = KEPT[cpu].lock();
    kept.ticks += 1;
    let (tick, at) = (kept.ticks, kept.ticks as usize % kept.ranges.len());
    if let Some(range) = kept.ranges[at].take() {
        me.free(range);
        kept.freed += 1;
    }
    let found = found_or_not(alloc(tick, class(tick / 2)));
    kept.ranges[at] = found;
    if let Some(range) = found {
        match range.count().get() {
            1 => kept.singles += 1,
            _ => kept.runs += 1,
        }
        me.claim(range);
    }
}

/// Frees what a CPU's handler has. Its timer is stopped, and its interrupts off.
pub(super) fn free_all(cpu: usize) {
    let mut kept = KEPT[cpu].lock();
    for range in kept.ranges.iter_mut().filter_map(Option::take) {
        Owner::handler(cpu).free(range);
    }
}

/// Shows what each CPU's handler has done, once they are all done.
pub(super) fn each(mut show: impl FnMut(usize, &Kept)) {
    for (cpu, kept) in KEPT.iter().enumerate() {
        show(cpu, &kept.lock());
    }
}

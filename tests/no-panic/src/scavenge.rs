//! Every public verb of the scavenger, called once for each heap, with anything.

use spanheap::{
    Costs, LockedHeap, PageHeap, PageRange, Policy, Pressure, Reclaim, Scavenger, SharedHeap,
    Window,
};

use crate::shared::Cpus;
use crate::{Anything, any};

/// What the verbs are given.
pub struct Given {
    now: u64,
    bytes: u64,
    policy: Policy,
    pressure: Pressure,
}

/// The numbers of a policy.
pub fn values(scavenger: &Scavenger, given: &Given) {
    any(given.policy.break_even_ns());
    any(Scavenger::new(any(given.policy)));
    any(scavenger.policy());
}

/// What can be measured.
pub fn measured(window: &Window, pages: PageRange) {
    let _ = any(Costs::measure(
        any(&Anything),
        any(window),
        any(pages),
        || any(0),
    ));
}

/// Calls every verb of a scavenger in any state.
fn verbs(scavenger: &mut Scavenger, heap: &mut impl Reclaim, given: &Given) {
    let (now, bytes) = (|| any(given.now), || any(given.bytes));
    scavenger.set_policy(any(given.policy));
    any(scavenger.poll(heap, now()));
    let _ = any(scavenger.idle(heap, now()));
    let _ = any(scavenger.pressure(heap, now(), any(given.pressure)));
    let _ = any(scavenger.reclaim(heap, now(), bytes()));
    let _ = any(scavenger.set_limit(heap, now(), bytes()));
    #[cfg(feature = "planted-scavenger")]
    any(heap.treap_stats().geometry.huge_pages().unwrap());
}

/// Every verb, for a heap of one owner.
pub fn page_heap(scavenger: &mut Scavenger, heap: &mut PageHeap<'static, Anything>, given: &Given) {
    verbs(any(scavenger), any(heap), given);
}

/// Every verb, for a heap behind a lock.
pub fn locked_heap(scavenger: &mut Scavenger, heap: &LockedHeap<'static, Anything>, given: &Given) {
    verbs(any(scavenger), &mut any(heap), given);
}

/// Every verb, for a shared heap.
pub fn shared_heap(
    scavenger: &mut Scavenger,
    heap: &SharedHeap<'static, Anything, Cpus>,
    given: &Given,
) {
    verbs(any(scavenger), &mut any(heap), given);
}

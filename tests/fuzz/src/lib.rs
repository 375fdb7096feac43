//! What the fuzz targets do: each component against a naive model of it.
//!
//! A target is a function of bytes, which panics if component and model differ. The
//! fuzzer calls it through `fuzz_targets`, and `tests/seeds.rs` with the inputs in
//! `seeds`, without a fuzzer.
//!
//! The treap, the pool and the page map are private to the core, and here they are
//! compiled from the same files: what these files need of the rest of the core, its
//! public interface has, under other paths. So nothing of them is public for this, and
//! the core has no line for it. The models and the fakes are those of the suites, in
//! the same way.

mod input;

// The core's own layers.
#[path = "../../../src/span/mod.rs"]
#[expect(dead_code, unused_imports, reason = "a target uses its own part of it")]
mod span;
#[path = "../../../src/treap/mod.rs"]
mod treap_core;

/// Where the core's layers find what is public of the ones below.
mod backing {
    /// Its fields are for the core alone to set; it says no more than these.
    #[derive(Debug)]
    #[expect(dead_code, reason = "it is printed")]
    pub(crate) struct Corruption {
        pub(crate) slot: u32,
        pub(crate) slots: u32,
    }
}
mod page {
    pub(crate) use spanheap::{Geometry, PageCount, PageRange, Window};
}

// What the suites compare with.
#[path = "../../model/mod.rs"]
mod model;

#[path = "../../shared"]
mod shared_suite {
    #[expect(dead_code, reason = "a target uses its own part of it")]
    pub(crate) mod common;
    pub(crate) mod naive;
}
#[path = "../../scavenge/common.rs"]
#[expect(dead_code, reason = "a target uses its own part of it")]
mod scavenge_suite;
#[path = "../../../arch/virtio-balloon/tests/suite"]
mod balloon_suite {
    pub(crate) mod case;
    #[expect(dead_code, reason = "a target uses its own part of it")]
    pub(crate) mod common;
    #[expect(dead_code, reason = "a target uses its own part of it")]
    pub(crate) mod fake;
}

// The replay program without its pictures, and what they are drawn with.
#[path = "../../replay/src/trace/mod.rs"]
#[expect(dead_code, unused_imports, reason = "a target uses its own part of it")]
mod trace_reader;

pub mod balloon;
pub mod heap;
pub mod page_map;
pub mod pool;
pub mod regions;
pub mod scavenger;
pub mod shared;
pub mod trace;
pub mod treap;

/// Runs one input of a target.
pub type Run = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Run); 9] = [
    ("balloon", balloon::run),
    ("heap", heap::run),
    ("page_map", page_map::run),
    ("pool", pool::run),
    ("regions", regions::run),
    ("scavenger", scavenger::run),
    ("shared", shared::run),
    ("trace", trace::run),
    ("treap", treap::run),
];

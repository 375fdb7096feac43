#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]

#[cfg(any(test, feature = "fake"))]
extern crate std;

pub mod backing;
mod heap;
mod locked;
mod page;
pub mod region;
#[doc = include_str!("safety.md")]
pub mod safety {}
#[cfg(not(all(test, loom)))]
mod scavenge;
mod shared;
mod span;
mod treap;

pub use backing::{Backing, Corruption, Growth, Refused, Residency};
pub use heap::{
    AllocAtError, AllocError, Budget, Class, FreeError, Inconsistency, PageHeap, RegionError,
    Release, ReleaseEnd, Request, ResizeError, Rest, Stats,
};
pub use locked::LockedHeap;
pub use page::{
    AddressError, Geometry, GeometryError, Page, PageCount, PageRange, Window, WindowError,
};
#[cfg(not(all(test, loom)))]
pub use scavenge::{Costs, Policy, Pressure, Reclaim, Scavenger};
#[cfg(not(all(test, loom)))]
pub use shared::{Cpu, OneCpu, SharedHeap, SharedMetadata, StaticFront, front_words};
pub use span::{
    Hold, HugeAge, MapEntry, Metadata, MetadataError, MetadataSize, Slot, Span, SpanInfo,
    SpanState, StaticMetadata, metadata_size,
};

//! The first memory of a [`spanheap`] heap: where it keeps its books.
//!
//! A heap needs some memory before it can hand out any. A `static` is the
//! simple answer ([`spanheap::StaticMetadata`]), if the size of the machine is
//! known when the kernel is built. This crate is the other one: it takes raw
//! memory, whose size is known at boot.
//!
//! * [`metadata_in`] makes the books of any bytes: safe, and checked.
//! * [`Plan`] says which pages of a region the books take, and which are left.
//! * [`bootstrap`] and [`bootstrap_locked`] make a heap, or set up one in a
//!   `static`, with its books in the first pages of a region.
//!
//! The root crate turns no memory into anything; all of its `unsafe` of that
//! kind is here, in one short file.
//!
//! # A kernel's first heap
//!
//! The boot memory map is read, the first region with room for the books holds
//! them, and all of the rest is the heap's:
//!
//! ```
//! use core::ptr::NonNull;
//! use spanheap::region::MemoryMap;
//! use spanheap::{Geometry, LockedHeap, PageCount, Residency, Window};
//! use spanheap_bootstrap::{Plan, bootstrap_locked};
//! # use spanheap::{Backing, PageRange, Refused};
//! # struct Always;
//! # // SAFETY: commits and releases nothing, so nothing can be lost.
//! # unsafe impl Backing for Always {
//! #     fn sys_used(&self, _: PageRange) -> Result<(), Refused> { Ok(()) }
//! #     fn sys_unused(&self, _: &[PageRange]) -> usize { 0 }
//! #     fn zero(&self, _: PageRange) {}
//! # }
//! # #[derive(Clone)]
//! # #[repr(align(4096))]
//! # struct Frame([u8; 4096]);
//! # let ram = Box::leak(vec![Frame([0; 4096]); 1024].into_boxed_slice());
//!
//! static HEAP: LockedHeap<'static, Always> = LockedHeap::empty(Always);
//!
//! // 4 MiB of memory from 1 MiB on, and where the kernel sees address 0.
//! let usable = [0x10_0000..0x50_0000];
//! let reserved = [0x10_0000..0x10_3000, 0x18_0000..0x20_0000];
//! # let direct_map = ram.as_mut_ptr().cast::<u8>().wrapping_sub(0x10_0000);
//!
//! let window = Window::new(Geometry::SMALL_PAGES, 0, PageCount::new(0x500))?;
//! let map = MemoryMap::new(&usable, &reserved);
//! let mut regions = map.ranges(&window);
//! // A slot for 32 pages, a map entry for 16.
//! let plan = regions
//!     .find_map(|region| Plan::new(&window, region, 0x500 / 32, 16).ok())
//!     .ok_or("no region has room for the books")?;
//! let at = window.address_of(plan.books().start()) as usize;
//! let memory = NonNull::new(direct_map.wrapping_add(at)).ok_or("no address")?;
//! // SAFETY: the boot map says that this is memory, and that nothing else is in
//! // it; the direct map shows it for ever.
//! unsafe { bootstrap_locked(&plan, memory, Residency::Resident, &HEAP)? };
//! for region in regions {
//!     // SAFETY: as above.
//!     unsafe { HEAP.add_region(region, Residency::Resident)? };
//! }
//!
//! // 1,021 pages less the hole and one page of books.
//! assert_eq!(HEAP.stats().idle, PageCount::new(1021 - 128 - 1));
//! let span = HEAP.alloc(PageCount::new(1))?;
//! assert_eq!(window.address_of(span.range().start()), 0x10_4000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]

mod metadata;
mod plan;

pub use metadata::metadata_in;
pub use plan::{BootstrapError, Plan, bootstrap, bootstrap_locked};

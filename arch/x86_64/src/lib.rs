//! The [`spanheap`] page heap on x86-64, for kernels that use the [`x86_64`]
//! crate.
//!
//! Three things, each of use without the others:
//!
//! * [`PageTableBacking`] unmaps what the heap releases, by the kernel's own
//!   mapper: over the direct map, where frames are kept, or over a window of
//!   virtual addresses, where they go back to a frame allocator.
//! * [`Frames`] is a heap as the crate's `FrameAllocator` and
//!   `FrameDeallocator`, for frames of 4 KiB, 2 MiB and 1 GiB.
//! * [`DirectMap`] zeroes frames where they are mapped.
//!
//! # A kernel's memory
//!
//! ```
//! use core::ops::Range;
//!
//! use spanheap::region::MemoryMap;
//! use spanheap::{Geometry, LockedHeap, PageCount, Residency, StaticMetadata, Window};
//! use spanheap_x86_64::{DirectMapBacking, Frames, Hook, PageTableBacking, Reserve, Stale};
//! use x86_64::VirtAddr;
//! use x86_64::structures::paging::{Mapper, OffsetPageTable, Page, PageTableFlags};
//! use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size2MiB, Size4KiB};
//!
//! type Backing = DirectMapBacking<OffsetPageTable<'static>, Hook<fn(Stale)>, 64>;
//! type Heap = LockedHeap<'static, Backing>;
//!
//! // Room for 4,096 spans, and for 4 GiB in grains of 64 pages.
//! static METADATA: StaticMetadata<4096, 16384> = StaticMetadata::new();
//!
//! /// Makes the heap of all memory that the boot loader left, which it has
//! /// mapped at `offset`. `flush` is `flush_local`, or tells all CPUs to call it.
//! fn memory(
//!     mapper: OffsetPageTable<'static>,
//!     offset: VirtAddr,
//!     flush: fn(Stale),
//!     usable: &[Range<u64>],
//!     taken: &[Range<u64>],
//! ) -> Result<Heap, Box<dyn core::error::Error>> {
//!     let window = Window::new(Geometry::SMALL_PAGES, 0, PageCount::new(1 << 20))?;
//!     // SAFETY: it forgets all that is stale, on every CPU.
//!     let hook = unsafe { Hook::new(flush) };
//!     // SAFETY: the boot loader mapped all memory there, and the kernel changes
//!     // that map by this backing alone.
//!     let backing = unsafe {
//!         PageTableBacking::over_direct_map(mapper, offset, window, Reserve::new(), hook)?
//!     };
//!     let heap = LockedHeap::new(window, METADATA.take().ok_or("taken")?, backing)?;
//!     // SAFETY: nothing else uses what is usable and not taken.
//!     unsafe { heap.add_memory(&MemoryMap::new(usable, taken), Residency::Resident)? };
//!     // 64 page tables, for taking less than 2 MiB out of a large mapping.
//!     // SAFETY: the window is of physical addresses.
//!     heap.backing().refill(&mut unsafe { Frames::new(&heap) });
//!     Ok(heap)
//! }
//!
//! /// Gives a driver a page at a virtual address of its own.
//! fn map_one(heap: &Heap, page: Page) -> Option<PhysFrame> {
//!     // SAFETY: the window is of physical addresses.
//!     let mut frames = unsafe { Frames::new(heap) };
//!     let frame: PhysFrame = frames.allocate_frame()?;
//!     // What the mapper may need, taken before the lock is.
//!     let mut tables = Reserve::<3>::new();
//!     tables.fill(&mut frames);
//!     let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
//!     let mapped = heap.backing().with_tables(|mapper| {
//!         // SAFETY: the frame was handed out, so it is ours.
//!         unsafe { mapper.map_to(page, frame, flags, &mut tables) }.map(|new| new.ignore())
//!     });
//!     // Most of the time all three are left.
//!     while let Some(table) = tables.allocate_frame() {
//!         // SAFETY: it was not used.
//!         unsafe { frames.free_frame(table) }.ok()?;
//!     }
//!     mapped.ok().map(|()| frame)
//! }
//! # use std::alloc::{Layout, alloc_zeroed};
//! # use x86_64::structures::paging::{PageTable, Translate};
//! # // 4 MiB that stand for physical memory; the first page is the highest table.
//! # // SAFETY: the layout is not empty.
//! # let base = unsafe { alloc_zeroed(Layout::from_size_align(4 << 20, 2 << 20)?) };
//! # let offset = VirtAddr::new(base.expose_provenance() as u64);
//! # // SAFETY: zeroes are a table, and nothing else uses these.
//! # let table = unsafe { &mut *base.cast::<PageTable>() };
//! # // SAFETY: all of the memory there is lies at this offset.
//! # let mut mapper = unsafe { OffsetPageTable::new(table, offset) };
//! # let mut boot = Reserve::<2>::new();
//! # for address in [0x1000, 0x2000] {
//! #     let frame = PhysFrame::containing_address(x86_64::PhysAddr::new(address));
//! #     // SAFETY: nothing else uses it.
//! #     unsafe { boot.add(frame)? };
//! # }
//! # for address in [0, 2 << 20] {
//! #     let page = Page::<Size2MiB>::containing_address(offset + address);
//! #     let frame = PhysFrame::containing_address(x86_64::PhysAddr::new(address));
//! #     let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
//! #     // SAFETY: there is no processor that would follow this table.
//! #     unsafe { mapper.map_to(page, frame, flags, &mut boot) }.expect("tables").ignore();
//! # }
//!
//! # let heap = memory(mapper, offset, |_| {}, &[0..4 << 20], &[0..0x3000])?;
//! # let seen = |page| heap.backing().with_tables(|mapper| mapper.translate_page(page));
//! // Idle pages are not mapped; whoever touches one faults.
//! let released = heap.release_all().pages;
//! # assert_eq!(released, PageCount::new(1024 - 3 - 64));
//! # let last = Page::<Size2MiB>::containing_address(offset + (2 << 20));
//! # assert!(seen(last).is_err());
//! let page = Page::<Size4KiB>::containing_address(VirtAddr::new(0xffff_e000_0000_0000));
//! let frame = map_one(&heap, page).ok_or("no memory")?;
//! # let found = heap.backing().with_tables(|mapper| mapper.translate_page(page));
//! # assert!(found.is_ok_and(|found| found == frame));
//! # assert_eq!(heap.stats().in_use, PageCount::new(64 + 1 + 3));
//! # heap.check().map_err(|_| "unsound")?;
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! A kernel that unmaps nothing needs [`Frames`] alone: with it in place of the
//! tutorial's allocator, `map_to` and all that builds on it work as they are.
//!
//! # What to know
//!
//! * **Page tables are a reserve's.** Whole huge pages go and come without one.
//!   Less takes a table out of the [`Reserve`], and gives it back once the 2 MiB
//!   are alike again. What is refused without one, the constructors say.
//! * **Neighbours are never unmapped**, not for a moment: a large mapping is
//!   split, and joined, by one store.
//! * **One flush for a batch** of ranges, by a [`Hook`] that the kernel gives,
//!   because only it can tell its other CPUs. Commits need one only to recycle
//!   tables. (Every further 64 tables that a batch recycles are one more, and so
//!   is a table that two CPUs emptied at a time.)
//! * **The lock is a spin lock**, and is not held while CPUs are told. Interrupts
//!   are the caller's: a handler that comes here while the CPU it interrupted
//!   holds the lock waits for ever.
//! * **An entry whose page was released is not empty over the direct map.** It
//!   remembers frame and flags, without `PRESENT`. The crate's `translate` takes
//!   every entry for 4 KiB that is not zero for mapped: look at the flags, too.
//! * **Mappers**: `OffsetPageTable` and `MappedPageTable`, or anything else that
//!   implements [`Tables`]; four levels. `RecursivePageTable` cannot fill a table
//!   before it is in place, which the second point needs.
//!
//! # Features
//!
//! `instructions` (not by default): `flush_local`, which only a kernel may
//! execute.
#![no_std]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

#[cfg(test)]
extern crate std;

mod backing;
mod direct;
mod entry;
mod error;
mod flush;
mod fold;
mod frames;
mod physical;
mod reserve;
mod space;
mod tables;
mod window;

pub use backing::PageTableBacking;
pub use direct::{Direct, DirectMapBacking};
pub use error::{Obstacle, SetUpError};
#[cfg(feature = "instructions")]
pub use flush::flush_local;
pub use flush::{Hook, Shootdown, Stale};
pub use frames::{FrameHeap, Frames};
pub use physical::DirectMap;
pub use reserve::{Reserve, ReserveFull};
pub use tables::Tables;
pub use window::{Given, WindowBacking};

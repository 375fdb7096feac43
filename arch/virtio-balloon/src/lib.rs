//! A virtio memory balloon under a [`spanheap`] page heap.
//!
//! [`Balloon`] is a backing for heaps whose window is guest-physical memory:
//! what the heap releases is given back to the host, and what the host wants is
//! taken from the heap. No `alloc`, no interrupts, no threads.
//!
//! ```no_run
//! use core::ptr::NonNull;
//! use spanheap::{Geometry, LockedHeap, PageCount, StaticMetadata, Window};
//! use spanheap_virtio_balloon::{
//!     Balloon, BalloonMemory, DirectMap, Holding, Options, SHARED_BYTES,
//! };
//! use virtio_drivers::transport::mmio::MmioTransport;
//!
//! // 4 GiB in pages of 4 KiB, given back in whole huge pages of 2 MiB.
//! # const fn whole() -> Window {
//! const HUGE: u64 = 2 << 20;
//! # let geometry = match Geometry::new(4096, HUGE, HUGE) { Ok(g) => g, Err(_) => panic!() };
//! # /*
//! let geometry = Geometry::new(4096, HUGE, HUGE)?;
//! let window = Window::new(geometry, 0, PageCount::new(1 << 20))?;
//! # */
//! # match Window::new(geometry, 0, PageCount::new(1 << 20)) { Ok(w) => w, Err(_) => panic!() }
//! # }
//! # const WINDOW: Window = whole();
//!
//! // SAFETY: this kernel sees physical memory at this offset.
//! const MAP: DirectMap = unsafe { DirectMap::new(0xffff_8000_0000_0000) };
//! type Heap = LockedHeap<'static, Balloon<'static, MmioTransport<'static>, DirectMap>>;
//! static HEAP: Heap = LockedHeap::empty(Balloon::new(WINDOW, MAP));
//! static METADATA: StaticMetadata<16384, 65536> = StaticMetadata::new();
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! HEAP.init(WINDOW, METADATA.take().ok_or("taken before")?)?;
//! // … the memory map is added, and the heap is in use; then a device is found:
//! let registers = NonNull::new(0xffff_8000_feb0_0e00_usize as *mut _).ok_or("null")?;
//! // SAFETY: the platform has a device there, and nothing else uses it.
//! let transport = unsafe { MmioTransport::new(registers, 512)? };
//! let shared = HEAP.alloc(PageCount::new((SHARED_BYTES / 4096) as u32))?;
//! let shared = WINDOW.address_of(shared.range().start());
//! // Places for 4 GiB in huge pages.
//! # let places = Box::leak(Box::new([Holding::EMPTY; 2048]));
//! let memory = BalloonMemory { holdings: places, inflated: &mut [] };
//! // SAFETY: the pages were just allocated for this, and are never freed; the
//! // window's addresses are what the device uses.
//! unsafe { HEAP.backing().start(transport, shared, memory, Options::DEFAULT)? };
//! HEAP.backing().attach(&HEAP);
//!
//! // Now and then: what is idle goes back, and the host gets what it wants.
//! let _ = HEAP.release_all();
//! let _ = HEAP.backing().poll(&HEAP, PageCount::new(1 << 15));
//! # Ok(()) }
//! ```
//!
//! # What it does
//!
//! | feature | here |
//! |---|---|
//! | `PAGE_REPORTING` | `sys_unused` reports, up to 32 descriptors a request; `sys_used` has nothing to do |
//! | inflate, deflate | [`poll`](Balloon::poll) follows the host's target with pages of the heap. Without `PAGE_REPORTING`, `sys_unused` inflates idle pages, and `sys_used` deflates those of them that it commits |
//! | `DEFLATE_ON_OOM` | [`attach`](Balloon::attach): a heap without a run takes pages from the balloon, and looks again |
//! | `MUST_TELL_HOST` | accepted; no page is used before the host has answered, whether it asked for that or not |
//! | `STATS_VQ` | [`poll`](Balloon::poll) sends free, total and available memory |
//! | `PAGE_POISON` | accepted if the kernel [has a pattern](Options::poison); what comes out of the balloon is filled with it |
//! | legacy MMIO | works |
//! | `FREE_PAGE_HINT` | accepted, because it moves the number of the next queue; not used |
//! | `EVENT_IDX`, indirect descriptors, packed rings | not accepted |
//!
//! # What is believed of the device
//!
//! * **An answer means that the device is done, not that memory was freed.**
//!   Hosts answer and free nothing: hugepages, locked memory, small pieces.
//! * **Released memory holds anything.** `zeroes_released` is false.
//! * **Nothing it writes can be an index, a length or a loop's end.** An
//!   answer is the one that was waited for, or the end of the device's use: it
//!   is reset, [`Health::Broken`] says why, and the heap goes on without it.
//! * **No wait is longer than [`Machine::wait`] allows.** A device that neither
//!   answers nor acknowledges its reset may still discard what it was given.
//!   Those pages are released in the heap's books, and committing them is
//!   [refused](REFUSED_STRANDED) until it does. A request whose first fit lies
//!   there is refused with it; they are few, at most 32 pieces, and as the heap
//!   releases from the top down they are what first fit comes to last.
//! * **What was agreed with a device outlives it.** If it is to be told before
//!   pages leave the balloon (`MUST_TELL_HOST`), and breaks, they stay there for
//!   good: in use, or [refused](REFUSED_UNTOLD) where idle pages were inflated.
//!   Otherwise the next [`poll`](Balloon::poll) gives them back to the heap.
//! * **Its registers are numbers**, and where they are is found once: over PCI by
//!   this crate's own [`PciTransport`], since that of `virtio-drivers` panics, or
//!   waits for ever, if the device wants it to.
//! * A device that is reset and acts all the same cannot be guarded against.

#![no_std]

mod balloon;
mod device;
mod driver;
mod fault;
mod inflated;
mod machine;
mod options;
mod pieces;
mod ring;
mod stats;
mod target;
mod transport;

pub use balloon::{Balloon, BalloonStats, Pool, REFUSED_STRANDED, REFUSED_UNTOLD};
pub use device::Features;
pub use fault::{Fault, Health, Queue, StartError};
pub use machine::{DirectMap, Machine};
pub use options::{BalloonMemory, Holding, Options, Pieces, SHARED_BYTES};
pub use target::{Poll, PollEnd};
pub use transport::{BalloonTransport, PciError, PciTransport, SomeTransport, Structure};

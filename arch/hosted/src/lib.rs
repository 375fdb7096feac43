//! The [`spanheap`] page heap over a Linux process's own memory.
//!
//! [`HostedBacking`] reserves a range of address space, commits it as the heap
//! hands it out, and gives it back to the system when the heap releases it: the
//! resident set of the process follows what is really in use.
//!
//! ```
//! use spanheap::{Geometry, MapEntry, Metadata, PageCount, PageHeap, Slot};
//! use spanheap_hosted::HostedOptions;
//!
//! // 1 GiB of address space, all of it the heap's as soon as it asks.
//! let window = PageCount::new(1 << 18);
//! let backing = HostedOptions::new()
//!     .growing_by(window)
//!     .reserve(Geometry::SMALL_PAGES, window)?;
//! let (mut slots, mut map) = (vec![Slot::VACANT; 4096], vec![MapEntry::EMPTY; 1 << 14]);
//! let metadata = Metadata::new(&mut slots, &mut map);
//! let mut heap = PageHeap::new(backing.window(), metadata, backing)?;
//!
//! // 4 MiB, written to.
//! let span = heap.alloc(PageCount::new(1024))?;
//! let mut bytes = heap.backing().pointer(span.range()).expect("in the window");
//! // SAFETY: the span is ours, and is not freed before the last use.
//! unsafe { bytes.as_mut() }.fill(1);
//! assert_eq!(heap.backing().usage()?.resident_bytes, 4 << 20);
//!
//! // Freed, it is idle; released, it is the system's again.
//! heap.free(span)?;
//! assert_eq!(heap.backing().usage()?.resident_bytes, 4 << 20);
//! assert_eq!(heap.release_all().pages, PageCount::new(1024));
//! assert_eq!(heap.backing().usage()?.resident_bytes, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does
//!
//! | verb | system call |
//! |---|---|
//! | [`reserve`](HostedBacking::reserve) | `mmap` without access, aligned to a huge page, a guard page at either end |
//! | `sys_used` | `mprotect` of what was never used before; nothing for what was released |
//! | `sys_unused` | `process_madvise` of this process for several ranges, else `madvise`; `MADV_DONTNEED` |
//! | `grow` | none; hands over what is reserved, if [asked to](HostedOptions::growing_by) |
//! | drop | `munmap` |
//!
//! * **Released memory reads as zero.** The heap knows it, and does not clear
//!   what it released for a zeroed request.
//! * **Three mappings, for ever.** Releasing splits none, so the limit of a
//!   process (65,530) is never met.
//! * **A refused commit is an error**, not a crash, where the system counts:
//!   strict overcommit, `RLIMIT_DATA`. Where it overcommits, there is nothing
//!   to refuse, and a machine without memory kills at the first touch.
//! * **No transparent huge pages by default**, because with them the resident
//!   set is not the heap's to decide: [`HugePages`] says what each choice does.
//! * **Locked memory is not released.** After `mlockall`, `MADV_DONTNEED` fails
//!   with `EINVAL`: the heap's release ends as refused, and
//!   [`last_error`](HostedBacking::last_error) says why.
//!
//! # Two ways to give it to a heap
//!
//! [`growing_by`](HostedOptions::growing_by) is the one without `unsafe`, as
//! above. Or the region is added by hand, which promises that it is nobody
//! else's: `unsafe { heap.add_region(backing.range(), Residency::Released) }`.

#[cfg(not(target_os = "linux"))]
compile_error!("spanheap-hosted is written for Linux: madvise means something else elsewhere");

mod backing;
mod error;
mod options;
mod release;
mod reservation;
pub mod rss;
mod threads;

pub use backing::HostedBacking;
pub use error::{CallError, HostedError, SystemCall};
pub use options::{Batching, HostedOptions, HugePages};
pub use threads::Threads;

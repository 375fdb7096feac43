//! Links only if no verb of the heaps, or of the backings, can reach a panic.
//!
//! The panic handler calls a symbol that is defined nowhere. Whatever the
//! optimiser cannot prove unreachable stays, calls the handler, and the linker
//! refuses; so the linker's success is the proof. The program is not meant to
//! be run. `tests/no_panic.rs` builds it, and builds it once more with a
//! planted `unwrap` to see the linker refuse.
//!
//! The proof is worth what the optimiser does not know: every heap, argument
//! and answer of the backing passes through [`any`], behind which it may have
//! any value. So a heap in any state is asked anything, by a backing that does
//! anything, and what is proved does not rest on the books being right. The
//! same holds for the backings in `arch/` that have no system below them: their
//! books, their devices and their page tables may say anything.
//!
//! To find the panic behind a refusal, let the linker warn only, and see who
//! calls into `core::panicking`:
//!
//! ```text
//! cargo rustc --release -- -C link-arg=-Wl,--warn-unresolved-symbols
//! objdump --disassemble --reloc --demangle --line-numbers target/release/spanheap-no-panic
//! ```

#![no_std]
#![no_main]

mod balloon;
mod scavenge;
mod shared;
mod tables;
mod verbs;

use core::hint::{black_box, spin_loop};
use core::panic::PanicInfo;

use spanheap::{Backing, Corruption, Growth, PageCount, PageRange, Refused};
use spanheap_virtio_balloon::PciTransport;

// The C library's start-up code and its `memcpy`; nothing else of it.
#[link(name = "c")]
unsafe extern "C" {
    /// Defined nowhere.
    fn spanheap_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: no program that holds this call links.
    unsafe { spanheap_panic_is_reachable() }
}

/// Returns its argument, and makes the optimiser forget what it was.
fn any<T>(value: T) -> T {
    black_box(value)
}

/// A backing of which the optimiser knows nothing, but that it stops where the
/// default would panic.
struct Anything;

// SAFETY: the program is never run.
unsafe impl Backing for Anything {
    fn sys_used(&self, range: PageRange) -> Result<(), Refused> {
        any(range);
        any(Ok(()))
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        any(ranges);
        any(0)
    }

    fn zero(&self, range: PageRange) {
        any(range);
    }

    fn zeroes_released(&self) -> bool {
        any(false)
    }

    fn grow(&self, pages: PageCount) -> Option<Growth> {
        any(pages);
        any(None)
    }

    fn corrupted(what: Corruption) -> ! {
        any(what);
        stop()
    }
}

/// Stops where the default would panic.
fn stop() -> ! {
    loop {
        spin_loop();
    }
}

/// Where the C library's start-up code goes. Keeps the verbs in the program.
// SAFETY: nothing else here defines `main`, and the C library expects it to
// have this signature.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    any(verbs::values as *const ());
    any(verbs::memory_map as *const ());
    any(verbs::page_heap as *const ());
    any(verbs::locked_heap as *const ());
    any(verbs::made as *const ());
    any(verbs::metadata as *const ());
    any(shared::heap as *const ());
    any(shared::made as *const ());
    any(scavenge::values as *const ());
    any(scavenge::measured as *const ());
    any(scavenge::page_heap as *const ());
    any(scavenge::locked_heap as *const ());
    any(scavenge::shared_heap as *const ());
    any(balloon::values as *const ());
    any(balloon::verbs::<balloon::Device> as *const ());
    any(balloon::verbs::<PciTransport> as *const ());
    any(tables::values as *const ());
    any(tables::over_direct_map as *const ());
    any(tables::over_window as *const ());
    any(tables::frames as *const ());
    0
}

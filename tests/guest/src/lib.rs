//! What the test kernels share: from the first instruction to the exit code.
//!
//! QEMU enters a kernel in the way of its architecture, with something in hand
//! that tells the machine's memory ([`memory`]): x86's by PVH in 32-bit mode,
//! the others with a device tree. What is an architecture's own is in a directory
//! of its name, and each has the same for the rest:
//!
//! | | |
//! |---|---|
//! | `start`, `link.ld` | from the first instruction to `kernel_main` |
//! | `set_up` | what is to be done first; exceptions end in a message from then on |
//! | `boot_memory` | the memory, read from what the machine was entered with |
//! | [`OFFSET`], [`direct_map`] | where all memory is visible |
//! | `read_byte`, `write_byte` | the line to the runner, under [`serial`] and [`host`] |
//! | `exit` | the end of QEMU, with a status |
//! | `over_pci`, `transports` | where a balloon may be |
//!
//! Devices, and the image, are visible at their physical addresses everywhere.
//!
//! A kernel is then a `main` in `tests/`, made one by [`kernel!`]. A test fails
//! by panicking: the handler here ends QEMU with a status that means it. So does
//! everything that is not the status of success, a triple fault among it, and so
//! does the runner's time limit.

#![no_std]

#[cfg_attr(target_arch = "x86_64", path = "x86_64/mod.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64/mod.rs")]
#[cfg_attr(target_arch = "riscv64", path = "riscv64/mod.rs")]
mod arch;
pub mod balloon;
mod device;
mod heap;
pub mod host;
pub mod memory;
pub mod serial;
#[cfg(not(target_arch = "x86_64"))]
mod tree;

pub use arch::{OFFSET, direct_map};
#[cfg(target_arch = "x86_64")]
pub use arch::{apic, processors, trap};
pub use heap::{Wired, heap_of, shared_heap_of, window};

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering};

use memory::BootMemory;

/// Makes a kernel of a function that takes a [`BootMemory`].
#[macro_export]
macro_rules! kernel {
    ($main:path) => {
        /// Called by the start-up code.
        ///
        /// # Safety
        ///
        /// By nothing else, and with the address that the machine was entered
        /// with.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn kernel_main(told: usize) -> ! {
            // SAFETY: the caller's promise.
            let memory = unsafe { $crate::set_up(told) };
            $main(&memory);
            $crate::host::succeed()
        }
    };
}

/// Makes exceptions end in a message, and reads the machine's memory map.
///
/// # Safety
///
/// It is the first thing that is done, and `told` is the physical address of
/// what the machine tells its memory by.
#[doc(hidden)]
#[must_use]
pub unsafe fn set_up(told: usize) -> BootMemory {
    arch::set_up();
    println!("@begin");
    // SAFETY: the caller's promise; nothing was written to yet.
    unsafe { arch::boot_memory(told) }
}

/// Returns where the byte at a physical address is visible.
#[must_use]
pub fn pointer<T>(physical: u64) -> *mut T {
    core::ptr::with_exposed_provenance_mut((OFFSET + physical) as usize)
}

static PANICKED: AtomicBool = AtomicBool::new(false);

/// Prints a case's name, runs it, and says that it held.
pub fn case(name: &str, body: impl FnOnce()) {
    println!("  {name} ...");
    body();
    println!("  {name} ... ok");
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    // A handler of interrupts may panic as well.
    #[cfg(target_arch = "x86_64")]
    x86_64::instructions::interrupts::disable();
    // Alone: it orders nothing. Another CPU's message ends the machine before
    // this; but if the other was this one, nothing else does.
    if PANICKED.swap(true, Ordering::Relaxed) {
        (0..1 << 20).for_each(|_| spin_loop());
    }
    println!("{info}");
    host::fail()
}

//! What the test kernels share: from the first instruction to the exit code.
//!
//! QEMU loads a kernel by its PVH note and enters it in 32-bit mode with the
//! machine's memory map in hand ([`memory`]). `start` makes that 64-bit mode,
//! [`direct_map`] maps all memory once more at an offset, [`trap`] takes page
//! faults on a stack of their own, and [`serial`] and [`host`] talk to the
//! runner. A kernel is then a `main` in `tests/`, made one by [`kernel!`].
//!
//! A test fails by panicking: the handler here ends QEMU with a code that means
//! it. So does everything that is not the code for success, a triple fault
//! among it, and so does the runner's time limit.

#![no_std]

pub mod balloon;
mod device;
mod direct_map;
mod heap;
pub mod host;
pub mod memory;
mod port;
pub mod serial;
mod start;
pub mod trap;

pub use direct_map::{OFFSET, direct_map, pointer};
pub use heap::{Wired, heap_of, window};

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
        unsafe extern "C" fn kernel_main(info: u32) -> ! {
            // SAFETY: the caller's promise.
            let memory = unsafe { $crate::set_up(info) };
            $main(&memory);
            $crate::host::succeed()
        }
    };
}

/// Reads the machine's memory map, and makes faults end in a message.
///
/// # Safety
///
/// It is the first thing that is done, and `info` is the physical address of
/// the PVH start info.
#[doc(hidden)]
#[must_use]
pub unsafe fn set_up(info: u32) -> BootMemory {
    trap::set_up();
    // SAFETY: the caller's promise; the low 4 GiB are mapped one to one.
    unsafe { BootMemory::read(info) }
}

/// Prints a case's name, runs it, and says that it held.
pub fn case(name: &str, body: impl FnOnce()) {
    println!("  {name} ...");
    body();
    println!("  {name} ... ok");
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    host::fail()
}

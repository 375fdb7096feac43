//! riscv64: QEMU's `virt`, in supervisor mode under its firmware, with all memory
//! where it is, since paging is off.

mod devices;
mod start;
mod trap;

pub(crate) use devices::{exit, read_byte, write_byte};
use spanheap_virtio_balloon::PciTransport;

use crate::memory::BootMemory;
pub(crate) use crate::tree::{boot_memory, transports};

/// Where physical address 0 is visible.
pub const OFFSET: u64 = 0;

/// All memory, where it is.
#[derive(Debug)]
pub struct OneToOne;

/// Says that all memory is visible, which needs nothing.
#[must_use]
pub fn direct_map(_: &BootMemory) -> OneToOne {
    OneToOne
}

/// All is set up: exceptions by the start-up code, the line by the firmware.
pub(crate) fn set_up() {}

/// There is a bus, and nothing that the kernels use is on it.
pub(crate) fn over_pci() -> Option<PciTransport> {
    None
}

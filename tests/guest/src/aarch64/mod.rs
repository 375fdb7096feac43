//! aarch64: QEMU's `virt`, in EL1, with all memory mapped one to one.

mod devices;
mod start;
mod trap;

pub(crate) use devices::{exit, read_byte, set_up, write_byte};
use spanheap_virtio_balloon::PciTransport;

use crate::memory::BootMemory;
pub(crate) use crate::tree::{boot_memory, transports};

/// Where physical address 0 is visible.
pub const OFFSET: u64 = 0;

/// All memory, where it is.
#[derive(Debug)]
pub struct OneToOne;

/// Says that all memory is mapped, as the start-up code has done.
#[must_use]
pub fn direct_map(memory: &BootMemory) -> OneToOne {
    assert!(memory.end() <= start::LIMIT, "more memory than is mapped");
    OneToOne
}

/// There is a bus, and nothing that the kernels use is on it.
pub(crate) fn over_pci() -> Option<PciTransport> {
    None
}

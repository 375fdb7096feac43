//! x86-64: entered by PVH, with devices behind ports and a direct map.
//!
//! The low 4 GiB are mapped one to one as well: the image and the devices are
//! used there.

pub mod apic;
mod devices;
mod direct_map;
mod pci;
pub mod processors;
mod start;
mod start_info;
pub mod trap;

pub(crate) use devices::{exit, read_byte, write_byte};
pub use direct_map::{OFFSET, direct_map};
pub(crate) use pci::over_pci;
pub(crate) use start_info::boot_memory;
pub(crate) use trap::set_up;

/// Returns where QEMU's `microvm` has its MMIO transports. It has no PCI bus,
/// and every machine with one has its balloon there.
pub(crate) fn transports() -> impl Iterator<Item = u64> {
    (0..24).map(|slot| 0xfeb0_0000 + slot * crate::device::MMIO_BYTES as u64)
}

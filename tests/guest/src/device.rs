//! Finds the balloon: where the architecture looks for it, or among the
//! machine's MMIO transports.

use core::ptr::NonNull;

use spanheap_virtio_balloon::SomeTransport;
use virtio_drivers::transport::mmio::MmioTransport;

use crate::arch;

/// The least that a transport has of registers.
pub(crate) const MMIO_BYTES: usize = 512;
const MAGIC: u32 = 0x7472_6976;
const BALLOON: u32 = 5;

/// Returns the balloon's transport, if the machine has one. To be called once.
pub(crate) fn find() -> Option<SomeTransport<'static>> {
    arch::over_pci()
        .map(Into::into)
        .or_else(|| arch::transports().find_map(over_mmio).map(Into::into))
}

/// Returns the transport at an address that is one's, if a balloon is behind it.
fn over_mmio(address: u64) -> Option<MmioTransport<'static>> {
    let at = core::ptr::with_exposed_provenance_mut::<u32>(address as usize);
    // SAFETY: the machine has a transport there, and devices are mapped one to
    // one.
    let magic = unsafe { at.read_volatile() };
    // SAFETY: as above.
    let kind = unsafe { at.wrapping_add(2).read_volatile() };
    if magic != MAGIC || kind != BALLOON {
        return None;
    }
    let header = NonNull::new(at.cast())?;
    // SAFETY: as above, and nothing else uses it.
    unsafe { MmioTransport::new(header, MMIO_BYTES) }.ok()
}

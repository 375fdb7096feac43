//! What the driver asks of a transport, and the transports that it takes.
//!
//! `virtio-drivers` has the trait of one, and the MMIO transport is used as it
//! is. Its methods that the driver calls read nothing of the device but
//! numbers that are judged here (the offered features, the status, a queue's
//! size, the configuration), so there is nothing in them to believe. Its PCI
//! transport is not so, and cannot be passed to a balloon: see `pci`.
//!
//! Two more methods of the trait wait for the device without end, and are never
//! called: `queue_unset` and `read_consistent`.

mod capability;
mod pci;

use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use capability::{PciError, Structure};
pub use pci::PciTransport;

/// A transport that a device cannot harm.
///
/// Whatever the device writes to its registers, no method of it panics or waits
/// but `queue_unset`, `read_consistent` and `drop`, which a balloon never calls.
pub trait BalloonTransport: Transport {
    /// Finds where a queue is notified, once: [`notify`](Transport::notify)
    /// asks the device no more. Called with the queue's number before the queue
    /// is set up; returns whether that is a place among the device's registers.
    fn find_doorbell(&mut self, queue: u16) -> bool;
}

impl BalloonTransport for MmioTransport<'_> {
    fn find_doorbell(&mut self, _: u16) -> bool {
        // One register for all queues, at the same place in every device.
        true
    }
}

/// Either transport, for kernels that find out at run time.
#[derive(Debug)]
pub enum SomeTransport<'r> {
    /// Registers in memory.
    Mmio(MmioTransport<'r>),
    /// A device on a PCI bus.
    Pci(PciTransport),
}

impl<'r> From<MmioTransport<'r>> for SomeTransport<'r> {
    fn from(mmio: MmioTransport<'r>) -> Self {
        Self::Mmio(mmio)
    }
}

impl From<PciTransport> for SomeTransport<'_> {
    fn from(pci: PciTransport) -> Self {
        Self::Pci(pci)
    }
}

/// Calls a method of whichever transport it is.
macro_rules! either {
    ($some:expr, $method:ident($($argument:expr),*)) => {
        match $some {
            SomeTransport::Mmio(mmio) => mmio.$method($($argument),*),
            SomeTransport::Pci(pci) => pci.$method($($argument),*),
        }
    };
}

impl BalloonTransport for SomeTransport<'_> {
    fn find_doorbell(&mut self, queue: u16) -> bool {
        either!(self, find_doorbell(queue))
    }
}

impl Transport for SomeTransport<'_> {
    fn device_type(&self) -> DeviceType {
        either!(self, device_type())
    }

    fn read_device_features(&mut self) -> u64 {
        either!(self, read_device_features())
    }

    fn write_driver_features(&mut self, driver_features: u64) {
        either!(self, write_driver_features(driver_features));
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        either!(self, max_queue_size(queue))
    }

    fn notify(&mut self, queue: u16) {
        either!(self, notify(queue));
    }

    fn get_status(&self) -> DeviceStatus {
        either!(self, get_status())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        either!(self, set_status(status));
    }

    fn set_guest_page_size(&mut self, guest_page_size: u32) {
        either!(self, set_guest_page_size(guest_page_size));
    }

    fn requires_legacy_layout(&self) -> bool {
        either!(self, requires_legacy_layout())
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        either!(
            self,
            queue_set(queue, size, descriptors, driver_area, device_area)
        );
    }

    fn queue_unset(&mut self, queue: u16) {
        either!(self, queue_unset(queue));
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        either!(self, queue_used(queue))
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        either!(self, ack_interrupt())
    }

    fn read_config_generation(&self) -> u32 {
        either!(self, read_config_generation())
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        either!(self, read_config_space(offset))
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<(), Error> {
        either!(self, write_config_space(offset, value))
    }
}

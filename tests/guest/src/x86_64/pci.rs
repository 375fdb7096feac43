//! Finds the balloon on the PCI bus.

use core::ops::Range;
use core::ptr::{NonNull, with_exposed_provenance_mut};

use spanheap_virtio_balloon::PciTransport;
use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
use virtio_drivers::transport::pci::virtio_device_type;
use x86_64::instructions::port::Port;

/// Returns the balloon's transport over PCI, if there is one.
pub(crate) fn over_pci() -> Option<PciTransport> {
    let mut root = PciRoot::new(Ports);
    let is_balloon = |info: &_| virtio_device_type(info) == Some(DeviceType::MemoryBalloon);
    let (function, _) = root.enumerate_bus(0).find(|(_, info)| is_balloon(info))?;
    root.set_command(function, Command::MEMORY_SPACE | Command::BUS_MASTER);
    // SAFETY: the low 4 GiB are mapped one to one; this part of them is the
    // registers of devices on these machines, and nothing else uses the
    // balloon's.
    let transport = unsafe { PciTransport::new(&Ports, function, registers) };
    Some(transport.expect("a balloon with registers"))
}

/// Where registers are mapped: in the hole below 4 GiB, and nowhere else.
fn registers(physical: Range<u64>) -> Option<NonNull<u8>> {
    let hole = 0x8000_0000..=1 << 32;
    let inside = hole.contains(&physical.start) && hole.contains(&physical.end);
    let at = with_exposed_provenance_mut(physical.start as usize);
    NonNull::new(at).filter(|_| inside)
}

/// PCI's configuration space, by its two ports.
struct Ports;

impl Ports {
    fn select(function: DeviceFunction, register: u8) {
        let number = u32::from(function.bus) << 16
            | u32::from(function.device) << 11
            | u32::from(function.function) << 8;
        // SAFETY: it selects a register, and does nothing else.
        unsafe { Port::new(0xcf8).write(1 << 31 | number | u32::from(register)) }
    }
}

impl ConfigurationAccess for Ports {
    fn read_word(&self, function: DeviceFunction, register: u8) -> u32 {
        Self::select(function, register);
        // SAFETY: to read a register of a configuration space has no effect on
        // memory.
        unsafe { Port::new(0xcfc).read() }
    }

    fn write_word(&mut self, function: DeviceFunction, register: u8, word: u32) {
        Self::select(function, register);
        // SAFETY: the device is the driver's.
        unsafe { Port::new(0xcfc).write(word) }
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}

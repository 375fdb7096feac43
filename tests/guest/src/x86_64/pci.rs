//! Finds the balloon on the PCI bus.

use core::ptr::NonNull;

use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, virtio_device_type};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};
use x86_64::instructions::port::Port;

/// Returns the balloon's transport over PCI, if there is one.
pub(crate) fn over_pci() -> Option<PciTransport> {
    let mut root = PciRoot::new(Ports);
    let is_balloon = |info: &_| virtio_device_type(info) == Some(DeviceType::MemoryBalloon);
    let (function, _) = root.enumerate_bus(0).find(|(_, info)| is_balloon(info))?;
    root.set_command(function, Command::MEMORY_SPACE | Command::BUS_MASTER);
    Some(PciTransport::new::<OneToOne, _>(&mut root, function).expect("a virtio device"))
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

/// The machine for the transport, which asks it for addresses of registers
/// only: the balloon has rings of its own.
struct OneToOne;

// SAFETY: the low 4 GiB, where the registers are, are mapped one to one; the
// rest is never called.
unsafe impl Hal for OneToOne {
    fn dma_alloc(_: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        unreachable!("the balloon shares memory of its own")
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        unreachable!("nothing was allocated")
    }

    unsafe fn mmio_phys_to_virt(physical: PhysAddr, bytes: usize) -> NonNull<u8> {
        assert!(physical + bytes as u64 <= 4 << 30, "registers above 4 GiB");
        NonNull::new(core::ptr::with_exposed_provenance_mut(physical as usize)).expect("not null")
    }

    unsafe fn share(_: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        unreachable!("the balloon shares memory of its own")
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {
        unreachable!("nothing was shared")
    }
}

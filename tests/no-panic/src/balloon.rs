//! Every public verb of the balloon, over transports that cannot panic.
//!
//! Besides the crate's own transport for PCI there is one that answers anything.
//! The one for MMIO of `virtio-drivers` is not among them: its `queue_set`
//! asserts that a queue has the legacy layout, and is not inlined, so that the
//! optimiser does not see that it has. (`ring.rs` says so in constants; that was
//! the one method to be refused.) A verb that is missing here fails
//! `tests/no_panic.rs`, which reads the names in `arch/virtio-balloon/src`.

use core::ops::Range;
use core::ptr::NonNull;

use spanheap::{Backing, Corruption, LockedHeap, PageCount, PageRange, SharedHeap};
use spanheap_virtio_balloon::{
    Balloon, BalloonMemory, BalloonTransport, DirectMap, Machine, Options, PciTransport, Pieces,
    Pool,
};
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::shared::Cpus;
use crate::{any, stop};

type Over<T> = Balloon<'static, T, Kernel>;

/// What the verbs are given.
pub struct Given {
    window: spanheap::Window,
    options: Options,
    pages: PageCount,
    range: PageRange,
    ranges: &'static [PageRange],
    address: u64,
    function: DeviceFunction,
    pool: &'static (dyn Pool + Sync),
}

/// Every verb of a balloon.
pub fn verbs<T: BalloonTransport + Send + 'static>(
    heap: &'static LockedHeap<'static, Over<T>>,
    shared_heap: &'static SharedHeap<'static, Over<T>, Cpus>,
    transport: fn() -> T,
    memory: fn() -> BalloonMemory<'static>,
    given: &Given,
) {
    let _ = any(Over::<T>::new(any(given.window), Kernel));
    let balloon = || any(heap.backing());
    let (transport, memory) = (any(transport()), any(memory()));
    let (shared, options) = (any(given.address), any(given.options));
    // SAFETY: the program is never run.
    let _ = any(unsafe { Balloon::start(balloon(), transport, shared, memory, options) });
    Balloon::attach(balloon(), any(given.pool));
    Balloon::attach(balloon(), any(heap));
    Balloon::attach(balloon(), any(shared_heap));
    let pages = || any(given.pages);
    let _ = any(Balloon::poll(balloon(), any(given.pool), pages()));
    let _ = any(Balloon::poll(balloon(), any(heap), pages()));
    let _ = any(Balloon::poll(balloon(), any(shared_heap), pages()));
    any(Balloon::relieve(balloon(), any(given.pool), pages()));
    any(Balloon::relieve(balloon(), any(heap), pages()));
    any(Balloon::relieve(balloon(), any(shared_heap), pages()));
    any(Balloon::stats(balloon()));
    any(Balloon::machine(balloon()));

    let _ = any(Backing::sys_used(balloon(), any(given.range)));
    any(Backing::sys_unused(balloon(), any(given.ranges)));
    Backing::zero(balloon(), any(given.range));
    any(Backing::zeroes_released(balloon()));
    any(Backing::grow(balloon(), pages()));
    let _ = any(LockedHeap::alloc(any(heap), pages()));
    let _ = any(LockedHeap::release_all(any(heap)));
    let _ = any(SharedHeap::alloc(any(shared_heap), pages()));
    let _ = any(SharedHeap::release_all(any(shared_heap)));
    #[cfg(feature = "planted-balloon")]
    any(Balloon::relieve(balloon(), any(heap), pages())
        .get()
        .checked_sub(1)
        .unwrap());
}

/// What they are made of.
pub fn values(given: &Given) {
    let options = any(given.options).pieces(any(Pieces::Any));
    any(options.limit(any(given.pages)).poison(any(0)));
    // SAFETY: the program is never run.
    let map = unsafe { DirectMap::new(any(given.address)) };
    let map = any(map.patience(any(0)));
    any((map.pointer(any(given.address)), map.wait(any(0))));
    let registers = |bytes: Range<u64>| {
        any(bytes);
        any(None::<NonNull<u8>>)
    };
    // SAFETY: the program is never run.
    let _ = any(unsafe { PciTransport::new(any(&Bus), any(given.function), registers) });
}

/// A kernel of which the optimiser knows nothing.
#[derive(Debug)]
pub struct Kernel;

// SAFETY: the program is never run.
unsafe impl Machine for Kernel {
    fn pointer(&self, physical: u64) -> *mut u8 {
        any(physical as usize as *mut u8)
    }

    fn wait(&self, turn: u32) -> bool {
        any(turn) == 0
    }

    fn corrupted(what: Corruption) -> ! {
        any(what);
        stop()
    }
}

/// A configuration space that says anything.
struct Bus;

impl ConfigurationAccess for Bus {
    fn read_word(&self, function: DeviceFunction, register: u8) -> u32 {
        any((function, register));
        any(0)
    }

    fn write_word(&mut self, function: DeviceFunction, register: u8, word: u32) {
        any((function, register, word));
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}

/// A transport behind which the device says anything.
#[derive(Debug)]
pub struct Device;

impl BalloonTransport for Device {
    fn find_doorbell(&mut self, queue: u16) -> bool {
        any(queue) == 0
    }
}

impl Transport for Device {
    fn device_type(&self) -> DeviceType {
        any(DeviceType::MemoryBalloon)
    }

    fn read_device_features(&mut self) -> u64 {
        any(0)
    }

    fn write_driver_features(&mut self, driver_features: u64) {
        any(driver_features);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        any(queue).into()
    }

    fn notify(&mut self, queue: u16) {
        any(queue);
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(any(0))
    }

    fn set_status(&mut self, status: DeviceStatus) {
        any(status);
    }

    fn set_guest_page_size(&mut self, guest_page_size: u32) {
        any(guest_page_size);
    }

    fn requires_legacy_layout(&self) -> bool {
        any(false)
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        any((queue, size, descriptors, driver_area, device_area));
    }

    fn queue_unset(&mut self, queue: u16) {
        any(queue);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        any(queue) == 0
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_retain(any(0))
    }

    fn read_config_generation(&self) -> u32 {
        any(0)
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        match any(offset) {
            0 => Err(any(Error::ConfigSpaceTooSmall)),
            _ => Ok(any(T::new_zeroed())),
        }
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<(), Error> {
        any(&value);
        match any(offset) {
            0 => Err(any(Error::ConfigSpaceTooSmall)),
            _ => Ok(()),
        }
    }
}

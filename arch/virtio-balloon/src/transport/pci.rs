//! A balloon's registers on a PCI bus, found once.
//!
//! `virtio-drivers` 0.13 has a PCI transport, which is not used, because it
//! believes the device:
//!
//! * each notification asks where the queue's doorbell is, and panics if that
//!   is outside of the device's registers. (It is three register accesses, each
//!   of which leaves a virtual machine, where one does.)
//! * `new` follows a list of capabilities that is a circle for ever, and adds
//!   offset and length in 32 bits, so that both can be wrong and look right.
//! * Dropping it waits for the device.
//!
//! Besides, it writes addresses of queues in 64 bits, which the specification
//! forbids. Here a doorbell is found when its queue is set up, and is an index
//! into the registers that the kernel mapped for it, from then on.
//!
//! Invariant: what is in `doorbells` is an index below the length of `bells`.

use core::ops::{Deref, Range};
use core::ptr::NonNull;

use safe_mmio::fields::{ReadPure, ReadPureWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::BalloonTransport;
use super::capability::{Function, PciError, Place, Structure};

/// How many queues a balloon can have.
const QUEUES: usize = 5;

/// The most bytes that a balloon's configuration has.
const CONFIG_BYTES: u64 = 16;

/// The structure of all virtio devices, without what newer ones add.
#[repr(C)]
struct Common {
    device_feature_select: ReadPureWrite<u32>,
    device_feature: ReadPure<u32>,
    driver_feature_select: ReadPureWrite<u32>,
    driver_feature: ReadPureWrite<u32>,
    config_msix_vector: ReadPureWrite<u16>,
    num_queues: ReadPure<u16>,
    device_status: ReadPureWrite<u8>,
    config_generation: ReadPure<u8>,
    queue_select: ReadPureWrite<u16>,
    queue_size: ReadPureWrite<u16>,
    queue_msix_vector: ReadPureWrite<u16>,
    queue_enable: ReadPureWrite<u16>,
    queue_notify_off: ReadPure<u16>,
    queue_desc_low: ReadPureWrite<u32>,
    queue_desc_high: ReadPureWrite<u32>,
    queue_driver_low: ReadPureWrite<u32>,
    queue_driver_high: ReadPureWrite<u32>,
    queue_device_low: ReadPureWrite<u32>,
    queue_device_high: ReadPureWrite<u32>,
}

const COMMON_BYTES: u64 = size_of::<Common>() as u64;
const _: () = assert!(COMMON_BYTES == 56);

/// The transport of a balloon on a PCI bus.
#[derive(Debug)]
pub struct PciTransport {
    common: UniqueMmioPointer<'static, Common>,
    bells: UniqueMmioPointer<'static, [WriteOnly<u16>]>,
    multiplier: u32,
    /// Which of the bells is each queue's.
    doorbells: [Option<usize>; QUEUES],
    config: Option<UniqueMmioPointer<'static, [ReadPureWrite<u32>]>>,
}

impl PciTransport {
    /// Finds the registers of the balloon that is a function of a PCI bus. Its
    /// regions have addresses, and it may answer at them and be a bus master
    /// (`Command::MEMORY_SPACE` and `Command::BUS_MASTER`).
    ///
    /// `map` returns where the registers at physical addresses are mapped. The
    /// addresses are the device's word: a kernel that does not trust it says
    /// `None` to all but what it set aside for the registers of devices.
    ///
    /// # Errors
    ///
    /// If the function is no balloon, or its registers are not found. Nothing
    /// was written to it.
    ///
    /// # Safety
    ///
    /// Where `map` returns a pointer, it is valid for reads and writes of as
    /// many bytes as the range has, as memory of a device; nothing else uses
    /// those while the transport, or a balloon over it, exists.
    pub unsafe fn new(
        access: &impl ConfigurationAccess,
        function: DeviceFunction,
        mut map: impl FnMut(Range<u64>) -> Option<NonNull<u8>>,
    ) -> Result<Self, PciError> {
        let space = Function::of_balloon(access, function)?;
        let common = space.find(Structure::Common, COMMON_BYTES)?;
        let notify = space.find(Structure::Notify, size_of::<u16>() as u64)?;
        // Without one there is no target: the driver will say so.
        let config = space.find(Structure::Config, 0).ok();
        let common = registers::<Common>(&mut map, Structure::Common, &common, COMMON_BYTES)?;
        let bells = registers(&mut map, Structure::Notify, &notify, u64::MAX)?;
        let config = config
            .map(|place| registers(&mut map, Structure::Config, &place, CONFIG_BYTES))
            .transpose()?;
        // SAFETY: the caller promises registers there, and nothing else that
        // uses them; `registers` asked for so many, and checked the alignment.
        let common = unsafe { UniqueMmioPointer::new(common.cast()) };
        // SAFETY: as above, of a slice whose length is that of the range.
        let bells = unsafe { UniqueMmioPointer::new(bells) };
        let config = config.map(|config| {
            // SAFETY: as above.
            unsafe { UniqueMmioPointer::new(config) }
        });
        Ok(Self {
            common,
            bells,
            multiplier: notify.multiplier,
            doorbells: [None; QUEUES],
            config,
        })
    }

    fn select(&mut self, queue: u16) {
        field!(self.common, queue_select).write(queue);
    }

    /// Returns which of the bells is rung for a queue, if it is one of them.
    fn bell_of(&mut self, queue: u16) -> Option<usize> {
        self.select(queue);
        let number = field_shared!(self.common, queue_notify_off).read();
        let bytes = u64::from(number) * u64::from(self.multiplier);
        let index = usize::try_from(bytes / 2).ok()?;
        (bytes.is_multiple_of(2) && index < self.bells.len()).then_some(index)
    }
}

/// Has the registers of a structure mapped, at most so many bytes, as a slice.
fn registers<T>(
    map: &mut impl FnMut(Range<u64>) -> Option<NonNull<u8>>,
    what: Structure,
    place: &Place,
    most: u64,
) -> Result<NonNull<[T]>, PciError> {
    let not_mapped = PciError::NotMapped(what);
    let Range { start, end } = place.bytes;
    let bytes = (end - start).min(most);
    let len = usize::try_from(bytes).map_err(|_| not_mapped)? / size_of::<T>();
    let at = map(start..start + bytes).ok_or(not_mapped)?.cast::<T>();
    match at.is_aligned() {
        true => Ok(NonNull::slice_from_raw_parts(at, len)),
        false => Err(not_mapped),
    }
}

impl BalloonTransport for PciTransport {
    fn find_doorbell(&mut self, queue: u16) -> bool {
        let bell = self.bell_of(queue);
        let Some(place) = self.doorbells.get_mut(usize::from(queue)) else {
            return false;
        };
        *place = bell;
        bell.is_some()
    }
}

impl Transport for PciTransport {
    fn device_type(&self) -> DeviceType {
        // Nothing else was found to be worth a transport.
        DeviceType::MemoryBalloon
    }

    fn read_device_features(&mut self) -> u64 {
        field!(self.common, device_feature_select).write(0);
        let low = field_shared!(self.common, device_feature).read();
        field!(self.common, device_feature_select).write(1);
        let high = field_shared!(self.common, device_feature).read();
        u64::from(high) << 32 | u64::from(low)
    }

    fn write_driver_features(&mut self, driver_features: u64) {
        field!(self.common, driver_feature_select).write(0);
        field!(self.common, driver_feature).write(driver_features as u32);
        field!(self.common, driver_feature_select).write(1);
        field!(self.common, driver_feature).write((driver_features >> 32) as u32);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.select(queue);
        field_shared!(self.common, queue_size).read().into()
    }

    fn notify(&mut self, queue: u16) {
        let found = self.doorbells.get(usize::from(queue)).copied().flatten();
        if let Some(index) = found
            && let Some(mut bell) = self.bells.get(index)
        {
            bell.write(queue);
        }
    }

    fn get_status(&self) -> DeviceStatus {
        // With the bits that nobody defined: they are no answer to a reset.
        DeviceStatus::from_bits_retain(field_shared!(self.common, device_status).read().into())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        field!(self.common, device_status).write(status.bits() as u8);
    }

    fn set_guest_page_size(&mut self, _: u32) {
        // Only legacy devices ask for it.
    }

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.select(queue);
        field!(self.common, queue_size).write(size as u16);
        field!(self.common, queue_desc_low).write(descriptors as u32);
        field!(self.common, queue_desc_high).write((descriptors >> 32) as u32);
        field!(self.common, queue_driver_low).write(driver_area as u32);
        field!(self.common, queue_driver_high).write((driver_area >> 32) as u32);
        field!(self.common, queue_device_low).write(device_area as u32);
        field!(self.common, queue_device_high).write((device_area >> 32) as u32);
        field!(self.common, queue_enable).write(1);
    }

    fn queue_unset(&mut self, _: u16) {
        // Over PCI a queue is taken down by a reset alone.
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.select(queue);
        field_shared!(self.common, queue_enable).read() == 1
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        // None was asked for, and the register is not even looked for.
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        field_shared!(self.common, config_generation).read().into()
    }

    /// Reads 4 bytes; whatever else is not supported.
    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        let config = self.config.as_ref().ok_or(Error::ConfigSpaceMissing)?;
        if !offset.is_multiple_of(4) {
            return Err(Error::Unsupported);
        }
        let word = config.deref().get(offset / 4);
        let word = word.ok_or(Error::ConfigSpaceTooSmall)?.read();
        T::read_from_bytes(&word.to_ne_bytes()).map_err(|_| Error::Unsupported)
    }

    /// Writes 4 bytes; whatever else is not supported.
    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<(), Error> {
        let config = self.config.as_mut().ok_or(Error::ConfigSpaceMissing)?;
        let word = u32::read_from_bytes(value.as_bytes());
        let (true, Ok(word)) = (offset.is_multiple_of(4), word) else {
            return Err(Error::Unsupported);
        };
        let mut register = config.get(offset / 4).ok_or(Error::ConfigSpaceTooSmall)?;
        register.write(word);
        Ok(())
    }
}

//! The device: its features, its queues, and one request at a time.
//!
//! Set-up follows the specification's order. Which queue has which index is not
//! as the specification says: queues are numbered densely, over the features
//! that have one, and devices count those they offer, drivers those they
//! accepted. So every offered feature with a queue is accepted, even free page
//! hints, which are not used; then both counts agree. A device that goes by the
//! specification's numbers has a gap where a queue is missing, and is known by
//! it.
//!
//! Event indices are never accepted, nor anything else that is not needed.
//!
//! Invariant: after the first fault nothing is written to the device but resets,
//! nor to memory that it may still read.

use core::mem::{ManuallyDrop, offset_of};
use core::sync::atomic::Ordering;

use bitflags::bitflags;
use virtio_drivers::transport::{DeviceStatus, DeviceType};

use crate::fault::{Fault, Health, Queue, StartError};
use crate::machine::Machine;
use crate::ring::{Access, Buffer, Lie, PFNS, QUEUES, QueueMemory, Ring, SIZE, SharedMemory};
use crate::transport::BalloonTransport;

/// The unit of page frame numbers and of the configuration space.
pub(crate) const PFN_BYTES: u64 = 4096;

/// The most memory that one inflate or deflate request names.
pub(crate) const TELL_BYTES: u64 = PFNS as u64 * PFN_BYTES;

const NUM_PAGES: usize = 0;
const ACTUAL: usize = 4;
const POISON_VALUE: usize = 12;

/// Where the specification has the reporting queue, with or without others.
const REPORTING_INDEX: u16 = 4;

bitflags! {
    /// What was negotiated.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// Pages are not used before the host knows that they leave the balloon.
        const MUST_TELL_HOST = 1 << 0;
        /// The host asks for the guest's numbers.
        const STATS_VQ = 1 << 1;
        /// The guest may take pages back when it has no others.
        const DEFLATE_ON_OOM = 1 << 2;
        /// Accepted for the numbering of the queues only.
        const FREE_PAGE_HINT = 1 << 3;
        /// The host knows the pattern of free pages.
        const PAGE_POISON = 1 << 4;
        /// The host takes reports of free pages.
        const PAGE_REPORTING = 1 << 5;
        /// The device is not a legacy one.
        const VERSION_1 = 1 << 32;
    }
}

/// A balloon device in use.
pub(crate) struct Device<'m, T> {
    /// Never dropped: that may wait for the device without end.
    transport: ManuallyDrop<T>,
    shared: &'m SharedMemory,
    /// The address of `shared` as the device sees it.
    physical: u64,
    features: Features,
    rings: [Option<(u16, Ring<'m>)>; QUEUES],
    /// The first fault, and whether the reset after it was acknowledged.
    broken: Option<(Fault, bool)>,
}

impl<'m, T: BalloonTransport> Device<'m, T> {
    /// Resets a device and sets it up. `shared` is zeroed memory at `physical`.
    pub(crate) fn start(
        transport: T,
        shared: &'m SharedMemory,
        physical: u64,
        poison: Option<u32>,
        machine: &impl Machine,
    ) -> Result<Self, StartError> {
        let mut device = Self {
            transport: ManuallyDrop::new(transport),
            shared,
            physical,
            features: Features::empty(),
            rings: [const { None }; QUEUES],
            broken: None,
        };
        let kind = device.transport.device_type();
        if !matches!(
            kind,
            DeviceType::MemoryBalloon | DeviceType::MemoryBallooning
        ) {
            return Err(StartError::NotABalloon(kind));
        }
        if !device.reset(machine) {
            return Err(StartError::NoReset);
        }
        match device.set_up(poison) {
            Ok(()) => Ok(device),
            Err(why) if device.reset(machine) => Err(why),
            // It may have been told of the shared memory.
            Err(_) => Err(StartError::NoReset),
        }
    }

    fn set_up(&mut self, poison: Option<u32>) -> Result<(), StartError> {
        let mut status = DeviceStatus::ACKNOWLEDGE;
        self.transport.set_status(status);
        status |= DeviceStatus::DRIVER;
        self.transport.set_status(status);

        let offered = Features::from_bits_truncate(self.transport.read_device_features());
        self.features = accepted(offered, poison);
        self.transport.write_driver_features(self.features.bits());
        if self.features.contains(Features::VERSION_1) {
            status |= DeviceStatus::FEATURES_OK;
            self.transport.set_status(status);
            if !self
                .transport
                .get_status()
                .contains(DeviceStatus::FEATURES_OK)
            {
                return Err(StartError::FeaturesRefused);
            }
        } else if !self.transport.requires_legacy_layout() {
            return Err(StartError::NotVersion1);
        }
        self.transport.set_guest_page_size(PFN_BYTES as u32);

        let mut next = 2;
        self.open(Queue::Inflate, 0)?;
        self.open(Queue::Deflate, 1)?;
        if self.features.contains(Features::STATS_VQ) {
            self.open(Queue::Stats, next)?;
            next += 1;
        }
        let closed = next;
        if self.features.contains(Features::FREE_PAGE_HINT) {
            next += 1;
        }
        if self.features.contains(Features::PAGE_REPORTING) {
            if (closed..=next).any(|index| self.transport.max_queue_size(index) == 0) {
                next = REPORTING_INDEX;
            }
            self.open(Queue::Reporting, next)?;
        }
        if let (true, Some(value)) = (self.features.contains(Features::PAGE_POISON), poison) {
            self.transport
                .write_config_space(POISON_VALUE, value.to_le())
                .map_err(|_| StartError::Fault(Fault::Config))?;
        }
        self.transport.set_status(status | DeviceStatus::DRIVER_OK);
        Ok(())
    }

    /// Sets up a queue.
    fn open(&mut self, queue: Queue, index: u16) -> Result<(), StartError> {
        let shared: &'m SharedMemory = self.shared;
        let (Some(memory), Some(ring)) = (
            shared.queues.get(queue as usize),
            self.rings.get_mut(queue as usize),
        ) else {
            return Err(StartError::NoQueue(queue));
        };
        if self.transport.max_queue_size(index) < SIZE as u32 {
            return Err(StartError::NoQueue(queue));
        }
        if !self.transport.find_doorbell(index) {
            return Err(StartError::NoDoorbell(queue));
        }
        *ring = Some((index, Ring::new(memory)));
        let at = self.physical
            + offset_of!(SharedMemory, queues) as u64
            + queue as u64 * size_of::<QueueMemory>() as u64;
        self.transport.queue_set(
            index,
            SIZE as u32,
            at,
            at + QueueMemory::AVAIL,
            at + QueueMemory::USED,
        );
        Ok(())
    }

    /// Returns what was negotiated.
    pub(crate) const fn features(&self) -> Features {
        self.features
    }

    /// Returns how the device is.
    pub(crate) const fn health(&self) -> Health {
        match self.broken {
            None => Health::Working,
            Some((fault, let_go)) => Health::Broken { fault, let_go },
        }
    }

    /// Looks again at a device that had not acknowledged its reset.
    pub(crate) fn look_again(&mut self) {
        if let Some((_, let_go @ false)) = &mut self.broken {
            *let_go = self.transport.get_status() == DeviceStatus::empty();
        }
    }

    /// Returns whether the device is broken and may still act on what it was
    /// last given.
    pub(crate) const fn may_still_act(&self) -> bool {
        matches!(self.broken, Some((_, false)))
    }

    /// Returns whether pages the device was told of may be used without telling
    /// it: it is broken, has let go, and never asked to be told.
    pub(crate) const fn need_not_be_told(&self) -> bool {
        matches!(self.broken, Some((_, true))) && !self.features.contains(Features::MUST_TELL_HOST)
    }

    /// Returns the fault that ended the use of the device, if there was one.
    fn working(&self) -> Result<(), Fault> {
        match self.broken {
            None => Ok(()),
            Some((fault, _)) => Err(fault),
        }
    }

    /// Reports free pages: at most [`SIZE`] pieces.
    pub(crate) fn report(
        &mut self,
        machine: &impl Machine,
        pieces: &[Buffer],
    ) -> Result<(), Fault> {
        self.exchange(machine, Queue::Reporting, pieces)
    }

    /// Tells the device that memory goes into the balloon or comes out of it,
    /// `bytes` from `physical` on, whole units of 4096.
    pub(crate) fn tell(
        &mut self,
        machine: &impl Machine,
        queue: Queue,
        physical: u64,
        bytes: u64,
    ) -> Result<(), Fault> {
        // Before a number is written: a device that sleeps may read them yet.
        self.working()?;
        let end = physical + bytes;
        for from in (physical..end).step_by(TELL_BYTES as usize) {
            let to = end.min(from + TELL_BYTES);
            let numbers = (from / PFN_BYTES)..(to / PFN_BYTES);
            let count = numbers.clone().count() as u32;
            for (number, entry) in numbers.zip(&self.shared.pfns) {
                // No number is cut off: the window was checked. Published with
                // the request.
                entry.store((number as u32).to_le(), Ordering::Relaxed);
            }
            let list = Buffer {
                physical: self.physical + offset_of!(SharedMemory, pfns) as u64,
                bytes: count * size_of::<u32>() as u32,
                access: Access::DeviceReads,
            };
            self.exchange(machine, queue, &[list])?;
        }
        Ok(())
    }

    /// Puts numbers into the statistics buffer, if the device does not have it.
    pub(crate) fn send_stats(
        &mut self,
        machine: &impl Machine,
        bytes: &[u8],
    ) -> Result<bool, Fault> {
        self.working()?;
        let Some(Some((index, ring))) = self.rings.get_mut(Queue::Stats as usize) else {
            return Ok(false);
        };
        let answered = match ring.is_pending() {
            true => ring.answer(),
            false => Ok(true),
        };
        let sent = answered.and_then(|free| {
            if free {
                for (byte, to) in bytes.iter().zip(&self.shared.stats) {
                    // Published with the request.
                    to.store(*byte, Ordering::Relaxed);
                }
                let list = Buffer {
                    physical: self.physical + offset_of!(SharedMemory, stats) as u64,
                    bytes: bytes.len().min(self.shared.stats.len()) as u32,
                    access: Access::DeviceReads,
                };
                ring.put(&[list])?;
                self.transport.notify(*index);
            }
            Ok(free)
        });
        sent.map_err(|lie| self.fail(machine, fault_of(Queue::Stats, lie)))
    }

    /// Returns how much the host wants in the balloon, in units of 4096 bytes.
    pub(crate) fn target(&mut self, machine: &impl Machine) -> Result<u32, Fault> {
        match self.transport.read_config_space::<u32>(NUM_PAGES) {
            Ok(units) => Ok(u32::from_le(units)),
            Err(_) => Err(self.fail(machine, Fault::Config)),
        }
    }

    /// Says how much is in the balloon.
    pub(crate) fn set_actual(&mut self, units: u32) {
        if self.broken.is_none() {
            // The number is for the host's information. A device without room
            // for it has no target either, and that is the fault to report.
            let _ = self.transport.write_config_space(ACTUAL, units.to_le());
        }
    }

    /// Makes a request and waits for the answer.
    fn exchange(
        &mut self,
        machine: &impl Machine,
        queue: Queue,
        buffers: &[Buffer],
    ) -> Result<(), Fault> {
        self.working()?;
        let Some(Some((index, ring))) = self.rings.get_mut(queue as usize) else {
            return Err(self.fail(machine, Fault::Silent(queue)));
        };
        let answer = ring.put(buffers).and_then(|()| {
            self.transport.notify(*index);
            for turn in 0..u32::MAX {
                if ring.answer()? {
                    return Ok(true);
                }
                if !machine.wait(turn) {
                    break;
                }
            }
            Ok(false)
        });
        match answer {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.fail(machine, Fault::Silent(queue))),
            Err(lie) => Err(self.fail(machine, fault_of(queue, lie))),
        }
    }

    /// Ends the use of the device, and returns why.
    fn fail(&mut self, machine: &impl Machine, fault: Fault) -> Fault {
        match self.broken {
            Some((first, _)) => first,
            None => {
                let let_go = self.reset(machine);
                self.broken = Some((fault, let_go));
                fault
            }
        }
    }

    /// Resets the device, and returns whether it says so.
    fn reset(&mut self, machine: &impl Machine) -> bool {
        self.transport.set_status(DeviceStatus::empty());
        for turn in 0..u32::MAX {
            if self.transport.get_status() == DeviceStatus::empty() {
                return true;
            }
            if !machine.wait(turn) {
                break;
            }
        }
        false
    }
}

/// Returns what is accepted of the offer.
///
/// Without a pattern in free pages there is nothing to tell the host of them.
/// With one, reports are only made to a host that can be told.
fn accepted(offered: Features, poison: Option<u32>) -> Features {
    match poison {
        None => offered - Features::PAGE_POISON,
        Some(_) if offered.contains(Features::PAGE_POISON) => offered,
        Some(_) => offered - Features::PAGE_REPORTING,
    }
}

const fn fault_of(queue: Queue, lie: Lie) -> Fault {
    match lie {
        Lie::Index(ahead) => Fault::Index { queue, ahead },
        Lie::Id(id) => Fault::Id { queue, id },
    }
}

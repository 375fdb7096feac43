//! A split virtqueue that holds one request at a time, and the memory it shares
//! with the device.
//!
//! The rings of `virtio-drivers` 0.13 are not used, for these defects (its
//! transports are):
//!
//! * `add` and `pop_used` take `&mut [u8]` over the buffers. Here the buffers
//!   are released pages: the device discards them meanwhile, nobody may read
//!   them, and a kernel may have unmapped them. No reference may exist to them.
//! * An answer is compared with the expected token in 16 of its 32 bits, a used
//!   index that jumps is taken for an answer, and with event indices a
//!   notification is lost when the index wraps.
//! * It allocates its memory by static functions, frees it while the device may
//!   still write to it, and panics if that fails.
//!
//! One request at a time is all a balloon needs, and it makes this ring short:
//! every chain begins at descriptor 0, so there is no free list that an answer
//! could corrupt, and the only answer is "index one further, chain 0". Anything
//! else is a fault. The indices are kept here; of what the device can write, only
//! the used index and one entry are ever read, once each.
//!
//! The memory is made of atomics, because the device writes to it at any time.
//! Its layout is the legacy one, with the used ring on a page of its own: a
//! modern device takes any layout, so one serves both.
//!
//! Invariant: `avail` is `used`, or one more while a request is pending.

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

/// Descriptors in a queue, and so the most of one request. QEMU's reporting
/// queue has no more; a power of two.
pub(crate) const SIZE: usize = 32;

/// How many queues there are.
pub(crate) const QUEUES: usize = 4;

/// The most page frame numbers in one request: what the strictest device takes.
pub(crate) const PFNS: usize = 256;

/// Bytes of the statistics buffer.
pub(crate) const STATS_BYTES: usize = 30;

/// The chain goes on at `next`.
const NEXT: u16 = 1;
/// The device writes to the buffer.
const WRITE: u16 = 2;
/// The driver polls, and needs no interrupts.
const NO_INTERRUPT: u16 = 1;

#[repr(C)]
struct Descriptor {
    address: AtomicU64,
    bytes: AtomicU32,
    flags: AtomicU16,
    next: AtomicU16,
}

#[repr(C)]
struct UsedEntry {
    id: AtomicU32,
    bytes: AtomicU32,
}

/// One queue's memory: what the driver writes, and from the next page on what
/// the device writes.
#[repr(C, align(4096))]
pub(crate) struct QueueMemory {
    descriptors: [Descriptor; SIZE],
    avail_flags: AtomicU16,
    avail_index: AtomicU16,
    avail_ring: [AtomicU16; SIZE],
    used: UsedPage,
}

#[repr(C, align(4096))]
struct UsedPage {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [UsedEntry; SIZE],
}

impl QueueMemory {
    /// Where the available ring and the used ring begin.
    pub(crate) const AVAIL: u64 = core::mem::offset_of!(Self, avail_flags) as u64;
    pub(crate) const USED: u64 = core::mem::offset_of!(Self, used) as u64;
}

/// All the memory that the driver and the device share, but for the heap's.
#[repr(C)]
pub(crate) struct SharedMemory {
    pub(crate) queues: [QueueMemory; QUEUES],
    pub(crate) pfns: [AtomicU32; PFNS],
    pub(crate) stats: [AtomicU8; STATS_BYTES],
}

// The layout that the legacy interface computes by itself.
const _: () = assert!(QueueMemory::AVAIL == 16 * SIZE as u64);
const _: () = assert!(QueueMemory::USED == 4096);
const _: () = assert!(size_of::<QueueMemory>() == 8192);

/// Who uses a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    DeviceReads,
    DeviceWrites,
}

/// A part of a request: memory of which only the device makes use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    pub(crate) physical: u64,
    pub(crate) bytes: u32,
    pub(crate) access: Access,
}

/// An answer that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// The used index is not one further than it was, but so many.
    Index(u16),
    /// Another chain was answered than the only one there is.
    Id(u32),
}

/// The driver's end of a queue.
pub(crate) struct Ring<'m> {
    memory: &'m QueueMemory,
    avail: u16,
    used: u16,
}

impl<'m> Ring<'m> {
    /// Makes a ring of memory that is all zero.
    pub(crate) fn new(memory: &'m QueueMemory) -> Self {
        // Alone: the device sees nothing of it before it is set up.
        memory.avail_flags.store(NO_INTERRUPT, Ordering::Relaxed);
        Self {
            memory,
            avail: 0,
            used: 0,
        }
    }

    /// Returns whether a request is with the device.
    pub(crate) const fn is_pending(&self) -> bool {
        self.avail != self.used
    }

    /// Makes one request of at most [`SIZE`] buffers visible to the device,
    /// which is to be notified then. No request is pending.
    pub(crate) fn put(&mut self, buffers: &[Buffer]) -> Result<(), Lie> {
        let early = self.ahead();
        if early != 0 {
            return Err(Lie::Index(early));
        }
        let count = buffers.len().min(SIZE);
        for (at, (buffer, to)) in buffers.iter().zip(&self.memory.descriptors).enumerate() {
            let more = at + 1 < count;
            let flags = match buffer.access {
                Access::DeviceReads => 0,
                Access::DeviceWrites => WRITE,
            } | if more { NEXT } else { 0 };
            let next = if more { at as u16 + 1 } else { 0 };
            // Published by the store to `avail_index` below.
            to.address.store(buffer.physical.to_le(), Ordering::Relaxed);
            to.bytes.store(buffer.bytes.to_le(), Ordering::Relaxed);
            to.flags.store(flags.to_le(), Ordering::Relaxed);
            to.next.store(next.to_le(), Ordering::Relaxed);
        }
        // The available ring is as it was made: every chain begins at 0.
        self.avail = self.avail.wrapping_add(1);
        // Release: the device reads the index before what it covers.
        self.memory
            .avail_index
            .store(self.avail.to_le(), Ordering::Release);
        // Before the notification, which is a store to the device.
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Returns whether the pending request was answered.
    ///
    /// The length that the device says it wrote is not read: nothing is made of
    /// it, and devices have reported all kinds of numbers there.
    pub(crate) fn answer(&mut self) -> Result<bool, Lie> {
        match (self.ahead(), self.is_pending()) {
            (0, _) => return Ok(false),
            (1, true) => {}
            (by, _) => return Err(Lie::Index(by)),
        }
        let id = match self.memory.used.ring.get(usize::from(self.used) % SIZE) {
            // Relaxed: ordered by the load of the index.
            Some(entry) => u32::from_le(entry.id.load(Ordering::Relaxed)),
            None => 0,
        };
        if id != 0 {
            return Err(Lie::Id(id));
        }
        self.used = self.used.wrapping_add(1);
        Ok(true)
    }

    /// Returns how far the device says it is ahead of the last answer.
    fn ahead(&self) -> u16 {
        // Acquire: pairs with the device's store, which comes after its work.
        let index = u16::from_le(self.memory.used.index.load(Ordering::Acquire));
        index.wrapping_sub(self.used)
    }
}

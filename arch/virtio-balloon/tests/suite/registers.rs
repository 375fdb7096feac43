//! Devices that are registers in memory: what a transport stores stays there,
//! and nothing answers but what a test plays.
//!
//! A register that depends on a selection shows the same for every queue and
//! for both halves of the features. That is enough for a balloon that offers
//! reports, whose queue is set up last.

use std::ptr::NonNull;
use std::sync::Mutex;

use spanheap::{Backing, PageCount, Window};
use spanheap_virtio_balloon::{
    Balloon, BalloonMemory, BalloonTransport, DirectMap, Health, Machine, Options, Pieces,
    SHARED_BYTES, SomeTransport, StartError,
};
use virtio_drivers::transport::mmio::MmioTransport;

use crate::board::{Board, device};
use crate::common::{PATIENCE, PER_HUGE, Ram, range};

/// Some registers, and where each of those is that the tests look at.
#[derive(Clone, Copy)]
pub(crate) struct Registers {
    at: NonNull<u8>,
    pub(crate) bytes: usize,
}

impl Registers {
    /// So many bytes, all of them this one.
    pub(crate) fn new(bytes: usize, byte: u8) -> Self {
        let words = vec![u64::from_ne_bytes([byte; 8]); bytes.div_ceil(8)];
        let at = NonNull::from(Box::leak(words.into_boxed_slice())).cast();
        Self { at, bytes }
    }

    pub(crate) fn pointer(&self) -> NonNull<u8> {
        self.at
    }

    pub(crate) fn read<T: Copy>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.bytes);
        let at = self.at.as_ptr().wrapping_add(offset).cast::<T>();
        // SAFETY: it was just seen to be inside, and no reference is.
        unsafe { at.read_volatile() }
    }

    pub(crate) fn write<T: Copy>(&self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= self.bytes);
        let at = self.at.as_ptr().wrapping_add(offset).cast::<T>();
        // SAFETY: as for the read.
        unsafe { at.write_volatile(value) }
    }
}

/// A device on MMIO, of this version.
fn mmio(version: u32, features: u32) -> Registers {
    let registers = Registers::new(512, 0);
    for (offset, value) in [
        (0x00, 0x7472_6976),
        (0x04, version),
        (0x08, 5),
        (0x10, features),
        (0x34, 64),
        (0x50, NOBODY),
    ] {
        registers.write(offset, value);
    }
    registers
}

/// What a doorbell holds that nobody has rung.
const NOBODY: u32 = 0xffff;

/// What a device is told of its last queue, by its registers.
struct Told {
    bell: Box<dyn Fn() -> u16>,
    quiet: Box<dyn Fn()>,
    driver: Box<dyn Fn() -> u64>,
    device: Box<dyn Fn() -> u64>,
}

/// A machine in whose time a device answers its reporting queue, number 2.
struct Playing {
    map: DirectMap,
    told: Told,
    rung: Mutex<Vec<u16>>,
}

// SAFETY: a test has one thread.
unsafe impl Send for Playing {}
// SAFETY: as above.
unsafe impl Sync for Playing {}

// SAFETY: as for the direct map.
unsafe impl Machine for Playing {
    fn pointer(&self, physical: u64) -> *mut u8 {
        self.map.pointer(physical)
    }

    fn wait(&self, turn: u32) -> bool {
        let bell = (self.told.bell)();
        if u32::from(bell) != NOBODY {
            (self.told.quiet)();
            self.rung.lock().unwrap().push(bell);
            let avail = self.pointer((self.told.driver)()).cast::<u16>();
            let used = self.pointer((self.told.device)()).cast::<u16>();
            // SAFETY: the driver said that its rings are there.
            let index = unsafe { avail.wrapping_add(1).read_volatile() };
            // SAFETY: as above. The chain is number 0, as are fresh entries.
            unsafe { used.wrapping_add(1).write_volatile(index) };
        }
        turn < PATIENCE
    }
}

/// Starts a balloon over a transport, and has it report twice.
fn report<T: BalloonTransport>(transport: T, told: Told) {
    let ram = Ram::new(4);
    // SAFETY: the arena is all there is, and outlives the balloon.
    let map = unsafe { DirectMap::new(ram.offset()) };
    let rung = Mutex::new(Vec::new());
    let window: Window = ram.window(Pieces::WholeHugePages);
    let balloon = Balloon::new(window, Playing { map, told, rung });
    let memory = BalloonMemory {
        holdings: &mut [],
        inflated: &mut [],
    };
    // SAFETY: the shared memory is the arena's.
    let started = unsafe { balloon.start(transport, ram.shared(), memory, Options::DEFAULT) };
    started.expect("a device that starts");
    for huge in 0..2 {
        let pages = range(huge * PER_HUGE, PER_HUGE);
        assert_eq!(balloon.sys_unused(&[pages]), 1);
    }
    assert_eq!(balloon.stats().health, Health::Working);
    assert_eq!(*balloon.machine().rung.lock().unwrap(), [2, 2]);
    let rings = (balloon.machine().told.device)();
    assert!((ram.shared()..ram.shared() + SHARED_BYTES).contains(&rings));
}

#[test]
fn a_modern_device_on_mmio_is_told_where_its_queues_are_and_notified() {
    let registers = mmio(2, 1 << 5 | 1);
    let both = |low| {
        move || {
            let half = |offset| u64::from(registers.read::<u32>(offset));
            half(low + 4) << 32 | half(low)
        }
    };
    let told = Told {
        bell: Box::new(move || registers.read(0x50)),
        quiet: Box::new(move || registers.write(0x50, NOBODY)),
        driver: Box::new(both(0x90)),
        device: Box::new(both(0xa0)),
    };
    // SAFETY: the registers are never freed, and used by volatile accesses.
    let transport = unsafe { MmioTransport::new(registers.pointer().cast(), 512) };
    report(SomeTransport::from(transport.unwrap()), told);
    assert_eq!(registers.read::<u32>(0x38), 32, "descriptors");
    assert_eq!(registers.read::<u32>(0x70), 0b1111, "the status");
}

#[test]
fn a_legacy_device_on_mmio_finds_its_rings_by_the_number_of_a_page() {
    let registers = mmio(1, 1 << 5);
    let descriptors = move || u64::from(registers.read::<u32>(0x40)) * 4096;
    let told = Told {
        bell: Box::new(move || registers.read(0x50)),
        quiet: Box::new(move || registers.write(0x50, NOBODY)),
        driver: Box::new(move || descriptors() + 32 * 16),
        device: Box::new(move || {
            let end: u64 = descriptors() + 32 * 16 + 2 * (3 + 32);
            end.next_multiple_of(registers.read::<u32>(0x3c).into())
        }),
    };
    // SAFETY: as above.
    let transport = unsafe { MmioTransport::new(registers.pointer().cast(), 512) };
    report(transport.unwrap(), told);
    assert_eq!(registers.read::<u32>(0x28), 4096, "the size of a page");
    assert_eq!(
        registers.read::<u32>(0x70),
        0b0111,
        "features are just taken"
    );
}

#[test]
fn a_device_on_pci_is_told_where_its_queues_are_and_rung_where_it_said() {
    let board = Board::new();
    let common = board.common;
    let both = |low| {
        move || {
            let half = |offset| u64::from(common.read::<u32>(offset));
            half(low + 4) << 32 | half(low)
        }
    };
    let notify = board.notify;
    let told = Told {
        bell: Box::new(move || notify.read(12)),
        quiet: Box::new(move || notify.write(12, NOBODY as u16)),
        driver: Box::new(both(0x28)),
        device: Box::new(both(0x30)),
    };
    let transport = device(&board).expect("a device");
    // Its word is asked for once, and what it says later is not heard.
    report(SomeTransport::from(transport), told);
    assert_eq!(common.read::<u16>(0x18), 32, "descriptors");
    assert_eq!(common.read::<u16>(0x1c), 1, "enabled");
    assert_eq!(common.read::<u8>(0x14), 0b1111, "the status");
}

/// Registers of a device that answers its reset, and nothing else.
#[test]
fn a_doorbell_outside_of_the_registers_is_an_error_at_the_start() {
    let board = Board::new();
    board.common.write::<u16>(0x1e, 0x400);
    let ram = Ram::new(1);
    // SAFETY: the arena is all there is, and outlives the balloon.
    let map = unsafe { DirectMap::new(ram.offset()) }.patience(PATIENCE);
    let balloon = Balloon::new(ram.window(Pieces::WholeHugePages), map);
    let memory = BalloonMemory {
        holdings: &mut [],
        inflated: &mut [],
    };
    let transport = device(&board).expect("a device");
    // SAFETY: the shared memory is the arena's.
    let started = unsafe { balloon.start(transport, ram.shared(), memory, Options::DEFAULT) };
    let queue = spanheap_virtio_balloon::Queue::Inflate;
    assert_eq!(started, Err(StartError::NoDoorbell(queue)));
    assert_eq!(board.common.read::<u8>(0x14), 0, "it was reset");
    let all = 0..board.notify.bytes;
    assert!(
        all.into_iter()
            .all(|at| board.notify.read::<u8>(at) == 0xff)
    );
    assert_eq!(balloon.sys_unused(&[range(0, PER_HUGE)]), 0);
    assert_eq!(PageCount::ZERO, balloon.stats().held);
}

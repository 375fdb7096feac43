//! A balloon on a PCI bus: a configuration space, and registers in memory.

use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;

use spanheap_virtio_balloon::{PciError, PciTransport};
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

use crate::registers::Registers;

/// Where the region with the registers is, in 64 bits.
const BASE: u64 = 0x8_c000_0000;
const NOTIFY: u64 = BASE + 0x1000;
const CONFIG: u64 = BASE + 0x2000;

/// A balloon on a bus.
pub(crate) struct Board {
    pub(crate) words: [u32; 64],
    pub(crate) reads: Cell<usize>,
    pub(crate) common: Registers,
    pub(crate) notify: Registers,
    pub(crate) config: Registers,
}

/// A capability: where it is, where the next one is, its length, the structure,
/// the region, an offset, a length, and more.
pub(crate) type Capability = (u8, u8, u8, u8, [u32; 4]);

impl Board {
    /// As QEMU's, with the registers that this driver uses.
    pub(crate) fn new() -> Self {
        let mut board = Self {
            words: [0; 64],
            reads: Cell::new(0),
            common: Registers::new(56, 0),
            notify: Registers::new(0x1000, 0xff),
            config: Registers::new(16, 0),
        };
        board.words[0] = 0x1045_1af4;
        board.words[1] = 1 << 20;
        // In the fifth and the sixth region's registers: memory, 64 bits.
        board.words[8] = BASE as u32 | 0b1100;
        board.words[9] = (BASE >> 32) as u32;
        board.words[0x34 / 4] = 0x98;
        board.capability((0x98, 0x84, 12, 0, [0; 4]));
        board.capability((0x84, 0x70, 20, 5, [0; 4]));
        board.capability((0x70, 0x60, 20, 2, [4, 0x1000, 0x1000, 4]));
        board.capability((0x60, 0x50, 16, 4, [4, 0x2000, 0x1000, 0]));
        board.capability((0x50, 0x40, 16, 3, [4, 0x3000, 0x1000, 0]));
        board.capability((0x40, 0, 16, 1, [4, 0, 0x1000, 0]));
        // Not the vendor's: that of message-signalled interrupts.
        board.words[0x98 / 4] = 0x8411;
        board.common.write::<u32>(0x04, 1 << 5 | 1);
        board.common.write::<u16>(0x18, 64);
        board.common.write::<u16>(0x1e, 3);
        board
    }

    /// Writes a capability.
    pub(crate) fn capability(&mut self, (at, next, len, code, words): Capability) {
        let at = usize::from(at) / 4;
        self.words[at] = 0x09 | u32::from(next) << 8 | u32::from(len) << 16 | u32::from(code) << 24;
        let rest = self.words.iter_mut().skip(at + 1);
        for (to, word) in rest.take(usize::from(len) / 4 - 1).zip(words) {
            *to = word;
        }
    }

    /// Where a kernel has the registers at physical addresses.
    pub(crate) fn map(&self, bytes: &Range<u64>) -> Option<NonNull<u8>> {
        let places = [
            (BASE, self.common),
            (NOTIFY, self.notify),
            (CONFIG, self.config),
        ];
        let (_, registers) = places.iter().find(|(start, registers)| {
            *start == bytes.start && bytes.end - bytes.start <= registers.bytes as u64
        })?;
        Some(registers.pointer())
    }
}

pub(crate) const FUNCTION: DeviceFunction = DeviceFunction {
    bus: 0,
    device: 3,
    function: 0,
};

impl ConfigurationAccess for Board {
    fn read_word(&self, function: DeviceFunction, register: u8) -> u32 {
        assert_eq!(function, FUNCTION);
        assert!(register.is_multiple_of(4));
        self.reads.set(self.reads.get() + 1);
        self.words[usize::from(register / 4)]
    }

    fn write_word(&mut self, _: DeviceFunction, _: u8, _: u32) {
        panic!("nothing is written to it");
    }

    unsafe fn unsafe_clone(&self) -> Self {
        panic!("there is one");
    }
}

pub(crate) fn device(board: &Board) -> Result<PciTransport, PciError> {
    // SAFETY: the registers are as long as is checked, and never freed.
    unsafe { PciTransport::new(board, FUNCTION, |bytes| board.map(&bytes)) }
}

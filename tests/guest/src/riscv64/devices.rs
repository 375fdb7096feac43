//! The serial line, a 16550, and the end of the machine, a device of QEMU's.

use core::hint::spin_loop;
use core::ptr::with_exposed_provenance_mut;

/// Where `virt` has its line, which is also there before the tree is read.
const DATA: usize = 0x1000_0000;
const STATUS: usize = DATA + 5;
const RECEIVED: u8 = 1;
const EXIT: usize = 0x10_0000;
/// Ends QEMU with the status in the upper half.
const FAIL: u32 = 0x3333;

/// Writes a byte to the line. QEMU takes bytes at any speed.
pub(crate) fn write_byte(value: u8) {
    let at = with_exposed_provenance_mut::<u8>(DATA);
    // SAFETY: the line is there on every machine that is booted, and to write to
    // it has no effect on memory.
    unsafe { at.write_volatile(value) }
}

/// Waits for a byte from the line.
pub(crate) fn read_byte() -> u8 {
    while read(STATUS) & RECEIVED == 0 {
        spin_loop();
    }
    read(DATA)
}

fn read(register: usize) -> u8 {
    let at = with_exposed_provenance_mut::<u8>(register);
    // SAFETY: as above, nor has it to read from it.
    unsafe { at.read_volatile() }
}

/// Ends the machine, and QEMU with a status.
pub(crate) fn exit(status: u32) -> ! {
    let at = with_exposed_provenance_mut::<u32>(EXIT);
    // SAFETY: it ends the machine.
    unsafe { at.write_volatile(status << 16 | FAIL) }
    // Not reached, if the device is there; else it is an exception.
    loop {
        spin_loop();
    }
}

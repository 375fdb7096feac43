//! The two devices that every kernel here has: the serial line, and the one that
//! ends the machine. Both are behind ports.

use core::hint::spin_loop;

use x86_64::instructions::port::Port;

const DATA: u16 = 0x3f8;
const STATUS: u16 = DATA + 5;
const RECEIVED: u8 = 1;
const EXIT: u16 = 0xf4;

/// Writes a byte to the line. QEMU takes bytes at any speed.
pub(crate) fn write_byte(value: u8) {
    // SAFETY: to write to the line has no effect on memory.
    unsafe { Port::new(DATA).write(value) }
}

/// Waits for a byte from the line.
pub(crate) fn read_byte() -> u8 {
    while read(STATUS) & RECEIVED == 0 {
        spin_loop();
    }
    read(DATA)
}

fn read(port: u16) -> u8 {
    // SAFETY: both ports are the line's, and to read one has no effect on memory.
    unsafe { Port::new(port).read() }
}

/// Ends the machine, and QEMU with a status, which is odd: what is written to
/// the port, twice, and one.
pub(crate) fn exit(status: u32) -> ! {
    // SAFETY: it ends the machine.
    unsafe { Port::new(EXIT).write(status / 2) }
    // Not reached, if the device is there; else the time limit ends it.
    loop {
        spin_loop();
    }
}

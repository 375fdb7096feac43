//! The serial line, a PL011, and the end of the machine, which is a call to QEMU
//! as if to a debugger (semihosting).

use core::arch::asm;
use core::hint::spin_loop;

/// Where `virt` has its line, which is also there before the tree is read.
const LINE: usize = 0x900_0000;
const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const NOTHING_RECEIVED: u32 = 1 << 4;
const FORMAT: usize = 0x2c;
/// Eight bits, and queues.
const EIGHT_BITS: u32 = 0x70;
const CONTROL: usize = 0x30;
/// On, both ways.
const ON: u32 = 0x301;

const EXIT_WITH_STATUS: u64 = 0x20;
const BY_ITSELF: u64 = 0x2_0026;

/// Turns the line on.
pub(crate) fn set_up() {
    write(FORMAT, EIGHT_BITS);
    write(CONTROL, ON);
}

/// Writes a byte to the line. QEMU takes bytes at any speed.
pub(crate) fn write_byte(value: u8) {
    write(DATA, value.into());
}

/// Waits for a byte from the line.
pub(crate) fn read_byte() -> u8 {
    while read(FLAGS) & NOTHING_RECEIVED != 0 {
        spin_loop();
    }
    read(DATA) as u8
}

fn register(offset: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(LINE + offset)
}

fn read(offset: usize) -> u32 {
    // SAFETY: the line is there on every machine that is booted, and to read
    // from it has no effect on memory.
    unsafe { register(offset).read_volatile() }
}

fn write(offset: usize, value: u32) {
    // SAFETY: as above, nor has it to write to it.
    unsafe { register(offset).write_volatile(value) }
}

/// Ends the machine, and QEMU with a status.
pub(crate) fn exit(status: u32) -> ! {
    let reason = [BY_ITSELF, status.into()];
    // SAFETY: QEMU reads the reason, and ends.
    unsafe { asm!("hlt #0xf000", in("x0") EXIT_WITH_STATUS, in("x1") &reason) }
    // Not reached, if QEMU takes such calls; else it is an exception.
    loop {
        spin_loop();
    }
}

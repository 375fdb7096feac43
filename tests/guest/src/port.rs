//! Reading and writing ports, for the two devices that every kernel here has:
//! the serial line and the debug exit.

use x86_64::instructions::port::Port;

/// Reads a byte.
pub(crate) fn read_byte(port: u16) -> u8 {
    // SAFETY: the ports used here are a serial line's; reading one has no effect
    // on memory.
    unsafe { Port::new(port).read() }
}

/// Writes a byte.
pub(crate) fn write_byte(port: u16, value: u8) {
    // SAFETY: the ports used here are a serial line's; writing one has no effect
    // on memory.
    unsafe { Port::new(port).write(value) }
}

/// Writes four bytes.
pub(crate) fn write_word(port: u16, value: u32) {
    // SAFETY: the ports used here end the machine.
    unsafe { Port::new(port).write(value) }
}

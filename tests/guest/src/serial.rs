//! The serial line: what is printed, and what the runner answers.

use core::fmt;

use crate::port::{read_byte, write_byte};

const DATA: u16 = 0x3f8;
const STATUS: u16 = DATA + 5;
const RECEIVED: u8 = 1;

/// The line, as something to write to. QEMU takes bytes at any speed.
#[derive(Debug)]
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| write_byte(DATA, byte));
        Ok(())
    }
}

/// Waits for a byte.
#[must_use]
pub fn read() -> u8 {
    while read_byte(STATUS) & RECEIVED == 0 {
        core::hint::spin_loop();
    }
    read_byte(DATA)
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => {{
        use ::core::fmt::Write;
        // The line never refuses.
        let _ = ::core::writeln!($crate::serial::Serial, $($text)*);
    }};
}

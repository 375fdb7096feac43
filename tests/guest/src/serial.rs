//! The serial line: what is printed, and what the runner answers.

use core::fmt;

use crate::arch;

/// The line, as something to write to.
#[derive(Debug)]
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(arch::write_byte);
        Ok(())
    }
}

/// Waits for a byte.
#[must_use]
pub fn read() -> u8 {
    arch::read_byte()
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

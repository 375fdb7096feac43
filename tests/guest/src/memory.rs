//! The machine's memory, as the machine told it.
//!
//! What tells it (the PVH start info, the device tree) lies in memory that it
//! calls usable. So it is copied before any page is handed out, or it is among
//! what is taken. A module (QEMU's `-initrd`) stays where it is, and its bytes
//! are taken.

use core::ops::Range;

/// So many ranges of a map are kept, of either kind.
const RANGES: usize = 16;
/// So many bytes of the command line are kept.
const LINE: usize = 64;

unsafe extern "C" {
    // From the linker script; only their addresses mean something.
    static image_start: u8;
    static image_end: u8;
}

/// The machine's memory: a copy.
#[derive(Debug)]
pub struct BootMemory {
    usable: List,
    taken: List,
    /// Empty if there is none.
    module: Range<u64>,
    line: [u8; LINE],
}

/// Some ranges.
#[derive(Debug)]
struct List {
    ranges: [Range<u64>; RANGES],
    len: usize,
}

impl List {
    const EMPTY: Self = Self {
        ranges: [const { 0..0 }; RANGES],
        len: 0,
    };

    fn add(&mut self, range: Range<u64>) {
        self.ranges[self.len] = range;
        self.len += 1;
    }

    fn all(&self) -> &[Range<u64>] {
        &self.ranges[..self.len]
    }
}

impl BootMemory {
    /// No memory yet, and the image is taken.
    pub(crate) fn new() -> Self {
        let image = (&raw const image_start).addr() as u64..(&raw const image_end).addr() as u64;
        let mut memory = Self {
            usable: List::EMPTY,
            taken: List::EMPTY,
            module: 0..0,
            line: [0; LINE],
        };
        memory.take(image);
        memory
    }

    /// Adds a range that is memory.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        self.usable.add(range);
    }

    /// Says that a range is in use.
    pub(crate) fn take(&mut self, range: Range<u64>) {
        self.taken.add(range);
    }

    /// Says where the module is, and that it is in use.
    pub(crate) fn set_module(&mut self, range: Range<u64>) {
        self.module = range.clone();
        self.take(range);
    }

    /// Keeps the beginning of the command line.
    pub(crate) fn set_command_line(&mut self, line: &[u8]) {
        for (to, from) in self.line.iter_mut().zip(line) {
            *to = *from;
        }
    }

    /// Returns the ranges that are memory, those that are taken among them.
    #[must_use]
    pub fn usable(&self) -> &[Range<u64>] {
        self.usable.all()
    }

    /// Returns the ranges that are in use: the image's, the module's, and what
    /// the machine says so of.
    #[must_use]
    pub fn taken(&self) -> &[Range<u64>] {
        self.taken.all()
    }

    /// Returns where the module is that the machine was started with.
    #[must_use]
    pub fn module(&self) -> Option<Range<u64>> {
        Some(self.module.clone()).filter(|module| !module.is_empty())
    }

    /// Returns the beginning of the command line, up to its first byte of zero.
    #[must_use]
    pub fn command_line(&self) -> &str {
        let end = self.line.iter().position(|byte| *byte == 0);
        str::from_utf8(&self.line[..end.unwrap_or(LINE)]).unwrap_or("")
    }

    /// Returns how many bytes are memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.usable()
            .iter()
            .map(|range| range.end - range.start)
            .sum()
    }

    /// Returns the end of the last range that is memory.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.usable()
            .iter()
            .map(|range| range.end)
            .max()
            .unwrap_or(0)
    }
}

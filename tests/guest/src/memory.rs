//! The machine's memory, as its PVH start info tells it.
//!
//! The start info, its memory map and the command line lie in memory that the
//! map calls usable. So all is copied before any page is handed out, page 0
//! among them on some machines.
//!
//! Layout of the start info and its map: Xen's `hvm_start_info`, version 1.

use core::ops::Range;

/// So many ranges of a map are kept.
const RANGES: usize = 16;
/// So many bytes of the command line are kept.
const LINE: usize = 64;
const MAGIC: u32 = 0x336e_c578;
const USABLE: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    map: u64,
    map_entries: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MapEntry {
    start: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

unsafe extern "C" {
    // From the linker script; only their addresses mean something.
    static image_start: u8;
    static image_end: u8;
}

/// The machine's memory: a copy.
#[derive(Debug)]
pub struct BootMemory {
    usable: [Range<u64>; RANGES],
    len: usize,
    taken: [Range<u64>; 1],
    line: [u8; LINE],
}

impl BootMemory {
    /// Copies the memory map out of the start info.
    ///
    /// # Safety
    ///
    /// `info` is the address of the start info, and the low 4 GiB, where all of
    /// it lies, are mapped one to one and not written to.
    pub(crate) unsafe fn read(info: u32) -> Self {
        // SAFETY: the caller's promise.
        let info = unsafe { (info as usize as *const StartInfo).read_unaligned() };
        assert_eq!(info.magic, MAGIC, "no PVH start info");
        assert!(info.version >= 1, "a start info without a memory map");
        let image = (&raw const image_start).addr() as u64..(&raw const image_end).addr() as u64;
        let mut memory = Self {
            usable: [const { 0..0 }; RANGES],
            len: 0,
            taken: [image],
            line: [0; LINE],
        };
        let line = info.command_line as usize as *const u8;
        for (number, byte) in memory.line[..LINE - 1].iter_mut().enumerate() {
            if line.is_null() {
                break;
            }
            // SAFETY: the caller's promise; no byte before it was the last one.
            *byte = unsafe { line.wrapping_add(number).read() };
            if *byte == 0 {
                break;
            }
        }
        for entry in 0..info.map_entries as usize {
            let at = (info.map as usize as *const MapEntry).wrapping_add(entry);
            // SAFETY: the caller's promise; the start info counts the entries.
            let entry = unsafe { at.read_unaligned() };
            // Some machines end their map by an empty entry.
            if entry.kind == USABLE && entry.bytes != 0 {
                memory.usable[memory.len] = entry.start..entry.start + entry.bytes;
                memory.len += 1;
            }
        }
        memory
    }

    /// Returns the ranges that are memory, the image's among them.
    #[must_use]
    pub fn usable(&self) -> &[Range<u64>] {
        &self.usable[..self.len]
    }

    /// Returns the ranges of it that are in use: the image's.
    #[must_use]
    pub fn taken(&self) -> &[Range<u64>] {
        &self.taken
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

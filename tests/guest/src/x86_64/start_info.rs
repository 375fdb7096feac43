//! The machine's memory, as its PVH start info tells it.
//!
//! Layout of the start info, its map and its modules: Xen's `hvm_start_info`,
//! version 1.

use core::ffi::{CStr, c_char};

use crate::memory::BootMemory;

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

#[repr(C)]
#[derive(Clone, Copy)]
struct ModuleEntry {
    start: u64,
    bytes: u64,
    command_line: u64,
    reserved: u64,
}

/// Copies the memory map out of the start info.
///
/// # Safety
///
/// `info` is the address of the start info, and the low 4 GiB, where all of it
/// lies, are mapped one to one and not written to.
pub(crate) unsafe fn boot_memory(info: usize) -> BootMemory {
    // SAFETY: the caller's promise.
    let info = unsafe { (info as *const StartInfo).read_unaligned() };
    assert_eq!(info.magic, MAGIC, "no PVH start info");
    assert!(info.version >= 1, "a start info without a memory map");
    let mut memory = BootMemory::new();
    let line = info.command_line as usize as *const c_char;
    if !line.is_null() {
        // SAFETY: the caller's promise; a byte of zero ends it.
        memory.set_command_line(unsafe { CStr::from_ptr(line) }.to_bytes());
    }
    if info.modules > 0 {
        let first = info.module_list as usize as *const ModuleEntry;
        // SAFETY: the caller's promise; the start info counts the modules.
        let module = unsafe { first.read_unaligned() };
        memory.set_module(module.start..module.start + module.bytes);
    }
    for entry in 0..info.map_entries as usize {
        let at = (info.map as usize as *const MapEntry).wrapping_add(entry);
        // SAFETY: the caller's promise; the start info counts the entries.
        let entry = unsafe { at.read_unaligned() };
        // Some machines end their map by an empty entry.
        if entry.kind == USABLE && entry.bytes != 0 {
            memory.add(entry.start..entry.start + entry.bytes);
        }
    }
    memory
}

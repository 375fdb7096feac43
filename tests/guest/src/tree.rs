//! The device tree: the machine's memory, what of it is taken, the command line,
//! a module, and where there are transports.
//!
//! It is read where it lies. So it is taken itself, and nothing is copied.

use core::ops::Range;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};
use spin::Once;

use crate::memory::BootMemory;

static TREE: Once<Fdt<'static>> = Once::new();

/// Reads the memory map out of the tree.
///
/// # Safety
///
/// `tree` is its address, all of it is visible there, and nobody writes to what
/// is taken.
pub(crate) unsafe fn boot_memory(tree: usize) -> BootMemory {
    let at = core::ptr::with_exposed_provenance(tree);
    // SAFETY: the caller's promise; it is said to be taken below.
    let tree = *TREE.call_once(|| unsafe { Fdt::from_raw(at) }.expect("a device tree"));
    let root = tree.root();
    let mut memory = BootMemory::new();
    root.children()
        .filter(|node| node.name_without_address() == "memory")
        .flat_map(registers)
        .for_each(|range| memory.add(range));

    let bytes = tree.data().as_ptr_range();
    memory.take(bytes.start.addr() as u64..bytes.end.addr() as u64);
    for range in tree.memory_reservations() {
        memory.take(range.address()..range.address() + range.size());
    }
    // What the firmware keeps for itself.
    let reserved = tree.find_node("/reserved-memory").into_iter();
    reserved
        .flat_map(|node| node.children())
        .flat_map(registers)
        .for_each(|range| memory.take(range));

    if let Some(chosen) = tree.find_node("/chosen") {
        let line = chosen.property("bootargs");
        let line = line.map_or("", |line| line.value_as().expect("a string"));
        memory.set_command_line(line.as_bytes());
        if let Some(module) = module(&chosen).or_else(|| named_module(line)) {
            memory.set_module(module);
        }
    }
    memory
}

/// Returns where the module is, as the tree tells it.
fn module(chosen: &FdtNode<'_>) -> Option<Range<u64>> {
    let number = |name| {
        // Of four bytes or of eight.
        let bytes = chosen.property(name)?;
        let add = |number, byte: &u8| number << 8 | u64::from(*byte);
        Some(bytes.value().iter().fold(0, add))
    };
    Some(number("linux,initrd-start")?..number("linux,initrd-end")?)
}

/// Returns where the module is, as the command line tells it: `initrd=` and two
/// numbers, where QEMU takes a kernel for one that has no use for modules.
fn named_module(line: &str) -> Option<Range<u64>> {
    let (_, rest) = line.split_once("initrd=")?;
    let (start, bytes) = rest.split(' ').next()?.split_once(',')?;
    let number = |text: &str| text.parse::<u64>().expect("a decimal number");
    let start = number(start);
    Some(start..start + number(bytes))
}

/// Returns where the machine has MMIO transports.
pub(crate) fn transports() -> impl Iterator<Item = u64> {
    let root = TREE.get().map(|tree| tree.root());
    // Some machines have them on a bus of their own.
    let below = root.into_iter().flat_map(|root| root.children());
    below
        .flat_map(|node| core::iter::once(node).chain(node.children()))
        .filter(|node| node.is_compatible("virtio,mmio"))
        .flat_map(registers)
        .map(|range| range.start)
}

/// Returns the ranges of addresses that a node says are its own.
fn registers(node: FdtNode<'static>) -> impl Iterator<Item = Range<u64>> {
    let all = node.reg().expect("addresses as its parent counts them");
    all.into_iter().flatten().map(|register| {
        let start: u64 = register.address().expect("an address of 64 bits");
        let bytes: u64 = register.size().expect("a size of 64 bits");
        start..start + bytes
    })
}

//! The direct map: all physical memory at one offset, in pages of 2 MiB.
//!
//! Tables for it are static, so that it is there before any allocator is; what
//! is changed in it later is changed by the tests' page tables, and not here.
//!
//! Invariant: the image is never used through it, so that unmapping any of it
//! cannot take the ground from under the kernel.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::registers::control::Cr3;
use x86_64::structures::paging::{OffsetPageTable, PageTable, PageTableFlags, PhysFrame};
use x86_64::{PhysAddr, VirtAddr};

use crate::memory::BootMemory;

/// Where physical address 0 is visible.
pub const OFFSET: u64 = 0xffff_8000_0000_0000;

const LARGE: u64 = 2 << 20;
const GIANT: u64 = 1 << 30;
/// Memory ends below this: enough for 6 GiB and the hole below 4 GiB.
const LIMIT: u64 = 8 * GIANT;

#[repr(C)]
struct Tables {
    top: PageTable,
    giants: PageTable,
    larges: [PageTable; (LIMIT / GIANT) as usize],
}

struct Cell(UnsafeCell<Tables>);

// SAFETY: only `direct_map` uses it, and hands it out once.
unsafe impl Sync for Cell {}

static TABLES: Cell = Cell(UnsafeCell::new(Tables {
    top: PageTable::new(),
    giants: PageTable::new(),
    larges: [const { PageTable::new() }; (LIMIT / GIANT) as usize],
}));

/// Maps all memory at [`OFFSET`], and returns the mapper of it. To be called
/// once.
#[must_use]
pub fn direct_map(memory: &BootMemory) -> OffsetPageTable<'static> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    // Alone: it orders nothing, and there is one CPU.
    assert!(!TAKEN.swap(true, Ordering::Relaxed), "mapped before");
    assert!(memory.end() <= LIMIT, "more memory than there are tables");

    // SAFETY: this is the only time, as was just seen.
    let tables = unsafe { &mut *TABLES.0.get() };
    let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
    for at in (0..memory.end()).step_by(LARGE as usize) {
        let table = &mut tables.larges[(at / GIANT) as usize];
        let large = flags | PageTableFlags::HUGE_PAGE;
        table[(at % GIANT / LARGE) as usize].set_addr(PhysAddr::new(at), large);
    }
    for (entry, table) in tables.giants.iter_mut().zip(&tables.larges) {
        entry.set_addr(image_address(table), flags);
    }
    let (boot, cr3) = Cr3::read();
    // SAFETY: the table in use is the start-up code's, which changes no more and
    // is mapped one to one, as the image is.
    let boot = unsafe { &*(boot.start_address().as_u64() as *const PageTable) };
    tables.top[0] = boot[0].clone();
    tables.top[256].set_addr(image_address(&tables.giants), flags);

    let top = PhysFrame::containing_address(image_address(&tables.top));
    // SAFETY: they map the image as it was.
    unsafe { Cr3::write(top, cr3) };
    let top = &raw mut tables.top;
    // SAFETY: the tables are handed out with this, and used by nothing else.
    let top = unsafe { &mut *top };
    // SAFETY: all memory is mapped at the offset from now on.
    unsafe { OffsetPageTable::new(top, VirtAddr::new(OFFSET)) }
}

/// Returns the physical address of something in the image.
fn image_address<T>(thing: &T) -> PhysAddr {
    PhysAddr::new(core::ptr::from_ref(thing).expose_provenance() as u64)
}

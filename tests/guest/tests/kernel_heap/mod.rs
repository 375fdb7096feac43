//! A kernel's heap for `alloc`, which grows by spans of the page heap.
//!
//! `linked_list_allocator` divides what it has; when that is not enough, the
//! spans that are missing are mapped behind it, in pieces as large as there are.
//!
//! Invariant: all pages from `START` up to `end` are mapped and the list's, and
//! none behind it is mapped.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use linked_list_allocator::Heap as List;
use spanheap::{PageCount, PageRange, Span};
use spanheap_x86_64::Frames;
use spin::Mutex;
use x86_64::structures::paging::{
    Mapper, OffsetPageTable, Page, PageTableFlags, PhysFrame, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use crate::Heap;

const START: u64 = 0xffff_c000_0000_0000;
const PAGE: u64 = 4096;
/// It grows by as many pages at the least, and takes as many at a time.
const STEP: u32 = 64;

/// The kernel's allocator.
#[global_allocator]
pub(crate) static ALLOCATOR: KernelHeap = KernelHeap(Mutex::new(None));

/// A heap for `alloc`, once it is set up.
pub(crate) struct KernelHeap(Mutex<Option<State>>);

struct State {
    list: List,
    end: u64,
    mapper: OffsetPageTable<'static>,
    pages: &'static Heap,
}

impl KernelHeap {
    /// Makes it grow by the pages of a heap.
    pub(crate) fn set_up(&self, pages: &'static Heap, mapper: OffsetPageTable<'static>) {
        *self.0.lock() = Some(State {
            list: List::empty(),
            end: START,
            mapper,
            pages,
        });
    }

    /// Returns how much is mapped, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.0.lock().as_ref().map_or(0, |state| state.end - START)
    }
}

// SAFETY: the list hands out memory that is mapped, the list's, and nobody
// else's; under a lock.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut state = self.0.lock();
        let found = state.as_mut().and_then(|state| state.alloc(layout));
        found.map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if let (Some(state), Some(at)) = (self.0.lock().as_mut(), NonNull::new(at)) {
            // SAFETY: the caller's promise: it was allocated here.
            unsafe { state.list.deallocate(at, layout) };
        }
    }
}

impl State {
    fn alloc(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        if let Ok(found) = self.list.allocate_first_fit(layout) {
            return Some(found);
        }
        // One page more than it is, for the list's own books and for alignment.
        let bytes = (layout.size() as u64).checked_add(layout.align() as u64 + PAGE)?;
        let pages = u32::try_from(bytes.div_ceil(PAGE)).ok()?.max(STEP);
        // Not begun if it cannot end: what is mapped here stays.
        if pages > self.pages.stats().idle.get() {
            return None;
        }
        self.grow(pages);
        self.list.allocate_first_fit(layout).ok()
    }

    /// Maps so many more pages, or as many as there are.
    fn grow(&mut self, pages: u32) {
        let mut left = pages;
        let mut step = STEP;
        while left > 0 {
            step = step.min(left);
            match self.pages.alloc(PageCount::new(step)) {
                Ok(span) if self.map(span) => left -= step,
                Err(_) if step > 1 => step /= 2,
                _ => return,
            }
        }
    }

    /// Maps a span behind the end, and returns whether there were tables for all
    /// of it. What there were none for is freed.
    fn map(&mut self, span: Span) -> bool {
        let window = self.pages.window();
        // SAFETY: the window is of physical addresses.
        let mut frames = unsafe { Frames::new(self.pages) };
        let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
        let before = self.end;
        let mut unmapped = None;
        for page in span.range().pages() {
            let at = Page::<Size4KiB>::containing_address(VirtAddr::new(self.end));
            let frame = PhysFrame::containing_address(PhysAddr::new(window.address_of(page)));
            // SAFETY: nothing is mapped there, and the frame is the list's.
            match unsafe { self.mapper.map_to(at, frame, flags, &mut frames) } {
                Ok(new) => new.flush(),
                Err(_) => {
                    unmapped = PageRange::between(page, span.range().end());
                    break;
                }
            }
            self.end += PAGE;
        }
        if let Some(rest) = unmapped {
            let _in_use_for_good = self.pages.free_part(span, rest).expect("in use");
        }
        let bytes = (self.end - before) as usize;
        if bytes == 0 {
            return false;
        }
        if before == START {
            // SAFETY: it was just mapped, and is mapped for good.
            unsafe { self.list.init(VirtAddr::new(START).as_mut_ptr(), bytes) };
        } else {
            // SAFETY: it was just mapped behind what the list has.
            unsafe { self.list.extend(bytes) };
        }
        unmapped.is_none()
    }
}

//! A heap as the frame allocator of the `x86_64` crate.
//!
//! Its traits speak of frames of 4 KiB, 2 MiB and 1 GiB, and are what a mapper
//! asks for a table. A frame is a span of that length and alignment, and each
//! can be given back whole, or in frames of a smaller size.
//!
//! Those traits have no words for a refusal. [`Frames::alloc_frame`] and
//! [`Frames::free_frame`] are the same with errors.
//!
//! Invariant: the heap's window is of physical addresses.

use spanheap::{
    AllocError, Backing, Cpu, FreeError, LockedHeap, PageCount, PageHeap, PageRange, Request,
    SharedHeap, Window,
};
use x86_64::PhysAddr;
use x86_64::structures::paging::{FrameAllocator, FrameDeallocator, PageSize, PhysFrame};

/// What [`Frames`] asks of a heap. Of [`PageHeap`], [`LockedHeap`] and
/// [`SharedHeap`] alone: that no page is handed out twice is what others rely on.
pub trait FrameHeap: sealed::Sealed {
    #[doc(hidden)]
    fn window(&self) -> Window;
    #[doc(hidden)]
    fn alloc(&mut self, request: Request) -> Result<PageRange, AllocError>;
    #[doc(hidden)]
    fn free(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError>;
}

mod sealed {
    pub trait Sealed {}
}

impl<B> sealed::Sealed for &mut PageHeap<'_, B> {}
impl<B> sealed::Sealed for &LockedHeap<'_, B> {}
impl<B, C> sealed::Sealed for &SharedHeap<'_, B, C> {}

impl<B: Backing> FrameHeap for &mut PageHeap<'_, B> {
    fn window(&self) -> Window {
        *PageHeap::window(self)
    }

    fn alloc(&mut self, request: Request) -> Result<PageRange, AllocError> {
        PageHeap::alloc(self, request).map(|span| span.range())
    }

    fn free(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        PageHeap::free_part_at(self, address, pages)
    }
}

impl<B: Backing> FrameHeap for &LockedHeap<'_, B> {
    fn window(&self) -> Window {
        LockedHeap::window(self)
    }

    fn alloc(&mut self, request: Request) -> Result<PageRange, AllocError> {
        LockedHeap::alloc(self, request).map(|span| span.range())
    }

    fn free(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        LockedHeap::free_part_at(self, address, pages)
    }
}

impl<B: Backing, C: Cpu> FrameHeap for &SharedHeap<'_, B, C> {
    fn window(&self) -> Window {
        SharedHeap::window(self)
    }

    fn alloc(&mut self, request: Request) -> Result<PageRange, AllocError> {
        SharedHeap::alloc(self, request)
    }

    fn free(&mut self, address: u64, pages: PageCount) -> Result<(), FreeError> {
        match SharedHeap::free_at(self, address, pages) {
            // A part of a larger frame.
            Err(FreeError::WrongLength | FreeError::Interior) => {
                SharedHeap::free_part_at(self, address, pages)
            }
            done => done,
        }
    }
}

/// A borrowed heap, `&mut PageHeap`, `&LockedHeap` or `&SharedHeap`, as a frame
/// allocator.
///
/// It has no state: make it where it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Frames<H> {
    heap: H,
}

impl<H: FrameHeap> Frames<H> {
    /// Makes a frame allocator of a borrowed heap.
    ///
    /// # Safety
    ///
    /// The heap's window is of physical addresses: a page of it is the frame at
    /// the same address.
    pub const unsafe fn new(heap: H) -> Self {
        Self { heap }
    }

    /// Hands out a frame.
    ///
    /// # Errors
    ///
    /// As for [`PageHeap::alloc`]; [`AllocError::ZeroPages`] if the heap's pages
    /// are larger than such a frame.
    pub fn alloc_frame<S: PageSize>(&mut self) -> Result<PhysFrame<S>, AllocError> {
        let window = self.heap.window();
        let pages = pages_in::<S>(&window);
        let request = match pages.get() {
            // Every page is aligned to itself; without more to heed, the heap
            // has a shorter way.
            0 | 1 => Request::pages(pages),
            _ => Request::pages(pages).aligned(S::SIZE),
        };
        let range = self.heap.alloc(request)?;
        let address = window.address_of(range.start());
        // No bits to lose, since it is a physical address.
        Ok(PhysFrame::containing_address(PhysAddr::new_truncate(
            address,
        )))
    }

    /// Takes a frame back: what it was handed out as, or a part of that.
    ///
    /// # Errors
    ///
    /// If the frame is not, as a span or a part of one, in use. Nothing has
    /// changed then. Freed a second time after it was handed out again, it is
    /// taken from its new owner, and nobody can see it.
    ///
    /// # Safety
    ///
    /// The frame is unused.
    pub unsafe fn free_frame<S: PageSize>(&mut self, frame: PhysFrame<S>) -> Result<(), FreeError> {
        let pages = pages_in::<S>(&self.heap.window());
        self.heap.free(frame.start_address().as_u64(), pages)
    }
}

/// Returns how many of a heap's pages such a frame is; none if it is less than
/// one, which the heap refuses.
const fn pages_in<S: PageSize>(window: &Window) -> PageCount {
    match window.geometry().pages_for(S::SIZE) {
        Some(pages) if S::SIZE >= window.geometry().page_bytes() => pages,
        _ => PageCount::ZERO,
    }
}

// SAFETY: the heap hands a page out once until it is freed; whoever added its
// memory promised that nothing else uses it, and whoever made this that its
// addresses are physical.
unsafe impl<H: FrameHeap, S: PageSize> FrameAllocator<S> for Frames<H> {
    /// Hands out a frame; `None` for every reason that
    /// [`alloc_frame`](Frames::alloc_frame) tells apart.
    fn allocate_frame(&mut self) -> Option<PhysFrame<S>> {
        self.alloc_frame().ok()
    }
}

impl<H: FrameHeap, S: PageSize> FrameDeallocator<S> for Frames<H> {
    /// Takes a frame back. One that the heap does not know, or that is free
    /// already, is left alone; [`free_frame`](Frames::free_frame) says so.
    ///
    /// If it was handed out in a larger one, what remains of that needs a slot
    /// of the heap's books. Without one the frame stays in use.
    unsafe fn deallocate_frame(&mut self, frame: PhysFrame<S>) {
        // SAFETY: the caller promises that the frame is unused.
        let _left_alone_on_error = unsafe { self.free_frame(frame) };
    }
}

//! `buddy-slab-allocator`'s page allocator: a buddy over 12 bytes for each page.
//!
//! It wants real address space and keeps its books at the beginning of it, so
//! it gets some: mapped, but without memory except under the books, as it
//! writes nowhere else. It aligns only if the pages behind the books do, so
//! these begin at a huge page. It takes back whole blocks only: a part's first
//! page has no record.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use buddy_slab_allocator::BuddyAllocator;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{About, Contender, Ground, Unable, fits, name};

/// A page, for it; ours are only numbers.
const PAGE: usize = 4096;
const HUGE: usize = 2 << 20;

/// `buddy-slab-allocator`.
#[derive(Debug)]
pub struct AxBuddy;

impl Contender for AxBuddy {
    const ABOUT: About = About {
        parts: false,
        rounds: true,
        ..About::peer(name::AX_BUDDY, "buddy-slab+lock")
    };
    type Books = Region;
    type Runs<'b> = Pages<'b>;

    fn books(ground: &Ground) -> Result<Region, Unable> {
        Region::new(ground.pages() as usize)
    }

    fn mapped(books: &Region) -> u64 {
        books.prefix as u64
    }

    fn runs<'b>(books: &'b mut Region, _: &Ground) -> Result<Pages<'b>, Unable> {
        let (pages, heap) = (books.pages, books.heap() as usize);
        let mut buddy = BuddyAllocator::new();
        // SAFETY: the region is mapped and writable, and outlives the
        // allocator, which borrows its owner.
        unsafe { buddy.init(books.bytes()) }.map_err(|why| Unable::SetUp(format!("{why:?}")))?;
        match buddy.section(0) {
            Some(all) if all.start == heap && all.total_pages == pages => {}
            found => return Err(Unable::SetUp(format!("it manages {found:?}"))),
        }
        Ok(Pages {
            buddy,
            heap,
            region: PhantomData,
        })
    }
}

/// Address space: books, then pages from a huge page on.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    bytes: usize,
    /// From the beginning to the books, which end where the pages begin.
    skip: usize,
    prefix: usize,
    pages: usize,
}

impl Region {
    fn new(pages: usize) -> Result<Self, Unable> {
        // 12 bytes for a page, and its descriptor of 160.
        let prefix = (pages * 12 + 160).next_multiple_of(PAGE);
        fits(prefix as u64)?;
        let bytes = prefix.next_multiple_of(HUGE) + HUGE + pages * PAGE;
        // SAFETY: a new mapping at no address in particular harms nobody.
        let base = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                bytes,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        };
        let base = base.map_err(|why| Unable::SetUp(why.to_string()))?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(Unable::TooLarge)?;
        let first = base.as_ptr() as usize;
        let heap = (first + prefix).next_multiple_of(HUGE);
        let region = Self {
            base,
            bytes,
            skip: heap - prefix - first,
            prefix,
            pages,
        };
        let books = base.as_ptr().wrapping_add(region.skip);
        // SAFETY: inside of the mapping, which is writable and nobody else's.
        unsafe { books.write_bytes(0, prefix) }
        Ok(region)
    }

    fn heap(&self) -> *const u8 {
        self.base.as_ptr().wrapping_add(self.skip + self.prefix)
    }

    fn bytes(&mut self) -> &mut [u8] {
        let from = self.base.as_ptr().wrapping_add(self.skip);
        // SAFETY: all of it lies in the mapping, which lives as long as this
        // value; anonymous memory reads as zeroes, and is borrowed only here.
        unsafe { std::slice::from_raw_parts_mut(from, self.prefix + self.pages * PAGE) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let base = self.base.as_ptr().cast::<c_void>();
        // SAFETY: the mapping is this value's, and so are all borrows of it.
        // An error would leave it mapped, which harms nobody.
        let _ = unsafe { munmap(base, self.bytes) };
    }
}

/// The allocator, and the region that it points into.
pub struct Pages<'b> {
    buddy: BuddyAllocator<PAGE>,
    heap: usize,
    region: PhantomData<&'b mut [u8]>,
}

impl std::fmt::Debug for Pages<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

impl Pages<'_> {
    #[inline]
    fn run(&mut self, pages: PageCount, align: usize) -> Result<PageRange, Denied> {
        let found = self.buddy.alloc_pages(pages.get() as usize, align);
        let address = found.map_err(|_| Denied::Exhausted)?;
        let start = Page::new(((address - self.heap) / PAGE) as u32);
        PageRange::new(start, pages).ok_or(Denied::Exhausted)
    }
}

impl PageRuns for Pages<'_> {
    type Block = PageRange;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        self.run(pages, PAGE)
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        self.run(pages, align.get() as usize * PAGE)
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        let address = self.heap + block.start().number() as usize * PAGE;
        self.buddy
            .dealloc_pages(address, block.count().get() as usize);
        Ok(())
    }

    fn free_part(&mut self, _: PageRange, _: PageRange) -> Result<(), Denied> {
        Err(Denied::Unsupported)
    }
}

//! `bitmap-allocator`: 16-ary summaries over one bit for each page.
//!
//! Its maps come in powers of 16, so that most of one may be unused; a run is
//! looked for bit by bit. Zeroes are its empty state.

use bitmap_allocator::{BitAlloc, BitAlloc1M, BitAlloc16M, BitAlloc256M};
use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{About, Contender, Ground, Unable, name};

/// `bitmap-allocator`.
#[derive(Debug)]
pub struct Bitmap;

/// The smallest map that has enough bits.
#[derive(Debug)]
pub enum Maps {
    /// 4 GiB of pages.
    Small(Map<BitAlloc1M>),
    /// 64 GiB.
    Middle(Map<BitAlloc16M>),
    /// 1 TiB.
    Large(Map<BitAlloc256M>),
}

/// A map, on the heap.
pub struct Map<T>(Box<T>);

impl<T> std::fmt::Debug for Map<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Map").finish_non_exhaustive()
    }
}

/// Makes a map of zeroes; by value it would pass through the stack.
macro_rules! zeroed {
    ($map:ty) => {{
        let map = Box::<$map>::new_zeroed();
        // SAFETY: a map is nothing but `u16` words, of which zero is a value;
        // its empty state (`BitAlloc::DEFAULT`), in fact.
        Map(unsafe { map.assume_init() })
    }};
}

impl Contender for Bitmap {
    const ABOUT: About = About::peer(name::BITMAP, name::BITMAP_LOCKED);
    type Books = Maps;
    type Runs<'b> = Bits<'b>;

    fn books(ground: &Ground) -> Result<Maps, Unable> {
        let pages = ground.pages() as usize;
        if pages <= BitAlloc1M::CAP {
            Ok(Maps::Small(zeroed!(BitAlloc1M)))
        } else if pages <= BitAlloc16M::CAP {
            Ok(Maps::Middle(zeroed!(BitAlloc16M)))
        } else if pages <= BitAlloc256M::CAP {
            Ok(Maps::Large(zeroed!(BitAlloc256M)))
        } else {
            Err(Unable::TooLarge)
        }
    }

    fn runs<'b>(books: &'b mut Maps, ground: &Ground) -> Result<Bits<'b>, Unable> {
        let all = 0..ground.pages() as usize;
        match books {
            Maps::Small(map) => map.0.insert(all),
            Maps::Middle(map) => map.0.insert(all),
            Maps::Large(map) => map.0.insert(all),
        }
        Ok(Bits { maps: books })
    }
}

/// The allocator over a map.
#[derive(Debug)]
pub struct Bits<'b> {
    maps: &'b mut Maps,
}

/// Does the same with whichever map there is.
macro_rules! with {
    ($bits:expr, $map:ident => $what:expr) => {
        match $bits.maps {
            Maps::Small($map) => $what,
            Maps::Middle($map) => $what,
            Maps::Large($map) => $what,
        }
    };
}

impl Bits<'_> {
    #[inline]
    fn run(&mut self, pages: PageCount, align_log2: u32) -> Result<PageRange, Denied> {
        let (pages_wanted, align) = (pages.get() as usize, align_log2 as usize);
        let start = with!(self, map => map.0.alloc_contiguous(None, pages_wanted, align));
        block(start, pages)
    }
}

#[inline]
fn block(start: Option<usize>, pages: PageCount) -> Result<PageRange, Denied> {
    start
        .and_then(|start| PageRange::new(Page::new(start as u32), pages))
        .ok_or(Denied::Exhausted)
}

impl PageRuns for Bits<'_> {
    type Block = PageRange;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<PageRange, Denied> {
        if pages.get() == 1 {
            return block(with!(self, map => map.0.alloc()), pages);
        }
        self.run(pages, 0)
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<PageRange, Denied> {
        self.run(pages, align.get().trailing_zeros())
    }

    fn start(&self, block: PageRange) -> Page {
        block.start()
    }

    #[inline]
    fn free(&mut self, block: PageRange) -> Result<(), Denied> {
        let start = block.start().number() as usize;
        let pages = block.count().get() as usize;
        let freed = with!(self, map => match pages {
            1 => map.0.dealloc(start),
            _ => map.0.dealloc_contiguous(start, pages),
        });
        freed.then_some(()).ok_or(Denied::Exhausted)
    }

    fn free_part(&mut self, block: PageRange, part: PageRange) -> Result<(), Denied> {
        let start = block.start().number() + part.start().number();
        let part = PageRange::new(Page::new(start), part.count()).ok_or(Denied::Exhausted)?;
        self.free(part)
    }
}

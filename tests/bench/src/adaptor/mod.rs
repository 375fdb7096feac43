//! Who competes: one file for each allocator, behind one small trait.
//!
//! A contender says what it is ([`About`]), makes the memory that its books
//! are kept in, and makes a fresh allocator of that. What works then drive is
//! the replay's [`PageRuns`]; everything is generic over it, so that they
//! compile to direct calls. Blocks are named by first page and length, as a
//! kernel does, unless the contender's name says otherwise.
//!
//! Another contender is a file here and a line in [`each`].

mod ax_buddy;
mod bare;
mod bitmap;
mod buddy;
mod first_fit;
mod free_list;
mod locked;
mod locked_heap;
mod null;
mod offset;
mod page_heap;
mod shared_heap;

pub use ax_buddy::AxBuddy;
pub use bare::Bare;
pub use bitmap::Bitmap;
pub use buddy::Buddy;
pub use first_fit::FirstFit;
pub use free_list::FreeList;
pub use locked::Locked;
pub use locked_heap::LockedHeapByAddress;
pub use null::Null;
pub use offset::Offset;
pub use page_heap::{PageHeapByAddress, PageHeapByHandle};
pub(crate) use shared_heap::Cpus;
pub use shared_heap::Shared;

use serde::Serialize;
use spanheap::{Geometry, Page, PageCount, PageRange, Window};
use spanheap_replay::adaptor::PageRuns;
use spanheap_replay::books::{geometry, window};
use thiserror::Error;

/// The names of contenders that others are compared with.
pub mod name {
    /// No allocator.
    pub const NULL: &str = "null";
    /// The same behind a lock.
    pub const NULL_LOCKED: &str = "null+lock";
    /// A pair of compare-and-swaps.
    pub const BARE: &str = "bare pair";
    /// Ours, one owner, by handle.
    pub const PAGE_HEAP_BY_HANDLE: &str = "by handle";
    /// Ours, one owner.
    pub const PAGE_HEAP: &str = "PageHeap";
    /// Ours, behind one lock.
    pub const LOCKED_HEAP: &str = "LockedHeap";
    /// Ours, lock-free for small blocks.
    pub const SHARED_HEAP: &str = "SharedHeap";
    /// `buddy_system_allocator`.
    pub const BUDDY: &str = "buddy";
    /// The same behind a lock.
    pub const BUDDY_LOCKED: &str = "buddy+lock";
    /// `buddy-slab-allocator`.
    pub const AX_BUDDY: &str = "buddy-slab";
    /// `bitmap-allocator`.
    pub const BITMAP: &str = "bitmap";
    /// The same behind a lock.
    pub const BITMAP_LOCKED: &str = "bitmap+lock";
    /// `free-list`.
    pub const FREE_LIST: &str = "free-list";
    /// `offset-allocator`.
    pub const OFFSET: &str = "offset";
    /// A first fit over a `BTreeMap`.
    pub const FIRST_FIT: &str = "btree";
}

/// Whose a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A part of `spanheap`.
    Ours,
    /// Somebody else's, or the plain reference.
    Peer,
    /// What the harness or the machine costs: nothing to compete with.
    Floor,
}

/// When a contender that is shared holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Never: it has none.
    Never,
    /// Throughout every operation.
    Throughout,
    /// As it says itself, by [`held::during`](crate::held::during).
    Within,
}

/// What a contender is, and what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Its name: short, it stands over a column.
    pub name: &'static str,
    /// Its name behind a lock.
    pub locked: &'static str,
    /// Whose it is.
    pub side: Side,
    /// Threads may share it.
    pub shared: bool,
    /// When it holds a lock.
    pub holds: Holds,
    /// It hands out more than one page at once.
    pub runs: bool,
    /// It can align.
    pub aligns: bool,
    /// It takes back a part of a block.
    pub parts: bool,
    /// It rounds a block up to a power of two.
    pub rounds: bool,
    /// It remembers what is in use; the null allocators do not.
    pub remembers: bool,
}

impl About {
    /// A peer that hands out and takes back any run, and aligns it.
    #[must_use]
    pub const fn peer(name: &'static str, locked: &'static str) -> Self {
        Self {
            name,
            locked,
            side: Side::Peer,
            shared: false,
            holds: Holds::Never,
            runs: true,
            aligns: true,
            parts: true,
            rounds: false,
            remembers: true,
        }
    }

    /// Returns how many pages the allocator takes for a block of `pages`.
    #[must_use]
    pub const fn takes(&self, pages: PageCount) -> u32 {
        if self.rounds {
            pages.get().next_power_of_two()
        } else {
            pages.get()
        }
    }
}

/// The pages that a contender manages: numbers from 0, and no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    window: Window,
    range: PageRange,
    spans: u32,
    grain: u32,
}

impl Ground {
    /// `pages` pages of `page_bytes`, of which at most `spans` spans are made,
    /// in books as large as that needs and as fast as they come.
    ///
    /// # Errors
    ///
    /// If so many pages have no numbers or no addresses.
    pub fn new(pages: u32, page_bytes: u64, spans: u32) -> Result<Self, Unable> {
        let pages = PageCount::new(pages);
        let geometry = geometry(page_bytes, Geometry::SMALL_PAGES.physical_bytes());
        let window = geometry.and_then(|geometry| window(geometry, pages));
        match (window, PageRange::new(Page::new(0), pages)) {
            (Some(window), Some(range)) => Ok(Self {
                window,
                range,
                spans: spans.min(pages.get()),
                grain: 1,
            }),
            _ => Err(Unable::TooLarge),
        }
    }

    /// The same pages, in books as small as is usual: a span for 64 pages, and
    /// an entry of the page map for as many.
    #[must_use]
    pub const fn in_usual_books(self) -> Self {
        let spans = self.pages().div_ceil(64);
        Self {
            spans: if spans < 64 { 64 } else { spans },
            grain: 64,
            ..self
        }
    }

    /// Returns how many pages there are.
    #[must_use]
    pub const fn pages(&self) -> u32 {
        self.range.count().get()
    }

    /// Returns all of the pages.
    #[must_use]
    pub const fn range(&self) -> PageRange {
        self.range
    }

    /// Returns them as a window.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Returns how many spans are made at most, free and in use.
    #[must_use]
    pub const fn spans(&self) -> u32 {
        self.spans
    }

    /// Returns how many pages share an entry of a page map.
    #[must_use]
    pub const fn grain(&self) -> u32 {
        self.grain
    }

    /// Returns how many pages a huge page has.
    #[must_use]
    pub fn huge_pages(&self) -> u32 {
        match self.window.geometry().huge_pages() {
            Some(pages) => pages.get(),
            None => 512,
        }
    }
}

/// Why there is no allocator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unable {
    /// More pages than it can number.
    #[error("the range is too large")]
    TooLarge,
    /// Its books would not fit.
    #[error("its books would take {gib} GiB")]
    Memory {
        /// How much they would take.
        gib: u64,
    },
    /// It did not take what it was given.
    #[error("it cannot be set up: {0}")]
    SetUp(String),
}

/// The most that books may take: the machine has other work.
const MOST_BOOKS: u64 = 6 << 30;

/// Refuses books of more bytes than a benchmark should take.
pub(crate) const fn fits(bytes: u64) -> Result<(), Unable> {
    if bytes > MOST_BOOKS {
        return Err(Unable::Memory { gib: bytes >> 30 });
    }
    Ok(())
}

/// An allocator that competes.
pub trait Contender {
    /// What it is.
    const ABOUT: About;
    /// The memory of its books, as far as its user provides it: all zeroes.
    type Books;
    /// The allocator.
    type Runs<'b>: PageRuns<Block: Send>;

    /// Makes memory for books, in memory already and all zeroes.
    ///
    /// # Errors
    ///
    /// If they would be too large.
    fn books(ground: &Ground) -> Result<Self::Books, Unable>;

    /// Returns the bytes of the books that the system's malloc did not hand out.
    fn mapped(books: &Self::Books) -> u64 {
        let _ = books;
        0
    }

    /// Sets up a fresh allocator in these books, once.
    ///
    /// # Errors
    ///
    /// If it cannot manage so many pages.
    fn runs<'b>(books: &'b mut Self::Books, ground: &Ground) -> Result<Self::Runs<'b>, Unable>;
}

/// A contender that threads can share.
pub trait Shareable: Contender {
    /// Returns what the thread of this number, of two, has of the allocator.
    fn handle<'b>(
        runs: &Self::Runs<'b>,
        thread: u32,
    ) -> impl PageRuns<Block = <Self::Runs<'b> as PageRuns>::Block> + Send;
}

/// Something to do with every contender.
pub trait Visitor {
    /// Does it with one that has one owner.
    fn owned<C: Contender>(&mut self);
    /// Does it with one that threads can share.
    fn shared<C: Shareable>(&mut self);
}

/// Shows every contender, in the order of the table's columns.
pub fn each(visitor: &mut impl Visitor) {
    visitor.owned::<Null>();
    visitor.owned::<PageHeapByHandle>();
    visitor.owned::<PageHeapByAddress>();
    visitor.owned::<Buddy>();
    visitor.owned::<AxBuddy>();
    visitor.owned::<Bitmap>();
    visitor.owned::<FreeList>();
    visitor.owned::<Offset>();
    visitor.owned::<FirstFit>();
    visitor.shared::<Locked<Null>>();
    visitor.shared::<Bare>();
    visitor.shared::<LockedHeapByAddress>();
    visitor.shared::<Shared>();
    visitor.shared::<Locked<Buddy>>();
    visitor.shared::<Locked<AxBuddy>>();
    visitor.shared::<Locked<Bitmap>>();
    visitor.shared::<Locked<FreeList>>();
    visitor.shared::<Locked<Offset>>();
    visitor.shared::<Locked<FirstFit>>();
}

/// Returns what every contender is, in the order of the columns.
#[must_use]
pub fn all() -> Vec<About> {
    struct List(Vec<About>);
    impl Visitor for List {
        fn owned<C: Contender>(&mut self) {
            self.0.push(C::ABOUT);
        }
        fn shared<C: Shareable>(&mut self) {
            self.0.push(C::ABOUT);
        }
    }
    let mut list = List(Vec::new());
    each(&mut list);
    list.0
}

//! `PageHeap`, for one owner: blocks by handle, or by first page and length.

use spanheap::{PageHeap, Residency};
use spanheap_replay::adaptor::{ByAddress, ByHandle};
use spanheap_replay::books::{Books, Nothing};

use super::{About, Contender, Ground, Side, Unable, fits, name};

/// `PageHeap`; a block is the handle that came with it.
#[derive(Debug)]
pub struct PageHeapByHandle;

/// `PageHeap`; a block is its first page and its length.
#[derive(Debug)]
pub struct PageHeapByAddress;

impl Contender for PageHeapByHandle {
    const ABOUT: About = About {
        side: Side::Ours,
        ..About::peer(name::PAGE_HEAP_BY_HANDLE, "")
    };
    type Books = Books;
    type Runs<'b> = ByHandle<PageHeap<'b, Nothing>>;

    fn books(ground: &Ground) -> Result<Books, Unable> {
        books(ground)
    }

    fn runs<'b>(books: &'b mut Books, ground: &Ground) -> Result<Self::Runs<'b>, Unable> {
        page_heap(books, ground).map(ByHandle::new)
    }
}

impl Contender for PageHeapByAddress {
    const ABOUT: About = About {
        side: Side::Ours,
        ..About::peer(name::PAGE_HEAP, "")
    };
    type Books = Books;
    type Runs<'b> = ByAddress<PageHeap<'b, Nothing>>;

    fn books(ground: &Ground) -> Result<Books, Unable> {
        books(ground)
    }

    fn runs<'b>(books: &'b mut Books, ground: &Ground) -> Result<Self::Runs<'b>, Unable> {
        page_heap(books, ground).map(ByAddress::new)
    }
}

/// Makes books with a slot for each span that the work can make.
pub(super) fn books(ground: &Ground) -> Result<Books, Unable> {
    let size = spanheap::metadata_size(&ground.window(), ground.spans(), ground.grain());
    fits(size.ok_or(Unable::TooLarge)?.bytes as u64)?;
    Books::new(&ground.window(), ground.spans(), ground.grain()).ok_or(Unable::TooLarge)
}

fn page_heap<'b>(books: &'b mut Books, ground: &Ground) -> Result<PageHeap<'b, Nothing>, Unable> {
    let set_up = |why: &dyn ToString| Unable::SetUp(why.to_string());
    let heap = PageHeap::new(ground.window(), books.lend_new(), Nothing);
    let mut heap = heap.map_err(|why| set_up(&why))?;
    // SAFETY: numbers of no memory; nobody touches anything.
    unsafe { heap.add_region(ground.range(), Residency::Resident) }.map_err(|why| set_up(&why))?;
    Ok(heap)
}

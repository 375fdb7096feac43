//! `LockedHeap`: the page heap behind one spin lock, shared by reference.

use spanheap::{LockedHeap, PageRange, Residency};
use spanheap_replay::adaptor::{ByAddress, OverHeap, PageRuns};
use spanheap_replay::books::{Books, Nothing};

use super::{About, Contender, Ground, Holds, Shareable, Side, Unable, name, page_heap};

/// `LockedHeap`; a block is its first page and its length.
#[derive(Debug)]
pub struct LockedHeapByAddress;

impl Contender for LockedHeapByAddress {
    const ABOUT: About = About {
        side: Side::Ours,
        shared: true,
        // One hold for an operation, as long as nothing is to be committed; what is
        // refused, after several, counts as one that took as long as all of them.
        holds: Holds::Throughout,
        ..About::peer(name::LOCKED_HEAP, "")
    };
    type Books = Books;
    type Runs<'b> = ByAddress<LockedHeap<'b, Nothing>>;

    fn books(ground: &Ground) -> Result<Books, Unable> {
        page_heap::books(ground)
    }

    fn runs<'b>(books: &'b mut Books, ground: &Ground) -> Result<Self::Runs<'b>, Unable> {
        let set_up = |why: &dyn ToString| Unable::SetUp(why.to_string());
        let heap = LockedHeap::new(ground.window(), books.lend_new(), Nothing);
        let heap = heap.map_err(|why| set_up(&why))?;
        // SAFETY: numbers of no memory; nobody touches anything.
        unsafe { heap.add_region(ground.range(), Residency::Resident) }
            .map_err(|why| set_up(&why))?;
        Ok(ByAddress::new(heap))
    }
}

impl Shareable for LockedHeapByAddress {
    fn handle<'b>(runs: &Self::Runs<'b>, _: u32) -> impl PageRuns<Block = PageRange> + Send {
        ByAddress::new(runs.heap())
    }
}

//! Any contender behind `spin::Mutex`: how threads share what has one owner.

use std::fmt;
use std::marker::PhantomData;

use spanheap::{Page, PageCount, PageRange};
use spanheap_replay::adaptor::{Denied, PageRuns};
use spanheap_replay::trace::Class;
use spin::Mutex;

use super::{About, Contender, Ground, Holds, Shareable, Unable};

/// The contender `C` behind a lock.
#[derive(Debug)]
pub struct Locked<C>(PhantomData<C>);

impl<C> Contender for Locked<C>
where
    C: Contender,
    for<'b> C::Runs<'b>: Send,
{
    const ABOUT: About = About {
        name: C::ABOUT.locked,
        shared: true,
        holds: Holds::Throughout,
        ..C::ABOUT
    };
    type Books = C::Books;
    type Runs<'b> = Behind<C::Runs<'b>>;

    fn books(ground: &Ground) -> Result<C::Books, Unable> {
        C::books(ground)
    }

    fn mapped(books: &C::Books) -> u64 {
        C::mapped(books)
    }

    fn runs<'b>(books: &'b mut C::Books, ground: &Ground) -> Result<Self::Runs<'b>, Unable> {
        C::runs(books, ground).map(|runs| Behind(Mutex::new(runs)))
    }
}

impl<C> Shareable for Locked<C>
where
    C: Contender,
    for<'b> C::Runs<'b>: Send,
{
    fn handle<'b>(
        runs: &Self::Runs<'b>,
        _: u32,
    ) -> impl PageRuns<Block = <C::Runs<'b> as PageRuns>::Block> + Send {
        runs
    }
}

/// An allocator behind a lock.
pub struct Behind<R>(Mutex<R>);

impl<R> fmt::Debug for Behind<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Behind").finish_non_exhaustive()
    }
}

impl<R: PageRuns> PageRuns for &Behind<R> {
    type Block = R::Block;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<R::Block, Denied> {
        self.0.lock().alloc(pages)
    }

    #[inline]
    fn alloc_for(&mut self, pages: PageCount, class: Class) -> Result<R::Block, Denied> {
        self.0.lock().alloc_for(pages, class)
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<R::Block, Denied> {
        self.0.lock().alloc_aligned(pages, align)
    }

    fn start(&self, block: R::Block) -> Page {
        self.0.lock().start(block)
    }

    #[inline]
    fn free(&mut self, block: R::Block) -> Result<(), Denied> {
        self.0.lock().free(block)
    }

    #[inline]
    fn free_part(&mut self, block: R::Block, part: PageRange) -> Result<(), Denied> {
        self.0.lock().free_part(block, part)
    }
}

/// One owner takes the lock all the same.
impl<R: PageRuns> PageRuns for Behind<R> {
    type Block = R::Block;

    #[inline]
    fn alloc(&mut self, pages: PageCount) -> Result<R::Block, Denied> {
        (&*self).alloc(pages)
    }

    #[inline]
    fn alloc_for(&mut self, pages: PageCount, class: Class) -> Result<R::Block, Denied> {
        (&*self).alloc_for(pages, class)
    }

    #[inline]
    fn alloc_aligned(&mut self, pages: PageCount, align: PageCount) -> Result<R::Block, Denied> {
        (&*self).alloc_aligned(pages, align)
    }

    fn start(&self, block: R::Block) -> Page {
        (&self).start(block)
    }

    #[inline]
    fn free(&mut self, block: R::Block) -> Result<(), Denied> {
        (&*self).free(block)
    }

    #[inline]
    fn free_part(&mut self, block: R::Block, part: PageRange) -> Result<(), Denied> {
        (&*self).free_part(block, part)
    }
}

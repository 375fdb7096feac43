//! The calls that are counted: right and wrong ones, on a heap of each kind.
//!
//! The pages that are freed lie between others in use, which is what most frees meet
//! with: nothing merges.

use std::hint::black_box;

use spanheap::{
    FreeError, LockedHeap, Page, PageCount, PageHeap, PageRange, Residency, SharedHeap, Span,
    Window,
};
use spanheap_replay::books::{Books, Nothing, geometry, window};

use super::{Kind, WAYS, Way};
use crate::adaptor::Cpus;
use crate::held::marked;

type Freed = Result<(), FreeError>;

/// How many calls of each kind are counted.
const COUNTED: u32 = 32;

/// The calls that were made, in order, to be counted from outside.
#[derive(Debug, Default)]
struct Calls(Vec<Kind>);

impl Calls {
    fn call(
        &mut self,
        kind: Kind,
        want: Freed,
        free: impl FnOnce() -> Freed,
    ) -> Result<(), String> {
        let got = marked(free);
        self.0.push(kind);
        if got != want {
            return Err(format!("{kind}: {got:?}"));
        }
        Ok(())
    }
}

/// Makes the calls of one way, and returns their kinds in order.
///
/// # Errors
///
/// If there is no such way, or one of the calls does not end as it should.
pub fn child(way: usize, pages: u32) -> Result<Vec<Kind>, String> {
    let way = *WAYS.get(way).ok_or("there is no such way")?;
    let too_large = "the range is too large";
    let window = geometry(4096, 4096).and_then(|it| window(it, PageCount::new(pages)));
    let window = window.ok_or(too_large)?;
    let books = || Books::new(&window, pages, 1)?.shared(&window, 4);
    let (mut books, mut others) = books().zip(books()).ok_or(too_large)?;
    let all = PageRange::new(Page::new(0), PageCount::new(pages)).ok_or("no pages")?;
    let why = |why: &dyn ToString| why.to_string();
    let mut calls = Calls::default();
    for _ in 0..COUNTED {
        calls.call(Kind::Nothing, Ok(()), || black_box(Ok(())))?;
    }
    match way {
        Way::Handle | Way::Address => {
            let heap = |books| PageHeap::new(window, books, Nothing).map_err(|it| why(&it));
            let (mut heap, mut other) = (heap(books.lend_new())?, heap(others.lend_new())?);
            for heap in [&mut heap, &mut other] {
                // SAFETY: numbers of no memory; nobody touches anything.
                unsafe { heap.add_region(all, Residency::Resident) }.map_err(|it| why(&it))?;
            }
            if way == Way::Handle {
                by_handle(
                    &mut calls,
                    [&mut heap, &mut other],
                    pages,
                    |heap, pages| heap.alloc(pages).ok(),
                    |heap, span| heap.shrink(span, ONE).ok(),
                    |heap, span| heap.free(span),
                )?;
            } else {
                by_pages(
                    &mut calls,
                    &mut heap,
                    (window, 1),
                    |heap, pages| Some(heap.alloc(pages).ok()?.range()),
                    |heap, range, at| heap.free_at(at, range.count()),
                    |heap, at, pages| heap.free_at(at, pages),
                )?;
            }
        }
        Way::Locked => {
            let heap = |books| LockedHeap::new(window, books, Nothing).map_err(|it| why(&it));
            let (mut heap, mut other) = (heap(books.lend_new())?, heap(others.lend_new())?);
            for heap in [&heap, &other] {
                // SAFETY: as above.
                unsafe { heap.add_region(all, Residency::Resident) }.map_err(|it| why(&it))?;
            }
            by_handle(
                &mut calls,
                [&mut heap, &mut other],
                pages,
                |heap, pages| heap.alloc(pages).ok(),
                |heap, span| heap.shrink(span, ONE).ok(),
                |heap, span| heap.free(span),
            )?;
        }
        Way::Page | Way::Run => {
            let heap = SharedHeap::new(window, books.lend_shared(), Nothing, Cpus);
            let mut heap = heap.map_err(|it| why(&it))?;
            // SAFETY: as above.
            unsafe { heap.add_region(all, Residency::Resident) }.map_err(|it| why(&it))?;
            by_pages(
                &mut calls,
                &mut heap,
                (window, if way == Way::Page { 1 } else { 4 }),
                |heap, pages| heap.alloc(pages).ok(),
                |heap, range, _| heap.free(range),
                |heap, at, pages| heap.free_at(at, pages),
            )?;
        }
    }
    Ok(calls.0)
}

const ONE: PageCount = PageCount::new(1);
const FOUR: PageCount = PageCount::new(4);

/// Fills a 64th of so many pages with blocks, and frees every fourth; returns some that
/// lie between others in use.
fn fill<H, B: Copy>(
    heap: &mut H,
    pages: u32,
    alloc: impl Fn(&mut H) -> Option<B>,
    free: impl Fn(&mut H, B) -> Freed,
) -> Result<Vec<B>, String> {
    let many = pages / 64;
    let blocks: Option<Vec<_>> = (0..many).map(|_| alloc(heap)).collect();
    let blocks = blocks.ok_or("the range is too small")?;
    for &block in blocks.iter().skip(2).step_by(4) {
        free(heap, block).map_err(|why| why.to_string())?;
    }
    let every = (many / COUNTED).next_multiple_of(4) as usize;
    Ok(blocks.into_iter().step_by(every).collect())
}

/// By handles to one page.
fn by_handle<H>(
    calls: &mut Calls,
    [heap, other]: [&mut H; 2],
    pages: u32,
    alloc: fn(&mut H, PageCount) -> Option<Span>,
    shrink: fn(&mut H, Span) -> Option<Span>,
    free: impl Fn(&mut H, Span) -> Freed,
) -> Result<(), String> {
    let none = "the range is too small";
    let foreign = alloc(other, ONE).ok_or(none)?;
    for _ in 0..COUNTED {
        let stale = alloc(heap, FOUR).ok_or(none)?;
        let _ = shrink(heap, stale).ok_or(none)?;
        calls.call(Kind::Stale, Err(FreeError::Stale), || free(heap, stale))?;
        let want = Err(FreeError::ForeignHeap);
        calls.call(Kind::Foreign, want, || free(heap, foreign))?;
    }
    for span in fill(heap, pages, |heap| alloc(heap, ONE), &free)? {
        calls.call(Kind::Good, Ok(()), || free(heap, span))?;
        calls.call(Kind::Second, Err(FreeError::Stale), || free(heap, span))?;
    }
    Ok(())
}

/// By pages, so many at a time, and by their address.
fn by_pages<H>(
    calls: &mut Calls,
    heap: &mut H,
    (window, pages): (Window, u32),
    alloc: fn(&mut H, PageCount) -> Option<PageRange>,
    free: impl Fn(&mut H, PageRange, u64) -> Freed,
    free_at: impl Fn(&mut H, u64, PageCount) -> Freed,
) -> Result<(), String> {
    let none = "the range is too small";
    let count = PageCount::new(pages);
    let at = |range: PageRange| window.address_of(range.start());
    let range = |from, pages| PageRange::new(Page::new(from), PageCount::new(pages)).ok_or(none);
    for _ in 0..COUNTED {
        let four = alloc(heap, FOUR).ok_or(none)?;
        let (start, part) = (four.start().number(), pages.min(3));
        for (kind, why, wrong) in [
            (Kind::Interior, FreeError::Interior, range(start + 1, part)?),
            (
                Kind::WrongLength,
                FreeError::WrongLength,
                range(start, part)?,
            ),
            (
                Kind::Outside,
                FreeError::Outside,
                range(window.pages().get(), pages)?,
            ),
        ] {
            let address = at(wrong);
            calls.call(kind, Err(why), || free(heap, wrong, address))?;
        }
        let address = at(four);
        for (kind, why, address, pages) in [
            (Kind::Unaligned, FreeError::Unaligned, address + 1, count),
            (
                Kind::ZeroPages,
                FreeError::ZeroPages,
                address,
                PageCount::ZERO,
            ),
        ] {
            calls.call(kind, Err(why), || free_at(heap, address, pages))?;
        }
    }
    let all = window.pages().get();
    let blocks = fill(
        heap,
        all,
        |heap| alloc(heap, count),
        |heap, range| free(heap, range, at(range)),
    )?;
    for block in blocks {
        let address = at(block);
        calls.call(Kind::Good, Ok(()), || free(heap, block, address))?;
        let want = Err(FreeError::NotInUse);
        calls.call(Kind::Second, want, || free(heap, block, address))?;
    }
    Ok(())
}

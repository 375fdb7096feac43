//! The verbs that need a hook: begin, hook, finish.
//!
//! Each is written once, over "a way to the books". One owner's way is a
//! borrow; a shared heap's is a lock, taken anew for each half, so that no hook
//! runs under it.
//!
//! Where resident memory is limited, a commit that would exceed the limit releases
//! idle memory elsewhere first: no more than it needs and a huge page, in a few calls
//! of the backing. If that is not enough, it fails.

use super::budget::{Budget, Release, ReleaseEnd};
use super::error::{AllocAtError, AllocError, ResizeError};
use super::extend::Growing;
use super::ledger::Ledger;
use super::release::LOOKS;
use super::request::Request;
use super::take::{Begun, Taking};
use crate::backing::{Backing, Refused};
use crate::page::{PageCount, PageRange};
use crate::span::Span;

/// How many calls of the backing one commit may make to stay below the limit.
pub(crate) const LIMIT_CALLS: u32 = 2;

/// Why pages were not committed.
pub(crate) enum Uncommitted {
    Refused(Refused),
    Limit,
}

impl From<Uncommitted> for AllocError {
    fn from(why: Uncommitted) -> Self {
        match why {
            Uncommitted::Refused(refused) => Self::Refused(refused),
            Uncommitted::Limit => Self::Limit,
        }
    }
}

impl From<Uncommitted> for AllocAtError {
    fn from(why: Uncommitted) -> Self {
        match why {
            Uncommitted::Refused(refused) => Self::Refused(refused),
            Uncommitted::Limit => Self::Limit,
        }
    }
}

impl From<Uncommitted> for ResizeError {
    fn from(why: Uncommitted) -> Self {
        match why {
            Uncommitted::Refused(refused) => Self::Refused(refused),
            Uncommitted::Limit => Self::Limit,
        }
    }
}

/// A way to the books.
pub(crate) trait Books<'m> {
    /// Does one step on the books. A shared heap holds its lock meanwhile.
    fn with<R>(&mut self, step: impl FnOnce(&mut Ledger<'m>) -> R) -> R;
}

impl<'m> Books<'m> for &mut Ledger<'m> {
    #[inline]
    fn with<R>(&mut self, step: impl FnOnce(&mut Ledger<'m>) -> R) -> R {
        step(self)
    }
}

/// Hands out pages for a request.
#[inline]
pub(crate) fn alloc<'m>(
    mut books: impl Books<'m>,
    backing: &impl Backing,
    request: &Request,
) -> Result<Span, AllocError> {
    if request.is_plain() {
        let quick = books.with(|ledger| {
            let id = ledger.alloc_resident(request.pages.get())?;
            Some(ledger.handle(id))
        });
        if let Some(span) = quick {
            return Ok(span);
        }
    }
    alloc_slowly(books, backing, request)
}

/// Hands out pages for a request, of those that there are.
pub(crate) fn alloc_without_growth<'m>(
    mut books: impl Books<'m>,
    backing: &impl Backing,
    request: &Request,
) -> Result<Span, AllocError> {
    let begun = books.with(|ledger| ledger.begin_alloc(request))?;
    let (span, _) = finish(&mut books, backing, begun)?;
    Ok(span)
}

/// The same for whatever needs a search, a hook or an error.
fn alloc_slowly<'m>(
    mut books: impl Books<'m>,
    backing: &impl Backing,
    request: &Request,
) -> Result<Span, AllocError> {
    let begun = match books.with(|ledger| ledger.begin_alloc(request)) {
        Err(AllocError::NoRun) => {
            let grown = grow_heap(&mut books, backing, request);
            // Grown or not: another CPU may have added or freed pages meanwhile.
            let begun = books.with(|ledger| ledger.begin_alloc(request));
            match (begun, grown) {
                (Err(AllocError::NoRun), Err(why)) => return Err(why),
                (begun, _) => begun?,
            }
        }
        begun => begun?,
    };
    let (span, needs_zero) = finish(&mut books, backing, begun)?;
    if request.zeroed && needs_zero {
        books.with(|ledger| ledger.calls.zero += 1);
        backing.zero(span.range());
    }
    Ok(span)
}

/// Hands out exactly `range`.
pub(crate) fn alloc_at<'m>(
    mut books: impl Books<'m>,
    backing: &impl Backing,
    address: u64,
    pages: PageCount,
) -> Result<Span, AllocAtError> {
    if pages.get() == 0 {
        return Err(AllocAtError::ZeroPages);
    }
    let begun = books.with(|ledger| {
        let range: PageRange = ledger.window.range_at(address, pages)?;
        ledger.begin_alloc_at(range)
    })?;
    let (span, _) = finish(&mut books, backing, begun)?;
    Ok(span)
}

/// Grows a span over the pages behind it.
pub(crate) fn grow<'m>(
    mut books: impl Books<'m>,
    backing: &impl Backing,
    span: Span,
    pages: PageCount,
) -> Result<Span, ResizeError> {
    let begun = match books.with(|ledger| ledger.begin_grow(span, pages))? {
        Growing::Same(span) => return Ok(span),
        Growing::Behind(begun) => begun,
    };
    let (behind, _) = finish(&mut books, backing, begun)?;
    Ok(books.with(|ledger| ledger.finish_grow(span, behind))?)
}

/// Gives idle memory back.
pub(crate) fn release<'m>(
    mut books: impl Books<'m>,
    backing: &impl Backing,
    budget: Budget,
) -> Release {
    release_some(&mut books, backing, budget)
}

/// Sets the clock by which huge pages age to `ms`, which is later than the last tick
/// said that it would be.
pub(crate) fn catch_up<'m>(mut books: impl Books<'m>, ms: u32) {
    let early = books.with(|ledger| {
        let early = ledger.ages.stamp();
        ledger.tick(ms, ms);
        early
    });
    let mut from = 0;
    while books.with(|ledger| ledger.ages.restamp(from, LOOKS as usize, early)) {
        from += LOOKS as usize;
    }
}

fn release_some<'m>(books: &mut impl Books<'m>, backing: &impl Backing, budget: Budget) -> Release {
    let mut releasing = books.with(|ledger| ledger.start_release(budget));
    let (mut pages, mut calls) = (0, 0);
    while let Some(batch) = books.with(|ledger| ledger.begin_release(&mut releasing)) {
        let ranges = batch.ranges();
        if ranges.is_empty() {
            // Nothing to release yet, and more to look at.
            continue;
        }
        calls += 1;
        let done = backing.sys_unused(ranges).min(ranges.len());
        pages += books.with(|ledger| ledger.finish_release(&batch, done));
        if done < ranges.len() {
            return Release {
                pages: PageCount::new(pages),
                calls,
                end: ReleaseEnd::Refused,
            };
        }
    }
    Release {
        pages: PageCount::new(pages),
        calls,
        end: releasing.end(),
    }
}

/// Commits what must be, and completes the books.
#[inline]
fn finish<'m>(
    books: &mut impl Books<'m>,
    backing: &impl Backing,
    begun: Begun,
) -> Result<(Span, bool), Uncommitted> {
    match begun {
        Begun::Done(span, needs_zero) => Ok((span, needs_zero)),
        Begun::Commit(taking) => commit(books, backing, taking),
    }
}

/// Commits the released pieces of detached pages, in address order.
fn commit<'m>(
    books: &mut impl Books<'m>,
    backing: &impl Backing,
    mut taking: Taking,
) -> Result<(Span, bool), Uncommitted> {
    let mut made_room = false;
    while let Some(next) = books.with(|ledger| ledger.next_commit(&mut taking)) {
        let failed = match next {
            Ok(range) => match backing.sys_used(range) {
                Ok(()) => {
                    books.with(|ledger| ledger.committed(&mut taking, range));
                    continue;
                }
                Err(refused) => {
                    books.with(|ledger| ledger.uncommitted(&mut taking));
                    Uncommitted::Refused(refused)
                }
            },
            // Of no use if all that is idle is not enough.
            Err(over) if !made_room && books.with(|ledger| ledger.idle_resident()) >= over => {
                made_room = true;
                make_room(books, backing, over);
                continue;
            }
            Err(_) => Uncommitted::Limit,
        };
        books.with(|ledger| ledger.abort_take(taking));
        return Err(failed);
    }
    Ok(books.with(|ledger| ledger.finish_take(taking)))
}

/// Releases so many idle pages, and what is left of the last huge page.
#[cold]
fn make_room<'m>(books: &mut impl Books<'m>, backing: &impl Backing, over: u32) {
    let bytes = books.with(|ledger| {
        let geometry = ledger.window().geometry();
        let unit = geometry.huge_pages().unwrap_or(geometry.physical_pages());
        // A power of two.
        let mask = u64::from(unit.get()) - 1;
        ((u64::from(over) + mask) & !mask) * geometry.page_bytes()
    });
    // What it comes to, the next look at the limit sees.
    let _ = release_some(books, backing, Budget::bytes(bytes).calls(LIMIT_CALLS));
}

/// Asks the backing for another region, if one could serve and a slot can be
/// kept for it.
#[cold]
fn grow_heap<'m>(
    books: &mut impl Books<'m>,
    backing: &impl Backing,
    request: &Request,
) -> Result<(), AllocError> {
    let may_grow = |ledger: &mut Ledger<'m>| ledger.could_serve(request) && ledger.pool.reserve(1);
    if !books.with(may_grow) {
        return Err(AllocError::NoRun);
    }
    let growth = backing.grow(request.pages);
    books.with(|ledger| {
        ledger.pool.unreserve(1);
        match growth {
            None => Err(AllocError::NoRun),
            Some(growth) => ledger
                .add_region(growth.range, growth.residency)
                .map_err(AllocError::BadGrowth),
        }
    })
}

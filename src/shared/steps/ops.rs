//! What a CPU may do: the code's own functions, and what `heap.rs` and `search.rs`
//! make of them, step by step.

use std::vec::Vec;

use super::atomic::Ordering;
use super::front::Place;
use super::word::{BLOCK, CHUNK};
use super::world::{BOOKS, CHUNK_THERE, CLAIMED, CPUS, FREE, LOCKED, Machine, NOTHING, World};
use crate::heap::FreeError;

/// Kinds of operation, to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Alloc,
    Anywhere,
    Open,
    Drain,
    Return,
    Free,
    FreeAgain,
    Run,
    FreeRun,
    FreePart,
    FreeWrongly,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A page out of what this CPU has claimed, or claims.
    Alloc,
    /// A page out of any word.
    Anywhere,
    /// A chunk from the treap.
    Open,
    /// Takes away what a CPU has claimed, and its chunk.
    Drain(usize),
    /// Returns the chunk, if it is listed for that.
    Return,
    /// Frees a page that is handed out.
    Free(u32),
    /// Frees a page that is free.
    FreeAgain(u32),
    Run(u32),
    FreeRun(u32, u32),
    /// Frees so many pages of what was handed out from the first page on, beginning
    /// at the second.
    FreePart(u32, u32, u32),
    /// Frees so many pages, although not so many were handed out.
    FreeWrongly(u32, u32),
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Nothing,
    /// So many pages from this one on were handed out.
    Taken(u32, u32),
    Freed(Result<(), FreeError>),
}

impl Op {
    /// Returns the operations of a kind that can begin in a state.
    pub(super) fn of(kind: Kind, world: &World) -> Vec<Self> {
        let pages = 0..CHUNK;
        let items = pages
            .clone()
            .filter_map(|page| Some((page, world.item(page)?)));
        match kind {
            Kind::Alloc => [Self::Alloc].into(),
            Kind::Anywhere => [Self::Anywhere].into(),
            Kind::Open => [Self::Open].into(),
            Kind::Return => [Self::Return].into(),
            Kind::Drain => (0..CPUS).map(Self::Drain).collect(),
            Kind::Free => items
                .filter(|&(_, count)| count == 1)
                .map(|(page, _)| Self::Free(page))
                .collect(),
            Kind::FreeAgain => {
                let mut free = world.pages(FREE) | world.pages(CLAIMED);
                if world.words[BOOKS] == CHUNK_THERE {
                    free = (1 << CHUNK) - 1;
                }
                pages
                    .filter(|page| free >> page & 1 == 1)
                    .map(Self::FreeAgain)
                    .collect()
            }
            Kind::Run => (2..=BLOCK).map(Self::Run).collect(),
            Kind::FreeRun => items
                .filter(|&(_, count)| count > 1)
                .map(|(page, count)| Self::FreeRun(page, count))
                .collect(),
            Kind::FreePart => items
                .filter(|&(_, count)| count > 1)
                .flat_map(|(first, count)| {
                    let from = first..first + count;
                    from.flat_map(move |page| {
                        (1..=first + count - page)
                            .map(move |part| Self::FreePart(first, page, part))
                    })
                })
                .collect(),
            Kind::FreeWrongly => items
                .flat_map(|(page, right)| {
                    (1..=BLOCK + 1)
                        .filter(move |&count| count != right)
                        .map(move |count| Self::FreeWrongly(page, count))
                })
                .collect(),
        }
    }

    /// Returns a number that is no other operation's, and not 0.
    pub(super) fn number(self) -> u64 {
        let of = |kind: u64, page: u32, count: u32, part: u32| {
            kind << 24 | u64::from(page) << 16 | u64::from(count) << 8 | u64::from(part)
        };
        match self {
            Self::Alloc => of(1, 0, 0, 0),
            Self::Anywhere => of(2, 0, 0, 0),
            Self::Open => of(3, 0, 0, 0),
            Self::Drain(cpu) => of(4, cpu as u32, 0, 0),
            Self::Return => of(5, 0, 0, 0),
            Self::Free(page) => of(6, page, 0, 0),
            Self::FreeAgain(page) => of(7, page, 0, 0),
            Self::Run(count) => of(8, 0, count, 0),
            Self::FreeRun(page, count) => of(9, page, count, 0),
            Self::FreePart(first, page, part) => of(10, first, page, part),
            Self::FreeWrongly(page, count) => of(11, page, count, 0),
        }
    }

    /// Returns what nobody else may free meanwhile, of what was handed out: where it
    /// begins, and how many pages it is.
    pub(super) fn frees(self, world: &World) -> Option<(u32, u32)> {
        let (Self::Free(page)
        | Self::FreeRun(page, _)
        | Self::FreePart(page, ..)
        | Self::FreeWrongly(page, _)) = self
        else {
            return None;
        };
        Some((page, world.item(page)?))
    }
}

impl Machine {
    /// Does an operation on a CPU; `None` if it waits for the lock.
    pub(super) fn run(&self, op: Op, cpu: usize) -> Option<End> {
        let (front, place) = (&self.front, self.place(cpu));
        let taken =
            |page: Option<u32>, count| page.map_or(End::Nothing, |page| End::Taken(page, count));
        Some(match op {
            Op::Alloc => taken(self.alloc(place), 1),
            Op::Anywhere => taken(front.claim_anywhere(), 1),
            Op::Open => {
                self.open_chunk(place)?;
                End::Nothing
            }
            Op::Drain(whose) => {
                front.drain(self.place(whose));
                End::Nothing
            }
            Op::Return => {
                self.locked(|treap| treap)?;
                End::Nothing
            }
            Op::Free(page) | Op::FreeAgain(page) => End::Freed(self.free(page, cpu)),
            Op::Run(count) => taken(front.take_run(count, 0), count),
            Op::FreeRun(page, count) => End::Freed(self.free_run(page, count)),
            Op::FreePart(_, page, count) => End::Freed(
                front
                    .free_part(page, count)
                    .unwrap_or(Err(FreeError::Outside)),
            ),
            Op::FreeWrongly(page, 1) => End::Freed(self.free(page, cpu)),
            Op::FreeWrongly(page, count) => End::Freed(self.free_run(page, count)),
        })
    }

    /// `alloc` in `heap.rs`, and what `alloc_page_slowly` in `search.rs` begins with.
    fn alloc(&self, place: Place<'static>) -> Option<u32> {
        loop {
            if let Some(page) = self.front.pop(place) {
                return Some(page);
            }
            if !self.front.refill(place) {
                return None;
            }
        }
    }

    /// `free` and `free_otherwise` in `heap.rs`, of one page. What is the treap's, the
    /// ledger refuses: there it is free, or the chunk is in use as a whole.
    fn free(&self, page: u32, cpu: usize) -> Result<(), FreeError> {
        if self.front.free_plain(page, || cpu) {
            return Ok(());
        }
        self.front
            .free_page(page)
            .unwrap_or(Err(FreeError::NotInUse))
    }

    /// The same of a run.
    fn free_run(&self, page: u32, count: u32) -> Result<(), FreeError> {
        self.front
            .free_run(page, count)
            .unwrap_or(Err(FreeError::NotInUse))
    }

    /// `locked` in `heap.rs`, and `return_some` there; `step` is what is done then,
    /// and says whether the chunk is the treap's afterwards.
    fn locked(&self, step: impl FnOnce(u64) -> u64) -> Option<u64> {
        let front = &self.front;
        let mut treap = self.books.lock(LOCKED)?;
        if front.full().may_have_any() {
            while let Some(chunk) = front.full().first() {
                front.full().clear(chunk);
                if front.take_whole(chunk) {
                    front.close(chunk);
                    treap = CHUNK_THERE;
                }
            }
        }
        let left = step(treap);
        self.books.store(left, Ordering::SeqCst);
        Some(treap)
    }

    /// `open_chunk` in `search.rs`.
    fn open_chunk(&self, place: Place<'static>) -> Option<bool> {
        if self.locked(|_| NOTHING)? == NOTHING {
            return Some(false);
        }
        self.front.open(0, place);
        if !self.front.own(0, place) {
            self.front.leave(0);
        }
        Some(true)
    }

    /// `alloc_page_slowly` in `search.rs`, to the end: for whoever is alone.
    pub(super) fn alloc_slowly(&self, cpu: usize) -> Option<u32> {
        let place = self.place(cpu);
        loop {
            if let Some(page) = self.alloc(place) {
                return Some(page);
            }
            if self.open_chunk(place) != Some(true) {
                break;
            }
        }
        self.front.claim_anywhere().or_else(|| {
            self.drain_all();
            self.front.claim_anywhere()
        })
    }

    /// `alloc_run` in `search.rs`, to the end: for whoever is alone.
    pub(super) fn alloc_run_slowly(&self, cpu: usize, count: u32) -> Option<u32> {
        let first = self.front.take_run(count, 0);
        let found = first.or_else(|| {
            let opened = self.open_chunk(self.place(cpu)) == Some(true);
            opened.then(|| self.front.take_run(count, 0))?
        });
        found.or_else(|| {
            self.drain_all();
            self.front.take_run_anywhere(count)
        })
    }

    fn drain_all(&self) {
        self.front
            .places()
            .for_each(|place| self.front.drain(place));
    }
}

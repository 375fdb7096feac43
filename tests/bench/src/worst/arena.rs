//! Where scenes are played: a heap over page numbers, whose calls are marked.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use serde::Serialize;
use spanheap::{
    Backing, Budget, PageCount, PageHeap, PageRange, Policy, Refused, Request, Residency,
    Scavenger, SharedHeap, Window,
};
use spanheap_replay::books::{Books, geometry, window};

use super::{Scene, What};
use crate::adaptor::Cpus;
use crate::held;

/// Which heap a scene is played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum Heap {
    /// The page heap, whose call is what `LockedHeap` may hold its lock for.
    #[serde(rename = "PageHeap")]
    #[value(name = "PageHeap")]
    Page,
    /// The shared heap.
    #[serde(rename = "SharedHeap")]
    #[value(name = "SharedHeap")]
    Shared,
}

impl fmt::Display for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Page => "PageHeap",
            Self::Shared => "SharedHeap",
        })
    }
}

/// A backing that does nothing but count its calls.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

// SAFETY: no page of a heap over it is ever touched, so every promise about the
// contents of pages is empty.
unsafe impl Backing for Counting {
    fn sys_used(&self, _: PageRange) -> Result<(), Refused> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed);
        ranges.len()
    }

    fn zero(&self, _: PageRange) {}
}

/// The verbs of either heap, by page number. Each says whether it was granted.
pub(super) trait Verbs {
    /// Hands out pages.
    fn alloc(&mut self, request: &Request) -> bool;
    /// Hands out exactly these.
    fn alloc_at(&mut self, page: u32, pages: u32) -> bool;
    /// Frees exactly these.
    fn free(&mut self, page: u32, pages: u32) -> bool;
    /// Releases within a budget; yes if anything was.
    fn release(&mut self, budget: Budget) -> bool;
    /// Polls a scavenger.
    fn poll(&mut self, scavenger: &mut Scavenger, now: u64) -> bool;
    /// Counts; yes always.
    fn stats(&mut self) -> bool;
    /// Returns the window.
    fn window(&self) -> Window;
    /// Returns how often the backing was called.
    fn hooks(&self) -> u64;
}

/// Both heaps have verbs of the same names.
macro_rules! verbs {
    ($heap:ty, $window:expr, $poll:expr) => {
        impl Verbs for $heap {
            fn alloc(&mut self, request: &Request) -> bool {
                <$heap>::alloc(self, request.clone()).is_ok()
            }
            fn alloc_at(&mut self, page: u32, pages: u32) -> bool {
                let address = address(&Verbs::window(self), page);
                <$heap>::alloc_at(self, address, PageCount::new(pages)).is_ok()
            }
            fn free(&mut self, page: u32, pages: u32) -> bool {
                let address = address(&Verbs::window(self), page);
                <$heap>::free_at(self, address, PageCount::new(pages)).is_ok()
            }
            fn release(&mut self, budget: Budget) -> bool {
                <$heap>::release(self, budget).pages.get() > 0
            }
            fn poll(&mut self, scavenger: &mut Scavenger, now: u64) -> bool {
                let poll: fn(&mut Self, &mut Scavenger, u64) -> u64 = $poll;
                poll(self, scavenger, now) > now
            }
            fn stats(&mut self) -> bool {
                std::hint::black_box(<$heap>::stats(self));
                true
            }
            fn window(&self) -> Window {
                let window: fn(&Self) -> Window = $window;
                window(self)
            }
            fn hooks(&self) -> u64 {
                self.backing().0.load(Ordering::Relaxed)
            }
        }
    };
}

verbs!(
    PageHeap<'_, Counting>,
    |heap| *heap.window(),
    |heap, scavenger, now| { scavenger.poll(heap, now) }
);
verbs!(
    SharedHeap<'_, Counting, Cpus>,
    |heap| heap.window(),
    |heap, scavenger, now| { scavenger.poll(&mut &*heap, now) }
);

fn address(window: &Window, page: u32) -> u64 {
    window.address_of(spanheap::Page::new(page))
}

/// A heap, and what is counted of it.
pub(super) struct Arena<'h> {
    heap: &'h mut dyn Verbs,
    what: What,
    /// How many pages it has.
    pub(super) pages: u32,
    hooks: u64,
}

impl fmt::Debug for Arena<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").finish_non_exhaustive()
    }
}

impl Arena<'_> {
    /// Leads the heap on, uncounted.
    pub(super) fn lead(&mut self) -> &mut dyn Verbs {
        self.heap
    }

    /// Does the verb, counted, and says whether it was granted.
    pub(super) fn probe(&mut self, verb: impl FnOnce(&mut dyn Verbs) -> bool) -> bool {
        let before = self.heap.hooks();
        let granted = match self.what {
            What::Calls => held::marked(|| verb(self.heap)),
            What::Holds => {
                held::mark();
                let granted = verb(self.heap);
                held::unmark();
                granted
            }
        };
        self.hooks = self.hooks.max(self.heap.hooks() - before);
        granted
    }

    /// Returns the address of a page.
    #[must_use]
    pub(super) fn address(&self, page: u32) -> u64 {
        address(&self.heap.window(), page)
    }
}

/// Plays a scene on a fresh heap; returns the most calls of the backing in one probe.
pub(super) fn play(scene: &Scene, heap: Heap, what: What, pages: u32) -> Result<u64, String> {
    let too_large = "the range is too large";
    let window = geometry(4096, 4096).and_then(|it| window(it, PageCount::new(pages)));
    let window = window.ok_or(too_large)?;
    let books = Books::new(&window, (scene.slots)(pages), 64);
    let books = books.and_then(|books| books.shared(&window, 4));
    let mut books = books.ok_or(too_large)?;
    let all = PageRange::new(spanheap::Page::new(0), PageCount::new(pages)).ok_or("no pages")?;
    let act = |heap: &mut dyn Verbs| {
        let mut arena = Arena {
            heap,
            what,
            pages,
            hooks: 0,
        };
        (scene.act)(&mut arena)?;
        Ok(arena.hooks)
    };
    match heap {
        Heap::Page => {
            let heap = PageHeap::new(window, books.lend_new(), Counting::default());
            let mut heap = heap.map_err(|why| why.to_string())?;
            // SAFETY: numbers of no memory; nobody touches anything.
            unsafe { heap.add_region(all, Residency::Resident) }.map_err(|why| why.to_string())?;
            act(&mut heap)
        }
        Heap::Shared => {
            let heap = SharedHeap::new(window, books.lend_shared(), Counting::default(), Cpus);
            let mut heap = heap.map_err(|why| why.to_string())?;
            // SAFETY: as above.
            unsafe { heap.add_region(all, Residency::Resident) }.map_err(|why| why.to_string())?;
            act(&mut heap)
        }
    }
}

/// Returns a scavenger with the usual policy.
pub(super) const fn scavenger() -> Scavenger {
    Scavenger::new(Policy::BALANCED)
}

//! A heap of any kind over the fake backing, a scavenger, and a clock that a test
//! moves by hand.
//!
//! After every step two accounts must agree: the heap's counters and the pages that
//! the fake has memory for; and the books must be sound. After every poll, what it
//! promises must hold: no more bytes and calls than the policy says, and a time to
//! call again that is neither past nor far away.

use std::cell::OnceCell;
use std::sync::atomic::AtomicU64;

use spanheap::backing::fake::{Call, FakeBacking as Fake};
use spanheap::{
    AllocError, Budget, Costs, Geometry, HugeAge, LockedHeap, MapEntry, Metadata, OneCpu, Page,
    PageCount, PageHeap, PageRange, Policy, Pressure, Reclaim, Release, Residency, Scavenger,
    SharedHeap, SharedMetadata, Slot, Stats, Window, front_words, metadata_size,
};

pub(crate) const PAGE: u64 = 4096;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// The break-even that [`POLICY`] comes to, in milliseconds.
pub(crate) const BREAK_EVEN: u64 = 1_000;

/// Round numbers, and a purse that is full again after a millisecond.
pub(crate) const POLICY: Policy = Policy {
    // To take back costs nine times as much as to release: 10 µs together. Kept for
    // a second, 2 MiB cost as much.
    unknown: 582,
    price_ns: 5_120_000,
    costs: Costs {
        release_ns: 1_000,
        take_back_ns: 9_000,
    },
    share: 1_000_000,
    minimum: 0,
    headroom: 0,
    deadline_ns: 10 * SECOND,
    young_ns: 50 * MS,
    step: u64::MAX,
    calls: 8,
};

/// Which heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Page,
    Locked,
    Shared,
}

pub(crate) const KINDS: [Kind; 3] = [Kind::Page, Kind::Locked, Kind::Shared];

/// A heap of one of them.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it in a test, which is moved once"
)]
pub(crate) enum Heap<'a, 'm> {
    Page(PageHeap<'m, Fake>),
    Locked(&'a LockedHeap<'m, Fake>),
    Shared(&'a SharedHeap<'m, Fake, OneCpu>),
}

/// Calls the same verb of whichever heap it is.
macro_rules! each {
    ($heap:expr, $inner:ident => $call:expr) => {
        match $heap {
            Heap::Page($inner) => $call,
            Heap::Locked($inner) => $call,
            Heap::Shared($inner) => $call,
        }
    };
}

impl Reclaim for Heap<'_, '_> {
    fn treap_stats(&self) -> Stats {
        each!(self, heap => Reclaim::treap_stats(heap))
    }
    fn tick(&mut self, now: u32, until: u32) {
        each!(self, heap => Reclaim::tick(heap, now, until));
    }
    fn catch_up(&mut self, ms: u32) {
        each!(self, heap => Reclaim::catch_up(heap, ms));
    }
    fn release(&mut self, budget: Budget) -> Release {
        each!(self, heap => Reclaim::release(heap, budget))
    }
    fn gather(&mut self) {
        each!(self, heap => Reclaim::gather(heap));
    }
    fn release_inside(&mut self, budget: Budget) -> Release {
        each!(self, heap => Reclaim::release_inside(heap, budget))
    }
    fn set_limit(&mut self, bytes: u64) {
        each!(self, heap => Reclaim::set_limit(heap, bytes));
    }
}

/// What a heap is made of. Sizes are in pages, those of pages in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    pub(crate) page: u64,
    pub(crate) physical: u64,
    /// 0: there are none.
    pub(crate) huge: u64,
    pub(crate) pages: u32,
    pub(crate) slots: u32,
    /// Whether there are records of huge pages.
    pub(crate) ages: bool,
    pub(crate) residency: Residency,
}

impl Setup {
    /// 32 huge pages of 16 pages, so that every page can be looked at.
    pub(crate) const SMALL: Self = Self {
        kind: Kind::Page,
        page: PAGE,
        physical: PAGE,
        huge: 16 * PAGE,
        pages: 512,
        slots: 512,
        ages: true,
        residency: Residency::Resident,
    };

    fn window(&self) -> Window {
        let geometry = Geometry::new(self.page, self.physical, self.huge).expect("sizes");
        Window::new(geometry, 1 << 30, count(self.pages)).expect("a window")
    }

    /// Eight huge pages of 512 pages, on any heap.
    pub(crate) const fn of(kind: Kind) -> Self {
        Self {
            kind,
            huge: 512 * PAGE,
            pages: 8 * 512,
            ..Self::SMALL
        }
    }
}

/// The memory of a heap's books.
pub(crate) struct Books {
    slots: Vec<Slot>,
    map: Vec<MapEntry>,
    ages: Vec<HugeAge>,
    words: Vec<AtomicU64>,
}

impl Books {
    pub(crate) fn new(setup: &Setup) -> Self {
        let window = setup.window();
        let size = metadata_size(&window, setup.slots, 1).expect("a size");
        let ages = if setup.ages { size.ages } else { 0 };
        let words = match setup.kind {
            Kind::Shared => front_words(&window, 1).expect("a size"),
            Kind::Page | Kind::Locked => 0,
        };
        Self {
            slots: vec![Slot::VACANT; size.slots],
            map: vec![MapEntry::EMPTY; size.map_entries],
            ages: vec![HugeAge::UNKNOWN; ages],
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

/// Where a heap stands that is driven by reference.
#[derive(Default)]
pub(crate) struct Place<'m> {
    locked: OnceCell<LockedHeap<'m, Fake>>,
    shared: OnceCell<SharedHeap<'m, Fake, OneCpu>>,
}

/// A heap, what is under it, and who scavenges it, for as long as a test runs.
pub(crate) type Rig = RigOver<'static, 'static>;

/// The same, over memory that is borrowed.
pub(crate) struct RigOver<'a, 'm> {
    pub(crate) heap: Heap<'a, 'm>,
    pub(crate) fake: Fake,
    pub(crate) scavenger: Scavenger,
    pub(crate) now: u64,
    pub(crate) window: Window,
    /// Whether pages inside of a shared heap's chunks may be released: once such a
    /// chunk is free, the rest of it goes with the next release, uncounted.
    is_mixed: bool,
}

pub(crate) fn count(pages: u32) -> PageCount {
    PageCount::new(pages)
}

pub(crate) fn range(start: u32, pages: u32) -> PageRange {
    PageRange::new(Page::new(start), count(pages)).expect("pages")
}

impl Rig {
    /// A heap of one region, all of it idle.
    pub(crate) fn new(setup: Setup, policy: Policy) -> Self {
        let mut rig = Self::without_regions(setup, policy);
        rig.add(range(0, setup.pages), setup.residency);
        rig
    }

    pub(crate) fn without_regions(setup: Setup, policy: Policy) -> Self {
        let books = Box::leak(Box::new(Books::new(&setup)));
        Self::over(setup, policy, books, Box::leak(Box::default()))
    }
}

impl<'a, 'm> RigOver<'a, 'm> {
    /// A heap without regions, in these books and at this place, which are new.
    pub(crate) fn over(
        setup: Setup,
        policy: Policy,
        books: &'m mut Books,
        place: &'a Place<'m>,
    ) -> Self {
        let window = setup.window();
        let fake = Fake::new(window);
        let metadata = Metadata::new(&mut books.slots, &mut books.map);
        let metadata = match setup.ages {
            true => metadata.with_ages(&mut books.ages),
            false => metadata,
        };
        let heap = match setup.kind {
            Kind::Page => {
                Heap::Page(PageHeap::new(window, metadata, fake.clone()).expect("enough memory"))
            }
            Kind::Locked => Heap::Locked(place.locked.get_or_init(|| {
                LockedHeap::new(window, metadata, fake.clone()).expect("enough memory")
            })),
            Kind::Shared => Heap::Shared(place.shared.get_or_init(|| {
                let metadata = SharedMetadata::new(metadata, &books.words, 1);
                SharedHeap::new(window, metadata, fake.clone(), OneCpu).expect("enough memory")
            })),
        };
        Self {
            heap,
            fake,
            scavenger: Scavenger::new(policy),
            now: 0,
            window,
            is_mixed: false,
        }
    }

    pub(crate) fn add(&mut self, range: PageRange, residency: Residency) {
        self.fake.add(range, residency);
        // SAFETY: the fake has no memory to lose.
        unsafe { each!(&mut self.heap, heap => heap.add_region(range, residency)) }
            .expect("a region");
    }

    pub(crate) fn alloc(&mut self, pages: u32) -> Result<PageRange, AllocError> {
        let got = match &mut self.heap {
            Heap::Page(heap) => heap.alloc(count(pages)).map(|span| span.range()),
            Heap::Locked(heap) => heap.alloc(count(pages)).map(|span| span.range()),
            Heap::Shared(heap) => heap.alloc(count(pages)),
        };
        if let Ok(range) = got {
            // Panics where there is no memory.
            self.fake.write(range, 7);
        }
        got
    }

    /// Takes exactly these pages.
    pub(crate) fn take(&mut self, start: u32, pages: u32) -> PageRange {
        let wanted = range(start, pages);
        let address = self.window.address_of(wanted.start());
        match &mut self.heap {
            Heap::Page(heap) => drop(heap.alloc_at(address, count(pages)).expect("free")),
            Heap::Locked(heap) => drop(heap.alloc_at(address, count(pages)).expect("free")),
            Heap::Shared(heap) => drop(heap.alloc_at(address, count(pages)).expect("free")),
        }
        self.fake.write(wanted, 7);
        wanted
    }

    pub(crate) fn free(&mut self, range: PageRange) {
        let address = self.window.address_of(range.start());
        each!(&mut self.heap, heap => heap.free_at(address, range.count())).expect("in use");
    }

    /// The heap's counters, those of all tiers.
    pub(crate) fn stats(&self) -> Stats {
        // Not the trait's, which a reference to a heap would prefer.
        match &self.heap {
            Heap::Page(heap) => heap.stats(),
            Heap::Locked(heap) => LockedHeap::stats(heap),
            Heap::Shared(heap) => SharedHeap::stats(heap),
        }
    }

    /// Bytes that are backed.
    pub(crate) fn resident(&self) -> u64 {
        let stats = self.stats();
        stats.bytes(stats.resident())
    }

    /// Whole huge pages that are idle and resident.
    pub(crate) fn idle(&self) -> u32 {
        self.stats().huge_resident
    }

    /// Whether there is memory behind a page.
    pub(crate) fn is_backed(&self, page: u32) -> bool {
        self.fake.is_committed(Page::new(page))
    }

    /// Fails unless the books are sound and the fake agrees with the counters.
    #[track_caller]
    pub(crate) fn audit(&self) {
        each!(&self.heap, heap => heap.check()).expect("sound books");
        let pages = 0..self.window.pages().get();
        let backed = pages.filter(|&page| self.is_backed(page)).count();
        assert_eq!(self.stats().resident(), count(backed as u32));
    }

    /// Polls once, now; returns the bytes that went. The clock then stands where the
    /// scavenger wants to be called again.
    #[track_caller]
    pub(crate) fn poll(&mut self) -> u64 {
        let (next, gone) = self.poll_early();
        self.now = next;
        gone
    }

    /// The same, but the clock stays; returns when to call again, too.
    #[track_caller]
    pub(crate) fn poll_early(&mut self) -> (u64, u64) {
        let before = self.resident();
        drop(self.fake.take_log());
        let next = self.scavenger.poll(&mut self.heap, self.now);
        self.audit();
        let policy = *self.scavenger.policy();
        let releases = self.releases();
        let gone = before - self.resident();
        if !self.is_mixed {
            assert!(releases.len() <= policy.calls as usize, "too many calls");
            assert!(gone <= policy.step, "more than a step");
        }
        if self.now < u64::MAX {
            assert!(next > self.now, "in the past");
        }
        let wait = next - self.now;
        assert!(wait <= SECOND, "not before {wait} ns");
        assert!(wait >= MS || next == u64::MAX, "already after {wait} ns");
        (next, gone)
    }

    /// Polls whenever it is asked for until nothing is due before `end`; returns how
    /// often.
    #[track_caller]
    pub(crate) fn poll_until(&mut self, end: u64) -> u32 {
        let mut polls = 0;
        while self.now < end {
            let _ = self.poll();
            polls += 1;
        }
        polls
    }

    /// Polls as asked until a huge page goes; returns when that was.
    #[track_caller]
    pub(crate) fn until_release(&mut self) -> u64 {
        for _ in 0..100_000 {
            let at = self.now;
            if self.poll() > 0 {
                return at;
            }
        }
        panic!("nothing goes, at {} ms", self.now / MS);
    }

    /// The ranges of every release since the log was last taken.
    pub(crate) fn releases(&self) -> Vec<Vec<PageRange>> {
        let calls = self.fake.take_log().into_iter();
        calls
            .filter_map(|call| match call {
                Call::Unused { ranges, .. } => Some(ranges),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn sleep(&mut self) -> Release {
        let done = self.scavenger.idle(&mut self.heap, self.now);
        self.audit();
        done
    }

    pub(crate) fn pressure(&mut self, level: Pressure) -> Release {
        self.is_mixed |= matches!(self.heap, Heap::Shared(_));
        let done = self.scavenger.pressure(&mut self.heap, self.now, level);
        self.audit();
        done
    }

    pub(crate) fn reclaim(&mut self, bytes: u64) -> Release {
        self.is_mixed |= matches!(self.heap, Heap::Shared(_));
        let done = self.scavenger.reclaim(&mut self.heap, self.now, bytes);
        self.audit();
        done
    }

    pub(crate) fn set_limit(&mut self, bytes: u64) -> Release {
        self.is_mixed |= matches!(self.heap, Heap::Shared(_));
        let done = self.scavenger.set_limit(&mut self.heap, self.now, bytes);
        self.audit();
        done
    }
}

/// Marsaglia's xorshift.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % limit
    }
}

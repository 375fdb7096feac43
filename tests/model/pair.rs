//! A heap and the model, side by side: every operation runs on both.
//!
//! An operation's answer is compared with what the model allows, its hook calls
//! with what the model says must be committed, and then the whole state:
//! `check()`, counters, all spans, look-ups, and the fake's committed map and
//! contents. Whoever owns pages writes a stamp into each, so that a page that is
//! lost, zeroed or handed out twice is seen.
//!
//! Invariant: between operations all three accounts agree, or the last operation
//! returned an error that says how they differ.

mod alloc;
mod ask;
mod free;
mod release;
mod verify;

pub(crate) use ask::Ask;

use spanheap::backing::fake::{Call, FakeBacking, Reuse};
use spanheap::{PageHeap, PageRange, RegionError, Residency, Span};

use super::{Books, Heap, Model, Setup, range};

/// How heap and model differ, in words.
pub(crate) type Differs = String;

/// How an operation ended, both agreeing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Done,
    /// Done, over a seam between released and resident pages.
    Joined,
    /// A wrong argument was refused.
    Wrong,
    NoRun,
    NoSlot,
    /// The backing refused.
    Refused,
    /// There was nothing to do it to.
    Skipped,
}

/// Whose handle an operation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A span in use, counted modulo their number.
    Live(u32),
    /// A span that was freed or resized, likewise.
    Dead(u32),
    /// A span of another heap.
    Foreign,
}

/// A span in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) range: PageRange,
    /// Its number in the model.
    id: u32,
    /// Unless a part of it was freed by address: then nobody has one.
    handle: Option<Span>,
}

/// A target, looked up.
enum Found {
    Live(usize, Span),
    Dead(Span),
    Foreign(Span),
}

/// Calls of each hook since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    used: u64,
    unused: u64,
    zero: u64,
}

/// A heap, the model and the fake between them.
pub(crate) struct Pair<H> {
    pub(crate) heap: H,
    pub(crate) fake: FakeBacking,
    pub(crate) model: Model,
    pub(crate) live: Vec<Live>,
    dead: Vec<Span>,
    slots: u32,
    /// What each page in use must hold.
    stamps: Vec<u64>,
    last_stamp: u64,
    tally: Tally,
    spans_peak: u32,
    /// Whether all accounts are compared after every operation.
    watches: bool,
}

impl<'m, H: Heap<'m>> Pair<H> {
    /// Makes a heap as `setup` says, in these books.
    pub(crate) fn new(setup: &Setup, books: &'m mut Books) -> Result<Self, Differs> {
        let (window, fake) = (setup.window(), setup.fake());
        let heap = H::make(window, books.metadata(), fake.clone())
            .map_err(|error| format!("the heap is not made: {error}"))?;
        let mut pair = Self {
            heap,
            fake,
            model: Model::new(window).over(setup.reuse == Reuse::Zeroes),
            live: Vec::new(),
            dead: Vec::new(),
            slots: setup.slots,
            stamps: vec![0; setup.pages as usize],
            last_stamp: 0,
            tally: Tally::default(),
            spans_peak: 0,
            watches: true,
        };
        for &(range, residency) in &setup.regions {
            match pair.add_region(range, residency)? {
                Outcome::Done => {}
                other => return Err(format!("region {range:?} is not added: {other:?}")),
            }
        }
        Ok(pair)
    }

    /// Whether to compare all accounts after every operation.
    pub(crate) fn watch(&mut self, watches: bool) {
        self.watches = watches;
    }

    /// Adds a region, valid or not.
    pub(crate) fn add_region(
        &mut self,
        range: PageRange,
        residency: Residency,
    ) -> Result<Outcome, Differs> {
        let facts = self.region_facts(range);
        let got = self.heap.add_region(range, residency);
        let outcome = match got {
            Err(error) if facts.contains(&error) => Outcome::Wrong,
            Err(RegionError::NoSlot) if self.lacks_slots(1) => Outcome::NoSlot,
            Ok(()) if facts.is_empty() => {
                self.fake.add(range, residency);
                self.model.add_region(range, residency);
                Outcome::Done
            }
            _ => return Err(format!("add_region gave {got:?}, true is {facts:?}")),
        };
        self.silent("add_region")?;
        self.verify()?;
        Ok(outcome)
    }

    /// Everything that is wrong with a region.
    fn region_facts(&self, range: PageRange) -> Vec<RegionError> {
        let mut facts = Vec::new();
        let window = self.model.window();
        let managed = range.end().number() <= window.pages().get();
        if !managed {
            facts.push(RegionError::OutsideWindow);
        }
        let inside = range.intersection(self.whole_window());
        if inside.is_some_and(|inside| !self.model.is_unmanaged(inside)) {
            facts.push(RegionError::Overlap);
        }
        if self.model.physical_inside(range) != Some(range) {
            facts.push(RegionError::Unaligned);
        }
        if window.address_of(range.start()) == 0 {
            facts.push(RegionError::AddressZero);
        }
        facts
    }

    fn whole_window(&self) -> PageRange {
        range(0, self.model.window().pages().get())
    }

    /// Looks a target up, if there is one.
    fn found(&self, target: Target) -> Option<Found> {
        let pick = |pick: u32, of: usize| (of > 0).then(|| pick as usize % of);
        match target {
            Target::Live(number) => {
                let index = pick(number, self.live.len())?;
                let handle = self.live[index].handle?;
                Some(Found::Live(index, handle))
            }
            Target::Dead(number) => {
                let index = pick(number, self.dead.len())?;
                Some(Found::Dead(self.dead[index]))
            }
            Target::Foreign => foreign_span().map(Found::Foreign),
        }
    }

    /// A span in use, by any number.
    pub(crate) fn live_at(&self, number: u32) -> Option<Live> {
        match self.live.len() {
            0 => None,
            count => Some(self.live[number as usize % count]),
        }
    }

    /// The span in use whose pages these are.
    fn live_index(&self, range: PageRange) -> Option<usize> {
        self.live.iter().position(|live| live.range.covers(range))
    }

    /// Takes the calls that the last operation made, and counts them.
    fn calls(&mut self) -> Vec<Call> {
        let calls = self.fake.take_log();
        for call in &calls {
            match call {
                Call::Used { .. } => self.tally.used += 1,
                Call::Unused { .. } => self.tally.unused += 1,
                Call::Zero(_) => self.tally.zero += 1,
                Call::Grow { .. } => {}
            }
        }
        calls
    }

    /// Fails if the last operation called a hook.
    fn silent(&mut self, verb: &str) -> Result<(), Differs> {
        let calls = self.calls();
        ensure(calls.is_empty(), || {
            format!("{verb} called hooks: {calls:?}")
        })
    }

    /// Whether fewer slots are vacant than `needed`, which allows a `NoSlot`.
    fn lacks_slots(&self, needed: u32) -> bool {
        self.slots - self.model.counts().spans < needed
    }

    /// The owner of these pages writes to all of them.
    fn stamp(&mut self, range: PageRange) {
        self.last_stamp += 1;
        self.fake.write(range, self.last_stamp);
        for page in range.pages() {
            self.stamps[page.number() as usize] = self.last_stamp;
        }
    }

    /// Frees everything in use, which must succeed however few slots there are,
    /// releases it, and takes every region in one piece.
    pub(crate) fn finish(&mut self) -> Result<(), Differs> {
        let mut by_handle = true;
        while let Some(live) = self.live.last().copied() {
            let last = self.live.len() as u32 - 1;
            let outcome = match live.handle {
                Some(_) if by_handle => self.free(Target::Live(last))?,
                _ => {
                    let address = self.model.window().address_of(live.range.start());
                    self.free_at(address, live.range.count().get())?
                }
            };
            ensure(outcome == Outcome::Done, || {
                format!("{:?} is not freed: {outcome:?}", live.range)
            })?;
            by_handle = !by_handle;
        }
        self.fake.recover();
        self.release(u64::MAX, u32::MAX)?;
        let regions = self.model.runs();
        ensure(regions.iter().all(|run| run.cell.is_free()), || {
            "something is still in use".into()
        })?;
        for region in regions {
            let address = self.model.window().address_of(region.range.start());
            let pages = region.range.count().get();
            let outcome = self.alloc_at(address, pages)?;
            ensure(outcome == Outcome::Done || self.lacks_slots(2), || {
                format!("{:?} is not one piece: {outcome:?}", region.range)
            })?;
        }
        Ok(())
    }
}

/// Fails with `message` unless `holds`.
fn ensure(holds: bool, message: impl FnOnce() -> Differs) -> Result<(), Differs> {
    if holds { Ok(()) } else { Err(message()) }
}

/// A handle that a heap made that is none of the tested ones.
fn foreign_span() -> Option<Span> {
    let setup = Setup::plain(4, Residency::Resident);
    let mut books = setup.books();
    let mut heap = PageHeap::make(setup.window(), books.metadata(), setup.fake()).ok()?;
    Heap::add_region(&mut heap, range(0, 4), Residency::Resident).ok()?;
    heap.alloc(spanheap::PageCount::new(1)).ok()
}

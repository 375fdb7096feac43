//! Hooks that do to the heap whatever a kernel might do at that moment, at
//! random.
//!
//! While a hook runs, what it works on is detached: idle, and nobody's. The
//! hook here allocates, frees, cuts, grows, shrinks and releases on the heap that
//! called it, fails now and then, and so do the calls around it. No model can
//! follow that, so owners watch over their pages: nobody is handed a page that
//! another owns, what one has written is still there when one frees it, and in
//! the end everything is one piece again.

mod model;

use std::sync::{Arc, Mutex};

use model::{Books, PAGE, Setup, cases, range};
use spanheap::backing::fake::{Call, FakeBacking, Reuse};
use spanheap::{
    AllocAtError, AllocError, Budget, FreeError, LockedHeap, PageCount, PageRange, Request,
    Residency, ResizeError, Span, SpanState, Stats,
};

type Shared = LockedHeap<'static, FakeBacking>;

/// Numbers that look random, the same at every run.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as u32 % sides
    }
}

/// Owners of pages, whoever asked for them.
#[derive(Default)]
struct Owners {
    spans: Vec<(Span, u64)>,
    last_stamp: u64,
    /// How often something was done, and how often refused.
    done: u32,
    refused: u32,
}

/// One heap, its fake, and who owns what.
#[derive(Clone)]
struct Town {
    heap: &'static Shared,
    fake: FakeBacking,
    owners: Arc<Mutex<Owners>>,
    /// The counters before the operation that is going on, until a hook has
    /// changed them.
    before: Arc<Mutex<Option<Stats>>>,
    pages: u32,
}

impl Town {
    /// A heap of two regions of so many pages each, both kinds of residency.
    fn new(physical: u64, slots: u32) -> Self {
        let pages = 48;
        let setup = Setup {
            physical,
            huge: 8 * PAGE,
            slots,
            reuse: Reuse::Zeroes,
            ..Setup::plain(2 * pages, Residency::Released)
        };
        let books: &'static mut Books = Box::leak(Box::new(setup.books()));
        let fake = setup.fake();
        let heap = LockedHeap::new(setup.window(), books.metadata(), fake.clone());
        let heap = Box::leak(Box::new(heap.expect("a heap")));
        for (start, residency) in [(0, Residency::Resident), (pages, Residency::Released)] {
            let region = range(start, start + pages);
            fake.add(region, residency);
            // SAFETY: nobody owns the pages of a fake; they are entries of a vector.
            unsafe { heap.add_region(region, residency) }.expect("a region");
        }
        Self {
            heap,
            fake,
            owners: Arc::default(),
            before: Arc::default(),
            pages,
        }
    }

    /// A new owner writes to its pages, which nobody else may own.
    fn move_in(&self, span: Span) {
        let mut owners = self.owners.lock().expect("owners");
        for (other, _) in &owners.spans {
            let shared = other.range().intersection(span.range());
            assert_eq!(shared, None, "{:?} has an owner", span.range());
        }
        owners.last_stamp += 1;
        let stamp = owners.last_stamp;
        self.fake.write(span.range(), stamp);
        owners.spans.push((span, stamp));
        owners.done += 1;
    }

    /// An owner finds what it has written, and leaves.
    fn move_out(&self, dice: &mut Dice) -> Option<(Span, u64)> {
        let mut owners = self.owners.lock().expect("owners");
        if owners.spans.is_empty() {
            return None;
        }
        let index = dice.roll(owners.spans.len() as u32) as usize;
        let (span, stamp) = owners.spans.swap_remove(index);
        for page in span.range().pages() {
            assert_eq!(self.fake.read(page), Some(stamp), "{page:?} of {span:?}");
        }
        Some((span, stamp))
    }

    /// The owner of part of a span that was cut or not resized stays.
    fn stay(&self, span: Span, stamp: u64) {
        self.fake.write(span.range(), stamp);
        self.owners
            .lock()
            .expect("owners")
            .spans
            .push((span, stamp));
    }

    fn refuse(&self) {
        self.owners.lock().expect("owners").refused += 1;
    }

    /// Does one thing to the heap, whatever the dice say. Only errors that are
    /// nobody's fault may come back.
    fn act(&self, dice: &mut Dice) {
        let pages = PageCount::new(1 + dice.roll(6));
        match dice.roll(8) {
            0 | 1 => {
                let (request, zeroed) = Self::request(dice, pages);
                match self.heap.alloc(request) {
                    Ok(span) => {
                        let is_zero = |page| self.fake.read(page) == Some(0);
                        assert!(!zeroed || span.range().pages().all(is_zero), "{span:?}");
                        self.move_in(span);
                    }
                    Err(AllocError::NoRun | AllocError::NoSlot | AllocError::Refused(_)) => {
                        self.refuse();
                    }
                    Err(error) => panic!("alloc: {error:?}"),
                }
            }
            2 => {
                let page = spanheap::Page::new(dice.roll(2 * self.pages));
                let address = self.heap.window().address_of(page);
                match self.heap.alloc_at(address, pages) {
                    Ok(span) => self.move_in(span),
                    Err(AllocAtError::ZeroPages | AllocAtError::Unaligned) => panic!("alloc_at"),
                    Err(_) => self.refuse(),
                }
            }
            3 | 4 => {
                if let Some((span, _)) = self.move_out(dice) {
                    self.heap.free(span).expect("an owner frees");
                }
            }
            5 => {
                if let Some((span, stamp)) = self.move_out(dice) {
                    self.cut(dice, span, stamp);
                }
            }
            6 => {
                if let Some((span, stamp)) = self.move_out(dice) {
                    let more = PageCount::new(span.count().get() + pages.get());
                    match self.heap.grow(span, more) {
                        Ok(span) => self.stay(span, stamp),
                        Err(
                            ResizeError::NoRoom | ResizeError::NoSlot | ResizeError::Refused(_),
                        ) => self.stay(span, stamp),
                        Err(error) => panic!("grow: {error:?}"),
                    }
                }
            }
            _ => {
                let bytes = u64::from(dice.roll(2 * self.pages)) * PAGE;
                let released = self
                    .heap
                    .release(Budget::bytes(bytes).calls(1 + dice.roll(3)));
                assert!(u64::from(released.pages.get()) * PAGE <= bytes);
            }
        }
    }

    /// A request, and whether the pages must be zero.
    fn request(dice: &mut Dice, pages: PageCount) -> (Request, bool) {
        let request = Request::pages(pages);
        match dice.roll(3) {
            0 => (request.aligned(PAGE << dice.roll(4)), false),
            1 => (request.zeroed(), true),
            _ => (request, false),
        }
    }

    fn cut(&self, dice: &mut Dice, span: Span, stamp: u64) {
        let range = span.range();
        let start = range.start().number() + dice.roll(range.count().get());
        let end = start + 1 + dice.roll(range.end().number() - start);
        match self.heap.free_part(span, model::range(start, end)) {
            Ok(rest) => {
                for span in [rest.low, rest.high].into_iter().flatten() {
                    self.stay(span, stamp);
                }
            }
            Err(FreeError::NoSlot) => self.stay(span, stamp),
            Err(error) => panic!("free_part: {error:?}"),
        }
    }

    /// What must hold at any moment, inside of a hook as well.
    fn look(&self) {
        let spans = || self.heap.spans().collect::<Vec<_>>();
        assert_eq!(self.heap.check(), Ok(()), "{:?}", spans());
        let stats = self.heap.stats();
        assert_eq!(stats.sys.get(), 2 * self.pages);
        assert_eq!(stats.idle.get() + stats.in_use.get(), stats.sys.get());
        assert!(stats.released <= stats.idle && stats.spans <= stats.slots);
        let _ = format!("{stats}");
    }

    /// What must hold in the first hook of an operation: what it works on counts
    /// as it did before.
    fn look_detached(&self, call: &Call) {
        self.look();
        let before = self.before.lock().expect("counters").take();
        if let (Some(before), Call::Used { .. } | Call::Unused { .. }) = (before, call) {
            let counts = |stats: Stats| (stats.in_use, stats.idle, stats.released);
            assert_eq!(counts(self.heap.stats()), counts(before), "in {call:?}");
        }
    }

    /// What must hold when no verb is on its way.
    fn look_at_rest(&self) {
        self.look();
        let owners = self.owners.lock().expect("owners");
        let owned: u32 = owners
            .spans
            .iter()
            .map(|(span, _)| span.count().get())
            .sum();
        assert_eq!(self.heap.stats().in_use.get(), owned);
        assert!(
            self.heap
                .spans()
                .all(|span| span.state != SpanState::Detached)
        );
        for span in self.heap.spans() {
            let is_zero = |page| self.fake.would_read_zero(page);
            let is_true = span.needs_zero || span.range.pages().all(is_zero);
            assert!(is_true, "{span:?} is not zero");
        }
        let committed = (0..2 * self.pages)
            .filter(|&page| self.fake.is_committed(spanheap::Page::new(page)))
            .count() as u32;
        assert_eq!(self.heap.stats().resident().get(), committed);
        *self.before.lock().expect("counters") = Some(self.heap.stats());
    }

    /// Everyone leaves; then each region is one piece.
    fn close(&self) -> (u32, u32) {
        self.fake.no_callback();
        self.fake.recover();
        self.look_at_rest();
        let mut dice = Dice(1);
        while let Some((span, _)) = self.move_out(&mut dice) {
            self.heap.free(span).expect("an owner frees");
        }
        let _ = self.heap.release_all();
        self.look_at_rest();
        let spans: Vec<PageRange> = self.heap.spans().map(|span| span.range).collect();
        assert_eq!(
            spans,
            [range(0, self.pages), range(self.pages, 2 * self.pages)]
        );
        let owners = self.owners.lock().expect("owners");
        (owners.done, owners.refused)
    }
}

/// Lets every hook do one more thing to the heap that called it.
fn with_busy_hooks(physical: u64, slots: u32, seed: u64) -> (u32, u32) {
    let town = Town::new(physical, slots);
    let (inside, mut dice) = (town.clone(), Dice(seed | 1));
    town.fake.on_call(move |call| {
        inside.look_detached(call);
        for _ in 0..=dice.roll(3) {
            inside.act(&mut dice);
            inside.look();
        }
    });
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..400 {
        if dice.roll(12) == 0 {
            town.fake.fail_nth(dice.roll(3), dice.roll(3) as usize);
        }
        town.act(&mut dice);
        town.look_at_rest();
    }
    town.close()
}

#[test]
fn a_hook_may_call_the_heap_that_called_it() {
    let (mut done, mut refused) = (0, 0);
    for physical in [PAGE / 2, PAGE, 2 * PAGE, 8 * PAGE] {
        for seed in 1..=cases(12).into() {
            let (more, less) = with_busy_hooks(physical, 96, seed);
            (done, refused) = (done + more, refused + less);
        }
    }
    assert!(done > 1000 && refused > 0, "{done} done, {refused} refused");
}

#[test]
fn a_hook_may_call_a_heap_that_is_short_of_slots() {
    for physical in [PAGE, 2 * PAGE, 8 * PAGE] {
        for slots in 2..=12 {
            for seed in 1..=cases(2).into() {
                with_busy_hooks(physical, slots, seed << 4 | u64::from(slots));
            }
        }
    }
}

//! The shared heap against the naive account of its suite, over the fake backing.
//!
//! One thread that says it is another CPU whenever the input wants, every verb, wrong
//! frees, refusals of the backing and a limit. A page that is handed out is free, is
//! backed, and holds zeroes if that was asked for; what an owner wrote stays; nothing
//! is refused that the account says is there, as far as the heap promises it; and in
//! the end everything is one piece again.

use spanheap::backing::fake::FakeBacking as Fake;
use spanheap::{AllocError, Budget, Class, FreeError, PageRange, Request};

use crate::input::Input;
use crate::shared_suite::common::{Books, CHUNK, Heap, PAGE, become_cpu, count, range};
use crate::shared_suite::naive::{Naive, verify, write};

const CPUS: usize = 3;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let physical = input.pick(&[PAGE, PAGE / 2, 4 * PAGE, 64 * PAGE, 512 * PAGE]);
    let step = (physical / PAGE).max(1) as u32;
    // Whole physical pages, but chunks that are cut at both ends.
    let start = input.below(2 * CHUNK).next_multiple_of(step);
    let pages = input.up_to(3 * CHUNK).next_multiple_of(step);
    let mut books = Books::new(physical, start, pages, CPUS);
    let (heap, fake) = books.heap(range(start, pages));
    let mut pair = Pair {
        heap,
        fake,
        naive: Naive::new(range(start, pages)),
        pages,
        physical,
        is_limited: false,
    };
    become_cpu(0);
    while input.has_more() {
        pair.step(&mut input);
        pair.check();
    }
    pair.finish();
}

struct Pair<'m> {
    heap: Heap<'m>,
    fake: Fake,
    naive: Naive,
    pages: u32,
    physical: u64,
    is_limited: bool,
}

fn length(input: &mut Input<'_>) -> u32 {
    match input.below(10) {
        0..=4 => 1,
        5..=7 => 2 + input.below(15),
        8 => 17 + input.below(100),
        _ => input.up_to(3 * CHUNK),
    }
}

fn class(input: &mut Input<'_>) -> Class {
    input.pick(&[Class::Movable, Class::Unmovable, Class::Reclaimable])
}

impl Pair<'_> {
    fn step(&mut self, input: &mut Input<'_>) {
        let heap = &self.heap;
        match input.below(40) {
            0..=11 => self.alloc(input),
            // A row of them, to fill what there is.
            12..=13 => (0..input.up_to(64)).for_each(|_| self.single(Class::Movable)),
            14 => self.try_alloc(class(input)),
            15..=22 => self.free(input),
            // And to empty it.
            23 => (0..input.up_to(64)).for_each(|_| self.free(input)),
            24..=25 => self.free_part(input),
            26 => self.misuse(input),
            27..=28 => drop(heap.release(budget(input))),
            29..=30 => drop(heap.release_inside(budget(input))),
            31 => heap.offline(input.below(CPUS as u32 + 1) as usize),
            32 => heap.gather(),
            33 => {
                self.is_limited = input.any();
                let pages = u64::from(input.below(self.pages + 1));
                heap.set_limit(match self.is_limited {
                    true => pages * PAGE,
                    false => u64::MAX,
                });
            }
            34 => {
                let nth = input.below(4);
                self.fake.fail_nth(nth, input.below(3) as usize);
            }
            35 => self.alloc_at(input),
            // One CPU more than there are.
            _ => become_cpu(input.below(CPUS as u32 + 1) as usize),
        }
    }

    fn alloc(&mut self, input: &mut Input<'_>) {
        let pages = length(input);
        let request = Request::pages(count(pages)).class(class(input));
        let kind = input.below(16);
        let zeroed = kind & 3 == 3;
        let request = if zeroed { request.zeroed() } else { request };
        let request = match kind {
            4 => request.aligned(PAGE << input.below(12)),
            5 => {
                let from = self.heap.window().address_of(self.naive.region.start());
                let low = from + u64::from(input.below(self.pages)) * PAGE;
                request.within(low..low + u64::from(input.up_to(self.pages)) * PAGE)
            }
            _ => return self.ask(request, pages, zeroed, self.naive.could(pages)),
        };
        self.ask(request, pages, zeroed, false);
    }

    fn single(&mut self, class: Class) {
        let request = Request::pages(count(1)).class(class);
        self.ask(request, 1, false, self.naive.could(1));
    }

    /// Asks for pages, which are there if nobody fails.
    fn ask(&mut self, request: Request, pages: u32, zeroed: bool, are_there: bool) {
        let had_failed = self.fake.has_failed();
        let got = self.heap.alloc(request.clone());
        let has_failed = self.fake.has_failed() && !had_failed;
        match got {
            Ok(got) => {
                assert_eq!(got.count().get(), pages);
                self.own(got, zeroed);
            }
            Err(AllocError::NoRun) => assert!(!are_there || has_failed, "{request:?} is refused"),
            Err(AllocError::Limit) => assert!(self.is_limited),
            Err(AllocError::Refused(_)) => assert!(has_failed),
            Err(other) => panic!("{request:?}: {other}"),
        }
    }

    /// Takes what was handed out, and writes to it.
    fn own(&mut self, got: PageRange, zeroed: bool) {
        self.naive.hand_out(got);
        for page in got.pages().filter(|_| zeroed) {
            assert_eq!(self.fake.read(page), Some(0), "{got:?}");
        }
        write(&self.fake, got);
    }

    fn try_alloc(&mut self, class: Class) {
        if let Ok(got) = self.heap.try_alloc(class) {
            assert_eq!(got.count().get(), 1);
            self.own(got, false);
        }
    }

    fn alloc_at(&mut self, input: &mut Input<'_>) {
        let start = self.naive.region.start().number() + input.below(self.pages);
        let pages = length(input);
        let address = self.heap.window().address_of(spanheap::Page::new(start));
        if let Ok(()) = self.heap.alloc_at(address, count(pages)).map(drop) {
            self.own(range(start, pages), false);
        }
    }

    fn free(&mut self, input: &mut Input<'_>) {
        let Some(at) = input.index(&self.naive.live) else {
            return;
        };
        let range = self.naive.live.swap_remove(at);
        verify(&self.fake, range);
        self.naive.take_back(range);
        if input.any() {
            self.heap.free(range).expect("it is in use");
        } else {
            let address = self.heap.window().address_of(range.start());
            let freed = self.heap.free_at(address, range.count());
            freed.expect("it is in use");
        }
        assert_eq!(self.heap.free(range), Err(FreeError::NotInUse), "{range:?}");
    }

    fn free_part(&mut self, input: &mut Input<'_>) {
        let Some(at) = input.index(&self.naive.live) else {
            return;
        };
        let whole = self.naive.live.swap_remove(at);
        verify(&self.fake, whole);
        let (start, pages) = (whole.start().number(), whole.count().get());
        let from = input.below(pages);
        let to = from + input.up_to(pages - from);
        let part = range(start + from, to - from);
        self.heap.free_part(part).expect("a part of it");
        self.naive.take_back(part);
        for (from, to) in [(0, from), (to, pages)] {
            if from < to {
                self.naive.live.push(range(start + from, to - from));
            }
        }
    }

    /// Frees what was not handed out so.
    fn misuse(&mut self, input: &mut Input<'_>) {
        let Some(at) = input.index(&self.naive.live) else {
            return;
        };
        let live = self.naive.live[at];
        let (start, pages) = (live.start().number(), live.count().get());
        let wrong = match input.below(4) {
            0 if pages > 1 => range(start, pages - 1),
            1 if pages > 1 => range(start + 1, input.up_to(pages - 1)),
            2 => range(start, pages + 1),
            _ => range(start, pages + input.up_to(600)),
        };
        let freed = self.heap.free(wrong);
        freed.expect_err("that was not handed out");
    }

    fn check(&self) {
        self.heap.check().expect("sound books");
        let stats = self.heap.stats();
        assert_eq!(stats.in_use.get(), self.naive.in_use());
        assert_eq!(stats.idle.get(), self.pages - self.naive.in_use());
        if self.physical <= PAGE {
            let region = self.naive.region.pages();
            let released = region.filter(|page| !self.fake.is_committed(*page)).count();
            assert_eq!(stats.released.get() as usize, released);
        }
    }

    fn finish(mut self) {
        self.fake.recover();
        self.heap.set_limit(u64::MAX);
        for range in std::mem::take(&mut self.naive.live) {
            verify(&self.fake, range);
            self.naive.take_back(range);
            self.heap.free(range).expect("it is in use");
        }
        let _ = self.heap.release_all();
        self.check();
        if self.physical <= PAGE {
            assert_eq!(self.heap.stats().released.get(), self.pages);
        }
        let all = self.heap.alloc(count(self.pages));
        self.own(all.expect("one piece again"), false);
        self.check();
    }
}

fn budget(input: &mut Input<'_>) -> Budget {
    let pages = match input.below(4) {
        0 => u64::from(u32::MAX),
        1 => u64::from(input.below(8)),
        _ => u64::from(input.below(3 * CHUNK)),
    };
    Budget::bytes(pages * PAGE).calls(input.pick(&[u32::MAX, 1, 2, 0]))
}

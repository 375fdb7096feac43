//! Random sequences of every verb, from CPUs in turn, against a naive account: a
//! cell for each page, and every question answered by looking at all of them.

use spanheap::backing::fake::FakeBacking as Fake;
use spanheap::{AllocError, Budget, Class, FreeError, Page, PageCount, PageRange, Request};

use crate::common::{CHUNK, Heap, PAGE, Random, become_cpu, count, heap, range};

/// What is known of the pages by looking at what was asked and answered.
struct Naive {
    /// Of each page in use, the number of what it was handed out with.
    owner: Vec<Option<u64>>,
    live: Vec<PageRange>,
    next: u64,
    region: PageRange,
}

impl Naive {
    fn new(region: PageRange) -> Self {
        Self {
            owner: vec![None; region.end().number() as usize],
            live: Vec::new(),
            next: 1,
            region,
        }
    }

    fn in_use(&self) -> u32 {
        self.owner.iter().flatten().count() as u32
    }

    fn is_free(&self, page: u32) -> bool {
        self.region.contains(Page::new(page)) && self.owner[page as usize].is_none()
    }

    /// Whether `pages` in a row are free within one of these aligned pieces.
    fn has_run(&self, pages: u32, within: u32) -> bool {
        let end = self.region.end().number();
        (0..end).step_by(within as usize).any(|start| {
            let mut run = 0;
            (start..(start + within).min(end)).any(|page| {
                run = if self.is_free(page) { run + 1 } else { 0 };
                run >= pages
            })
        })
    }

    /// Whether `pages` in a row are free, all in chunks that are free as a whole.
    fn has_long_run(&self, pages: u32) -> bool {
        let end = self.region.end().number();
        let mut run = 0;
        (0..end / CHUNK).any(|chunk| {
            let whole = (chunk * CHUNK..(chunk + 1) * CHUNK).all(|page| self.is_free(page));
            run = if whole { run + CHUNK } else { 0 };
            run >= pages
        })
    }

    fn hand_out(&mut self, range: PageRange) {
        for page in range.pages() {
            assert!(self.is_free(page.number()), "{range:?} is not free");
            self.owner[page.number() as usize] = Some(self.next);
        }
        self.next += 1;
        self.live.push(range);
    }

    fn take_back(&mut self, range: PageRange) {
        for page in range.pages() {
            self.owner[page.number() as usize] = None;
        }
    }
}

fn write(fake: &Fake, range: PageRange) {
    for page in range.pages() {
        fake.write(
            PageRange::new(page, count(1)).expect("a page"),
            0xA110_0000 + u64::from(page.number()),
        );
    }
}

fn verify(fake: &Fake, range: PageRange) {
    for page in range.pages() {
        let expected = 0xA110_0000 + u64::from(page.number());
        assert_eq!(fake.read(page), Some(expected), "{page:?}");
    }
}

fn size(random: &mut Random) -> u32 {
    match random.below(10) {
        0..=4 => 1,
        5..=7 => 2 + random.below(15),
        8 => 17 + random.below(100),
        _ => 1 + random.below(1200),
    }
}

fn alloc(heap: &Heap, fake: &Fake, naive: &mut Naive, random: &mut Random) {
    let pages = size(random);
    let class = [Class::Unmovable, Class::Movable, Class::Reclaimable][random.below(3) as usize];
    let zeroed = random.below(5) == 0;
    let request = Request::pages(count(pages)).class(class);
    let request = if zeroed { request.zeroed() } else { request };
    let align = random.below(8) == 0;
    let request = if align {
        request.aligned(PAGE << random.below(10))
    } else {
        request
    };
    match heap.alloc(request.clone()) {
        Ok(range) => {
            assert_eq!(range.count().get(), pages);
            naive.hand_out(range);
            for page in range.pages().filter(|_| zeroed) {
                assert_eq!(fake.read(page), Some(0), "{request:?}");
            }
            write(fake, range);
        }
        Err(AllocError::NoRun) if align => {}
        Err(AllocError::NoRun) => {
            let could = match pages {
                1 => naive.has_run(1, CHUNK),
                2..=16 => naive.has_run(pages, 64),
                _ => naive.has_long_run(pages),
            };
            assert!(!could, "{pages} pages are refused");
        }
        Err(other) => panic!("{other}"),
    }
}

fn free(heap: &Heap, fake: &Fake, naive: &mut Naive, random: &mut Random) {
    if naive.live.is_empty() {
        return;
    }
    let at = random.below(naive.live.len() as u32) as usize;
    let range = naive.live.swap_remove(at);
    verify(fake, range);
    naive.take_back(range);
    if random.below(2) == 0 {
        heap.free(range).expect("it is in use");
    } else {
        let address = heap.window().address_of(range.start());
        heap.free_at(address, range.count()).expect("it is in use");
    }
    assert_eq!(heap.free(range), Err(FreeError::NotInUse), "{range:?}");
}

/// Frees a part of something, then what remains of it, as whole pieces.
fn free_part(heap: &Heap, fake: &Fake, naive: &mut Naive, random: &mut Random) {
    let Some(at) = naive.live.iter().position(|live| live.count().get() > 1) else {
        return;
    };
    let whole = naive.live.swap_remove(at);
    verify(fake, whole);
    let pages = whole.count().get();
    let from = random.below(pages);
    let to = from + 1 + random.below(pages - from);
    let start = whole.start().number();
    let part = range(start + from, to - from);
    heap.free_part(part).expect("a part of it");
    naive.take_back(part);
    for (from, to) in [(0, from), (to, pages)] {
        if from < to {
            naive.live.push(range(start + from, to - from));
        }
    }
}

fn misuse(heap: &Heap, naive: &Naive, random: &mut Random) {
    if naive.live.is_empty() {
        return;
    }
    let live = naive.live[random.below(naive.live.len() as u32) as usize];
    let (start, pages) = (live.start().number(), live.count().get());
    let wrong = match random.below(4) {
        0 if pages > 1 => range(start, pages - 1),
        1 if pages > 1 => range(start + 1, 1 + random.below(pages - 1)),
        2 => range(start, pages + 1),
        _ => range(start, pages + 1 + random.below(40)),
    };
    let end = wrong.end().number();
    if end <= naive.region.end().number() {
        heap.free(wrong).expect_err("that was not handed out");
    }
}

fn run(seed: u64, physical: u64, start: u32, pages: u32, steps: u32) {
    let (heap, fake) = heap(physical, start, pages, 3);
    let mut naive = Naive::new(range(start, pages));
    let mut random = Random(seed);
    // Fills up, then empties, several times over.
    for step in 0..steps {
        become_cpu(random.below(4) as usize);
        let filling = (step / (steps / 6).max(1)).is_multiple_of(2);
        match random.below(20) {
            0..=7 => alloc(&heap, &fake, &mut naive, &mut random),
            8..=11 if filling => alloc(&heap, &fake, &mut naive, &mut random),
            8..=14 => free(&heap, &fake, &mut naive, &mut random),
            15 => free_part(&heap, &fake, &mut naive, &mut random),
            16 => misuse(&heap, &naive, &mut random),
            17 => {
                let bytes = u64::from(random.below(2000)) * PAGE;
                let _ = heap.release(Budget::bytes(bytes));
            }
            18 => {
                let bytes = u64::from(random.below(200)) * PAGE;
                let _ = heap.release_inside(Budget::bytes(bytes));
            }
            _ => heap.offline(random.below(3) as usize),
        }
        let stats = heap.stats();
        assert_eq!(stats.in_use.get(), naive.in_use(), "step {step}");
        assert_eq!(stats.idle.get(), pages - naive.in_use());
        let released = range(start, pages)
            .pages()
            .filter(|page| !fake.is_committed(*page))
            .count() as u32;
        if physical == PAGE {
            assert_eq!(stats.released.get(), released, "step {step}");
        }
        heap.check()
            .unwrap_or_else(|wrong| panic!("seed {seed}, step {step}: {wrong}"));
    }
    for range in std::mem::take(&mut naive.live) {
        verify(&fake, range);
        heap.free(range).expect("it is in use");
    }
    let _ = heap.release_all();
    let stats = heap.stats();
    assert_eq!(stats.in_use, PageCount::ZERO);
    assert_eq!(stats.released.get() / 4, pages / 4);
    let all = heap.alloc(count(pages)).expect("one piece again");
    heap.free(all).expect("it is in use");
    heap.check().expect("sound books");
}

#[test]
fn every_answer_is_what_a_naive_account_says() {
    for seed in 1..=12 {
        run(seed * 0x9e37_79b9, PAGE, 512, 2048, 3000);
    }
}

#[test]
fn regions_that_are_no_whole_chunks_are_used_to_the_last_page() {
    for seed in 1..=6 {
        run(seed * 0x7f4a_7c15, PAGE, 300, 1700, 3000);
        run(seed * 0x1f4a_7c15, PAGE, 3, 400, 2000);
    }
}

#[test]
fn physical_pages_may_be_larger_than_pages() {
    for seed in 1..=6 {
        run(seed * 0x2545_f491, 4 * PAGE, 512, 2048, 2500);
    }
}

#[test]
fn physical_pages_may_be_huge_pages() {
    for seed in 1..=4 {
        run(seed * 0x4f6c_dd1d, 2 << 20, 512, 2048, 2500);
    }
}

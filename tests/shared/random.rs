//! Random sequences of every verb, from CPUs in turn, against the naive account.

use spanheap::backing::fake::FakeBacking as Fake;
use spanheap::{AllocError, Budget, Class, FreeError, PageCount, Request};

use crate::common::{Heap, PAGE, Random, become_cpu, count, heap, range};
use crate::naive::{Naive, verify, write};

fn size(random: &mut Random) -> u32 {
    match random.below(10) {
        0..=4 => 1,
        5..=7 => 2 + random.below(15),
        8 => 17 + random.below(100),
        _ => 1 + random.below(1200),
    }
}

fn alloc(heap: &Heap<'_>, fake: &Fake, naive: &mut Naive, random: &mut Random) {
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
        Err(AllocError::NoRun) => assert!(!naive.could(pages), "{pages} pages are refused"),
        Err(other) => panic!("{other}"),
    }
}

fn free(heap: &Heap<'_>, fake: &Fake, naive: &mut Naive, random: &mut Random) {
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
fn free_part(heap: &Heap<'_>, fake: &Fake, naive: &mut Naive, random: &mut Random) {
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

fn misuse(heap: &Heap<'_>, naive: &Naive, random: &mut Random) {
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

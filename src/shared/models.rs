//! Models of the lock-free tier: every interleaving of a few steps with up to two
//! preemptions, and every value that weak memory may show them.
//!
//! Each model sets up a chunk of two blocks, lets two threads take the steps
//! that were hard to get right, and then counts: no page has two owners, none is
//! lost, and nothing that is free stays unlisted. What a page holds is loom's,
//! too, so that an owner who does not see what the last one wrote is found.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib shared::models`

mod released;
mod reopened;

use std::boxed::Box;
use std::vec::Vec;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::atomic::{AtomicU64, Ordering};
use super::front::{Bits, Front, Place, front_words};
use super::hints::{Lists, words_for};
use super::state::State;
use super::word::{BLOCK, BLOCKS, CHUNK};

/// Two CPUs, two groups: the places 0 and 2 are of the first group.
const CPUS: usize = 2;

/// A front tier of one chunk, and what two of its pages hold.
struct Model {
    front: Front<'static>,
    content: [UnsafeCell<u32>; 2],
}

// SAFETY: loom itself checks every access to the content.
#[expect(unsafe_code, reason = "loom's cells are what the models are about")]
unsafe impl Sync for Model {}

impl Model {
    /// The chunk has these pages free, and this state.
    fn new(free: [u64; BLOCKS], state: State) -> Arc<Self> {
        let words = front_words(CHUNK, CPUS).expect("a size");
        let memory: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
        // As long as the model runs, and no model is long.
        let memory: &'static [AtomicU64] = Box::leak(memory.into_boxed_slice());
        let front = Front::new(memory, CHUNK, CPUS).expect("enough words");
        for (word, free) in front.words(Bits::Free, 0).iter().zip(free) {
            word.store(free, Ordering::SeqCst);
        }
        front.states[0].store(state.0, Ordering::SeqCst);
        Arc::new(Self {
            front,
            content: [UnsafeCell::new(0), UnsafeCell::new(0)],
        })
    }

    /// The same, owned by the first CPU, which has claimed these pages.
    fn owned(free: [u64; BLOCKS], claimed: u64) -> Arc<Self> {
        let model = Self::new(free, State::TREAP.opened(0, 0));
        model.front.words(Bits::Claimed, 0)[0].store(claimed, Ordering::SeqCst);
        model.place(0).block.store(1, Ordering::SeqCst);
        model
    }

    fn place(&self, cpu: usize) -> Place<'static> {
        self.front.place(cpu, 0).expect("a CPU")
    }

    /// Takes a page as an allocation does, from whatever the CPU has claimed or
    /// finds in the chunk.
    fn take(&self, place: Place<'static>) -> Option<u32> {
        loop {
            if let Some(page) = self.front.pop(place) {
                return Some(page);
            }
            if !self.front.refill(place) {
                return None;
            }
        }
    }

    /// Returns the chunk, if it is free as a whole.
    fn return_it(&self) {
        if self.front.take_whole(0) {
            self.front.close(0);
        }
    }

    /// Returns whether all pages are free in the chunk, or all went with it.
    fn is_one_s(&self) -> bool {
        let left = if self.front.state(0).is_front() {
            CHUNK as usize
        } else {
            0
        };
        self.free_pages().len() == left
    }

    fn write(&self, page: u32) {
        // SAFETY: loom fails the model if anybody else may be here.
        #[expect(unsafe_code, reason = "see above")]
        self.content[page as usize].with_mut(|content| unsafe { *content += 1 });
    }

    /// Every page that is free or claimed; panics if one is both.
    fn free_pages(&self) -> Vec<u32> {
        let mut pages = Vec::new();
        for bits in [Bits::Free, Bits::Claimed] {
            for (number, word) in (0_u32..).zip(self.front.words(bits, 0)) {
                let word = word.load(Ordering::SeqCst);
                pages.extend(
                    (0..BLOCK)
                        .filter(|bit| word >> bit & 1 == 1)
                        .map(|bit| number * BLOCK + bit),
                );
            }
        }
        pages.sort_unstable();
        let count = pages.len();
        pages.dedup();
        assert_eq!(pages.len(), count, "a page is free twice");
        pages
    }
}

fn quiet() -> State {
    State::TREAP.opened(0, 0).left()
}

fn ready() -> State {
    quiet().listed().expect("nobody owns it")
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // More by LOOM_MAX_PREEMPTIONS: three take some minutes.
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

#[test]
fn whoever_gets_a_page_sees_what_its_last_owner_wrote() {
    explore(|| {
        let model = Model::owned([0b1111, 0], 0);
        let place = model.place(0);
        // Two threads of one CPU: one was moved away in between.
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                if let Some(page) = model.take(model.place(0)) {
                    model.write(page);
                    assert_eq!(model.front.free_page(page), Some(Ok(())));
                }
            })
        };
        if let Some(page) = model.take(place) {
            model.write(page);
            assert_eq!(model.front.free_page(page), Some(Ok(())));
        }
        other.join().expect("it did not fail");
        assert_eq!(model.free_pages(), [0, 1, 2, 3]);
    });
}

#[test]
fn a_page_freed_by_another_cpu_is_seen_by_whoever_claims_it() {
    explore(|| {
        let model = Model::owned([0b1_1110, 0], 0);
        let place = model.place(0);
        model.write(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model.write(0);
                assert_eq!(model.front.free_page(0), Some(Ok(())));
            })
        };
        for _ in 0..5 {
            // Two of the pages have a content.
            if let Some(page) = model.take(place).filter(|page| *page < 2) {
                model.write(page);
            }
        }
        other.join().expect("it did not fail");
    });
}

#[test]
fn a_drain_and_an_allocation_neither_lose_nor_double_a_page() {
    explore(|| {
        let model = Model::owned([0b111_1100, 0], 0b11);
        let place = model.place(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.drain(model.place(0)))
        };
        let taken = model.take(place);
        other.join().expect("it did not fail");
        let mut pages = model.free_pages();
        pages.extend(taken);
        pages.sort_unstable();
        assert_eq!(pages, [0, 1, 2, 3, 4, 5, 6]);
        if model.front.state(0).owner().is_none() {
            let claimed = model.front.words(Bits::Claimed, 0).iter();
            assert!(
                claimed
                    .into_iter()
                    .all(|word| word.load(Ordering::SeqCst) == 0)
            );
        }
    });
}

#[test]
fn two_refills_of_one_cpu_lose_no_page() {
    explore(|| {
        let model = Model::owned([0b1111, 0b1111], 0);
        let place = model.place(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.take(model.place(0)))
        };
        let mine = model.take(place);
        let theirs = other.join().expect("it did not fail");
        let mut pages = model.free_pages();
        pages.extend(mine.into_iter().chain(theirs));
        pages.sort_unstable();
        let all = (0..4).chain(BLOCK..BLOCK + 4);
        assert_eq!(pages, all.collect::<Vec<_>>());
    });
}

#[test]
fn a_ready_chunk_is_claimed_by_one_cpu() {
    explore(|| {
        let model = Model::new([u64::MAX, 0], ready());
        model.front.ready(0).set(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.claim_ready(0, model.place(1).id))
        };
        let mine = model.front.claim_ready(0, model.place(0).id);
        let theirs = other.join().expect("it did not fail");
        assert!(mine.is_some() != theirs.is_some(), "{mine:?} {theirs:?}");
        let owner = if mine.is_some() { 0 } else { 1 };
        assert_eq!(model.front.state(0).owner(), Some(model.place(owner).id));
        assert_eq!(model.front.ready(0).first(), None);
    });
}

#[test]
fn a_chunk_is_listed_while_its_stale_hint_is_cleared() {
    explore(|| {
        // One page below what is listed, but a hint says that it is.
        let model = Model::new([(1 << 8) - 2, 0], quiet());
        model.front.ready(0).set(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert_eq!(model.front.free_page(0), Some(Ok(()))))
        };
        let claimed = model.front.claim_ready(0, model.place(1).id);
        other.join().expect("it did not fail");
        if claimed.is_none() {
            assert!(model.front.state(0).is_ready(0));
            assert_eq!(
                model.front.ready(0).first(),
                Some(0),
                "nobody would find it"
            );
        }
    });
}

#[test]
fn a_chunk_that_is_left_while_its_pages_are_freed_is_listed() {
    explore(|| {
        // One page below what is listed, in one block; the free makes it enough.
        let model = Model::owned([(1 << 8) - 2, 0], 0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert_eq!(model.front.free_page(0), Some(Ok(()))))
        };
        model.front.leave(0);
        other.join().expect("it did not fail");
        assert!(model.front.state(0).is_ready(0));
        assert_eq!(model.front.ready(0).first(), Some(0));
    });
}

#[test]
fn the_last_free_of_a_chunk_and_its_return_do_not_miss_each_other() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], quiet());
        model.front.relist(1);
        let other = {
            let model = Arc::clone(&model);
            // Out of the second block: the first is taken whole and put back.
            thread::spawn(move || {
                if let Some(page) = model.front.take_run(2, 0) {
                    assert_eq!(model.front.free_run(page, 2), Some(Ok(())));
                }
            })
        };
        let taken = model.front.take_whole(0);
        other.join().expect("it did not fail");
        if taken {
            assert_eq!(model.free_pages(), []);
        } else {
            assert_eq!(model.free_pages().len(), CHUNK as usize);
            assert_eq!(
                model.front.full().first(),
                Some(0),
                "it would never go back"
            );
            assert!(model.front.state(0).is_ready(0), "nobody would use it");
        }
    });
}

#[test]
fn a_free_that_the_return_of_its_chunk_overtakes_is_a_free() {
    explore(|| {
        let mut free = [u64::MAX; BLOCKS];
        free[0] = 0;
        let model = Model::new(free, quiet());
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.free_page(0))
        };
        // All other pages of the block are freed at once.
        model.front.words(Bits::Free, 0)[0].fetch_or(!1, Ordering::SeqCst);
        model.return_it();
        let freed = other.join().expect("it did not fail");
        assert_eq!(freed, Some(Ok(())));
        assert!(model.is_one_s());
    });
}

#[test]
fn a_second_free_beside_a_return_changes_nothing() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], quiet());
        // Whether it is told to be one is a matter of luck: the page is free.
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let _ = model.front.free_page(0);
            })
        };
        model.return_it();
        other.join().expect("it did not fail");
        assert!(model.is_one_s());
    });
}

#[test]
fn a_chunk_that_cannot_be_taken_whole_is_listed_as_it_was() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], ready());
        model.front.ready(0).set(0);
        model.front.relist(1);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.take_run(2, 0))
        };
        let taken = model.front.take_whole(0);
        let run = other.join().expect("it did not fail");
        assert!(taken != run.is_some());
        assert!(taken || model.front.state(0).is_ready(0));
    });
}

#[test]
fn a_chunk_with_a_claimed_page_does_not_go_back() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], ready());
        model.front.ready(0).set(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.take(model.place(1)))
        };
        let returned = model.front.take_whole(0);
        let page = other.join().expect("it did not fail");
        assert!(returned != page.is_some());
        let left = model.free_pages().len() as u32;
        assert_eq!(left, if returned { 0 } else { CHUNK - 1 });
    });
}

#[test]
fn a_run_and_a_page_of_one_block_do_not_overlap() {
    explore(|| {
        let model = Model::owned([0b1_1111, 0], 0);
        model.front.relist(0);
        let place = model.place(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.take_run(2, 0))
        };
        let page = model.take(place);
        let run = other.join().expect("it did not fail");
        let mut pages = model.free_pages();
        pages.extend(page);
        pages.extend(run.into_iter().flat_map(|first| [first, first + 1]));
        pages.sort_unstable();
        assert_eq!(pages, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_hint_that_is_set_while_another_is_cleared_is_found() {
    explore(|| {
        let lists = lists(2, 128);
        lists.of(1).set(70);
        let other = {
            let lists = Arc::clone(&lists);
            thread::spawn(move || lists.of(1).clear(70))
        };
        lists.of(1).set(71);
        other.join().expect("it did not fail");
        assert_eq!(lists.of(1).first(), Some(71));
        assert_eq!(lists.first_of(0..2), Some(1));
    });
}

#[test]
fn a_hint_is_found_although_others_clear_above_it() {
    explore(|| {
        // Three levels: one clears the second, for it emptied the third, and another the
        // first, for it saw the second empty; and all the while there is a number.
        let lists = lists(1, 64 * 64 + 1);
        lists.of(0).set(70);
        let steps: [fn(&Lists<'_>); 3] = [
            |lists| lists.of(0).clear(70),
            |lists| lists.of(0).set(71),
            |lists| {
                let _ = lists.of(0).first();
            },
        ];
        let threads = steps.map(|step| {
            let lists = Arc::clone(&lists);
            thread::spawn(move || step(&lists))
        });
        for thread in threads {
            thread.join().expect("it did not fail");
        }
        assert_eq!(lists.of(0).first(), Some(71));
        assert_eq!(lists.first_of(0..1), Some(0));
    });
}

#[test]
fn a_set_that_is_found_to_be_empty_while_it_is_filled_is_found() {
    explore(|| {
        let lists = lists(2, 1);
        lists.of(1).set(0);
        lists.of(1).clear(0);
        let looks = {
            let lists = Arc::clone(&lists);
            thread::spawn(move || lists.first_of(0..2))
        };
        lists.of(1).set(0);
        let _ = looks.join().expect("it did not fail");
        assert_eq!(lists.first_of(0..2), Some(1));
    });
}

fn lists(sets: usize, len: u32) -> Arc<Lists<'static>> {
    let words = words_for(sets, len).expect("a size");
    let memory: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
    let mut memory: &'static [AtomicU64] = Box::leak(memory.into_boxed_slice());
    Arc::new(Lists::new(&mut memory, sets, len).expect("enough words"))
}

//! Models of the lock-free tier: every interleaving of a few steps with up to two
//! preemptions, and every value that weak memory may show them.
//!
//! Each model sets up a chunk of two blocks, lets two threads take the steps
//! that were hard to get right, and then counts: no page has two owners, none is
//! lost, and nothing that is free stays unlisted. What a page holds is loom's,
//! too, so that an owner who does not see what the last one wrote is found.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib shared::models`

mod chunks;
mod hints;
mod released;
mod reopened;

use std::boxed::Box;
use std::vec::Vec;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::atomic::{AtomicU64, Ordering};
use super::front::{Bits, Front, Place, front_words};
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

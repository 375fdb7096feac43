//! Atomics that stop at every step.
//!
//! While an operation is run for one step, each access of a word is one of three: it
//! was taken before, and is answered as it was then; it is the step itself, and is
//! taken and noted; or it comes after, and is taken on words that nobody will look
//! at again. Otherwise a word is a plain cell. A word without a name, one that the
//! search leaves out, stays zero: no operation of that search depends on it.
//!
//! `fetch_or` returns nothing, so that nothing that was read there is remembered.

use std::cell::{Cell, RefCell};
use std::vec::Vec;

pub(super) use core::sync::atomic::Ordering;

/// More accesses than any operation needs that runs alone.
const ENDLESS: u32 = 2000;

/// What is to become of the accesses of this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Words are cells.
    Plain,
    /// So many answers were given, of those that there are.
    Replay(usize),
    /// The step was taken, and so many more.
    Ahead(u32),
}

struct Turn {
    mode: Cell<Mode>,
    answers: RefCell<Vec<u64>>,
    /// The word that the step accessed, and what it is now.
    taken: Cell<Option<(usize, u64)>>,
    /// The step is to wait for a lock.
    blocked: Cell<bool>,
    plant: Cell<Plant>,
    /// Pages were claimed, and the state was not looked at since.
    claimed: Cell<bool>,
}

std::thread_local! {
    static TURN: Turn = const { Turn {
        mode: Cell::new(Mode::Plain),
        answers: RefCell::new(Vec::new()),
        taken: Cell::new(None),
        blocked: Cell::new(false),
        plant: Cell::new(Plant::Nothing),
        claimed: Cell::new(false),
    } };
}

/// A defect of the code, as far as it can be had by wrong answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plant {
    Nothing,
    /// Whoever looks at the state after a claim sees this one.
    BlindLook(u64),
    /// What was taken back of a word is in it still.
    NotTakenBack,
}

/// What came of a step.
#[derive(Debug)]
pub(super) struct Step<R> {
    /// The word that was accessed, and what it is now.
    pub(super) taken: (usize, u64),
    /// What the operation came to, if it ended with that.
    pub(super) end: Option<R>,
}

/// Runs an operation that was answered so far as `answers` says, for one step, whose
/// answer is added to them. `None` if it waits for a lock.
pub(super) fn step<R>(
    plant: Plant,
    answers: &mut Vec<u64>,
    operation: impl FnOnce() -> R,
) -> Option<Step<R>> {
    TURN.with(|turn| {
        turn.mode.set(Mode::Replay(0));
        turn.taken.set(None);
        turn.blocked.set(false);
        turn.plant.set(plant);
        turn.claimed.set(false);
        turn.answers.swap(&RefCell::new(core::mem::take(answers)));
        let end = operation();
        let mode = turn.mode.replace(Mode::Plain);
        turn.plant.set(Plant::Nothing);
        *answers = turn.answers.take();
        if turn.blocked.get() {
            return None;
        }
        let taken = turn.taken.get().expect("an operation takes a step");
        let end = (mode == Mode::Ahead(0)).then_some(end);
        Some(Step { taken, end })
    })
}

/// A word.
#[derive(Debug)]
pub(super) struct AtomicU64 {
    word: Cell<u64>,
    name: Cell<Name>,
}

/// What the search calls a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Nothing: it is no part of a search.
    Plain,
    /// Left out.
    Dead,
    /// A part of the state.
    Live(usize, Role),
}

/// What a word is, for defects to be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Free,
    Claimed,
    State,
    Other,
}

impl AtomicU64 {
    pub(super) const fn new(word: u64) -> Self {
        Self {
            word: Cell::new(word),
            name: Cell::new(Name::Plain),
        }
    }

    pub(super) fn name(&self, name: Name) {
        self.name.set(name);
    }

    /// Sets a word, in no step.
    pub(super) fn put(&self, word: u64) {
        self.word.set(word);
    }

    /// Takes an access that leaves a word as `change` says; returns what was read,
    /// if that is `told`.
    fn access(&self, change: impl FnOnce(u64) -> u64, told: bool) -> u64 {
        let apply = || {
            let before = self.word.get();
            self.word.set(change(before));
            if told { before } else { 0 }
        };
        let at = match self.name.get() {
            Name::Plain => return apply(),
            Name::Dead => return 0,
            Name::Live(at, _) => at,
        };
        TURN.with(|turn| match turn.mode.get() {
            Mode::Plain => apply(),
            Mode::Replay(given) => {
                let mut answers = turn.answers.borrow_mut();
                if let Some(&answer) = answers.get(given) {
                    turn.mode.set(Mode::Replay(given + 1));
                    return answer;
                }
                let answer = apply();
                answers.push(answer);
                turn.taken.set(Some((at, self.word.get())));
                turn.mode.set(Mode::Ahead(0));
                answer
            }
            Mode::Ahead(more) => {
                assert!(more < ENDLESS, "an operation does not end");
                turn.mode.set(Mode::Ahead(more + 1));
                apply()
            }
        })
    }

    fn is(&self, wanted: Role) -> bool {
        matches!(self.name.get(), Name::Live(_, role) if role == wanted)
    }

    pub(super) fn load(&self, _: Ordering) -> u64 {
        let word = self.access(|word| word, true);
        TURN.with(|turn| match turn.plant.get() {
            Plant::BlindLook(shown) if self.is(Role::State) && turn.claimed.take() => shown,
            _ => word,
        })
    }

    pub(super) fn store(&self, word: u64, _: Ordering) {
        self.access(|_| word, false);
    }

    pub(super) fn swap(&self, word: u64, _: Ordering) -> u64 {
        self.access(|_| word, true)
    }

    pub(super) fn fetch_or(&self, bits: u64, _: Ordering) -> u64 {
        // Of hints alone it matters what they were.
        let before = self.access(|word| word | bits, self.is(Role::Other));
        TURN.with(|turn| {
            turn.claimed
                .set(turn.claimed.get() || self.is(Role::Claimed))
        });
        before
    }

    pub(super) fn fetch_and(&self, bits: u64, _: Ordering) -> u64 {
        self.access(|word| word & bits, true)
    }

    pub(super) fn compare_exchange(
        &self,
        word: u64,
        new: u64,
        _: Ordering,
        _: Ordering,
    ) -> Result<u64, u64> {
        // Of the frees, only one that does not stand leaves a block without pages.
        let is_blind = new == 0 && self.is(Role::Free);
        if is_blind && TURN.with(|turn| turn.plant.get() == Plant::NotTakenBack) {
            return Err(self.access(|now| now, false));
        }
        let found = self.access(|now| if now == word { new } else { now }, true);
        if found == word { Ok(found) } else { Err(found) }
    }

    /// Never fails for nothing: that would be one more turn of a loop.
    pub(super) fn compare_exchange_weak(
        &self,
        word: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.compare_exchange(word, new, success, failure)
    }

    /// Takes a lock, and returns what it holds; or says that the step must wait.
    pub(super) fn lock(&self, taken: u64) -> Option<u64> {
        let waits = TURN.with(|turn| {
            let is_turn = match turn.mode.get() {
                Mode::Replay(given) => given == turn.answers.borrow().len(),
                Mode::Plain | Mode::Ahead(_) => true,
            };
            let waits = is_turn && self.word.get() == taken;
            match turn.mode.get() {
                Mode::Replay(_) => turn.blocked.set(waits),
                // It has not ended.
                Mode::Ahead(0) if waits => turn.mode.set(Mode::Ahead(1)),
                Mode::Plain | Mode::Ahead(_) => {}
            }
            waits
        });
        if waits {
            None
        } else {
            Some(self.swap(taken, Ordering::SeqCst))
        }
    }
}

//! A state of the search: the words, what is handed out, and where each CPU is.

use std::boxed::Box;
use std::vec::Vec;

use super::atomic::{AtomicU64, Name, Ordering, Role};
use super::front::{Bits, Front, Place, front_words};
use super::ops::Op;
use super::word::{BLOCKS, CHUNK};

pub(super) const CPUS: usize = 2;

/// Where the words of a state are.
pub(super) const FREE: usize = 0;
pub(super) const CLAIMED: usize = FREE + BLOCKS;
pub(super) const STATE: usize = CLAIMED + BLOCKS;
pub(super) const PLACES: usize = STATE + 1;
const READY: usize = PLACES + CPUS;
pub(super) const FULL: usize = READY + 1;
/// The chunk may have a free page.
const NONEMPTY: usize = FULL + 1;
/// The lock, and what it guards: whether the treap has the chunk.
pub(super) const BOOKS: usize = NONEMPTY + 1;
pub(super) const RUNS: usize = BOOKS + 1;
/// The blocks that have runs of two pages, and of three; and whether there are any.
const BINS: usize = RUNS + BLOCKS;
/// What each CPU handed out last.
const LAST: usize = BINS + 3;
const WORDS: usize = LAST + CPUS;

/// The treap has nothing; it has the chunk; somebody has the lock.
pub(super) const NOTHING: u64 = 0;
pub(super) const CHUNK_THERE: u64 = 1;
pub(super) const LOCKED: u64 = 2;

/// A CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    /// What it is in the middle of.
    pub(super) op: Option<Op>,
    /// What its accesses were answered.
    pub(super) answers: Vec<u64>,
    /// What that frees, which is nobody's meanwhile: from which page on, how many.
    pub(super) item: Option<(u32, u32)>,
    /// Another operation was in progress during a second free.
    pub(super) raced: bool,
    /// How many operations it may still begin.
    pub(super) left: u8,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct World {
    pub(super) words: [u64; WORDS],
    /// The pages that are handed out, a bit for each.
    pub(super) held: u32,
    /// Those of them that continue a run.
    pub(super) inside: u32,
    pub(super) cpus: [Cpu; CPUS],
}

impl World {
    /// All pages are the treap's.
    pub(super) fn new() -> Self {
        let mut words = [0; WORDS];
        words[BOOKS] = CHUNK_THERE;
        Self {
            words,
            held: 0,
            inside: 0,
            cpus: Default::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.cpus.iter().all(|cpu| cpu.op.is_none())
    }

    /// Tells all that there is to a state as numbers, from which it could be had again.
    pub(super) fn numbers(&self, mut tell: impl FnMut(u64)) {
        for &word in &self.words {
            tell(word);
        }
        tell(u64::from(self.held) << 32 | u64::from(self.inside));
        for cpu in &self.cpus {
            let (page, count) = cpu.item.unwrap_or((0, 0));
            let item = u64::from(page) << 16 | u64::from(count) << 24;
            let op = cpu.op.map_or(0, Op::number);
            tell(op << 32 | item | u64::from(cpu.left) << 1 | u64::from(cpu.raced));
            tell(cpu.answers.len() as u64);
            for &answer in &cpu.answers {
                tell(answer);
            }
        }
    }

    /// Returns the words of the blocks as one, a bit for each page.
    pub(super) fn pages(&self, at: usize) -> u32 {
        let blocks = self.words[at..at + BLOCKS].iter().rev();
        blocks.fold(0, |all, &word| all << super::word::BLOCK | word as u32)
    }

    /// Returns how many pages were handed out together from `page` on, if it is the
    /// first of them.
    pub(super) fn item(&self, page: u32) -> Option<u32> {
        let is_first = self.held >> page & 1 == 1 && self.inside >> page & 1 == 0;
        is_first.then(|| 1 + (self.inside >> (page + 1)).trailing_ones())
    }
}

/// The front tier whose words are those of a state.
pub(super) struct Machine {
    pub(super) front: Front<'static>,
    pub(super) books: &'static AtomicU64,
    words: Vec<&'static AtomicU64>,
}

/// Which words matter, beside those that always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matters {
    Singles,
    /// And what was handed out last.
    Last,
    /// Those of runs instead.
    Runs,
}

impl Machine {
    pub(super) fn new(matters: Matters) -> Self {
        let count = front_words(CHUNK, CPUS).expect("a size");
        let memory: Vec<AtomicU64> = (0..count).map(|_| AtomicU64::new(0)).collect();
        // A few hundred bytes, a few times.
        let memory: &'static [AtomicU64] = Box::leak(memory.into_boxed_slice());
        let books: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        let front = Front::new(memory, CHUNK, CPUS).expect("enough words");
        // The words that somebody just set: the hint's, and what says that there is one.
        let set = || {
            let mut set = memory
                .iter()
                .filter(|word| word.load(Ordering::SeqCst) != 0);
            let any = set.next().expect("it is said somewhere");
            let hint = set.next().expect("a hint is somewhere");
            any.put(0);
            hint.put(0);
            (hint, any)
        };
        let places: Vec<Place<'static>> = (0..CPUS)
            .map(|cpu| front.place(cpu, 0).expect("a CPU"))
            .collect();
        let mut words: Vec<&'static AtomicU64> = Vec::new();
        words.extend(front.words(Bits::Free, 0));
        words.extend(front.words(Bits::Claimed, 0));
        words.push(&front.states[0]);
        words.extend(places.iter().map(|place| place.block));
        // Nobody asks which of these have any.
        front.ready(0).set(0);
        words.push(set().0);
        front.full().set(0);
        words.push(set().0);
        front.nonempty().set(0);
        words.push(set().0);
        words.push(books);
        words.extend(front.words(Bits::Runs, 0));
        for bin in 0..2 {
            front.runs(0, bin).set(0);
            let (hint, any) = set();
            words.push(hint);
            if bin == 1 {
                words.push(any);
            }
        }
        words.extend(places.iter().map(|place| place.last));
        assert_eq!(words.len(), WORDS);
        for word in memory {
            word.name(Name::Dead);
        }
        for (at, word) in words.iter().enumerate() {
            let role = match at {
                FREE..CLAIMED => Role::Free,
                CLAIMED..STATE => Role::Claimed,
                STATE => Role::State,
                _ => Role::Other,
            };
            let is_live = match at {
                RUNS..LAST => matters == Matters::Runs,
                LAST.. => matters == Matters::Last,
                _ => true,
            };
            if is_live {
                word.name(Name::Live(at, role));
            }
        }
        Self {
            front,
            books,
            words,
        }
    }

    /// Makes the words those of a state.
    pub(super) fn load(&self, world: &World) {
        for (word, &value) in self.words.iter().zip(&world.words) {
            word.put(value);
        }
    }

    pub(super) fn place(&self, cpu: usize) -> Place<'static> {
        self.front.place(cpu, 0).expect("a CPU")
    }
}

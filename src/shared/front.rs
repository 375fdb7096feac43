//! The front tier's memory: where each word is.
//!
//! Four words for each block ([`Bits`]), and for each chunk a cache line of each
//! of them, side by side: one flat array by page number, which never moves. All
//! are zero while the pages are the treap's: so a CPU that comes late, with
//! whatever it remembers, can only fail or take a page that is truly free.
//!
//! A CPU has a line of its own: for each group of pages the block it takes them
//! from.

use super::atomic::{AtomicU64, Ordering};
use super::hints::{Hints, Lists, words_for};
use super::state::State;
use super::word::{BLOCK, BLOCKS, CHUNK, mask};

/// Kinds of pages that do not share a chunk.
pub(super) const GROUPS: usize = 2;
/// The longest run that is handed out of a block.
pub(super) const MAX_RUN: u32 = 16;
/// Lists of blocks, by the length of a run of free pages that they have.
pub(super) const BINS: usize = MAX_RUN as usize;
/// Lists of chunks: those for a CPU to own, by group, and three more.
const CHUNK_LISTS: usize = GROUPS + 3;
const FULL: usize = GROUPS;
const MIXED: usize = GROUPS + 1;
const NONEMPTY: usize = GROUPS + 2;
/// Words of two cache lines, which neither CPUs nor chunks share: neighbouring lines
/// are fetched together.
const LINES: usize = 16;
/// Words for a CPU.
const STRIDE: usize = LINES;
/// The word of a CPU in which the page is that it handed out last.
const LAST: usize = GROUPS;

const _: () = assert!(LAST < STRIDE);

/// What a bit of a block's word says of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bits {
    /// It is free.
    Free = 0,
    /// It continues a run: written only for runs of two or more.
    Runs = 1,
    /// A CPU has claimed it, and not handed it out.
    Claimed = 2,
    /// It is not backed. The bit belongs to whoever holds the page.
    Released = 3,
}

/// How many words a block has.
const KINDS: usize = 4;

/// The front tier of one heap.
#[derive(Debug)]
pub(super) struct Front<'m> {
    chunks: &'m [[AtomicU64; KINDS * BLOCKS]],
    pub(super) states: &'m [AtomicU64],
    cpus: &'m [[AtomicU64; STRIDE]],
    /// Chunks: for a CPU to own, by group; free as a whole; of these, released in part;
    /// and all with a free page.
    listed: Lists<'m>,
    /// Blocks, by group and the length of a run.
    runs: Lists<'m>,
}

/// Returns how many words the front tier takes for `pages` pages and `cpus`
/// CPUs; `None` if the number overflows.
pub(super) const fn front_words(pages: u32, cpus: usize) -> Option<usize> {
    let chunks = pages / CHUNK;
    let per_chunk = KINDS * BLOCKS + 1;
    let parts = [
        // What comes before the first line.
        Some(LINES - 1),
        cpus.checked_mul(STRIDE),
        (chunks as usize).checked_mul(per_chunk),
        words_for(CHUNK_LISTS, chunks),
        words_for(GROUPS * BINS, chunks * BLOCKS as u32),
    ];
    let mut words = Some(0_usize);
    let mut at = 0;
    while at < parts.len() {
        words = match (words, parts[at]) {
            (Some(words), Some(part)) => words.checked_add(part),
            _ => None,
        };
        at += 1;
    }
    words
}

/// Where a CPU takes pages of one group from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'m> {
    /// What the states of its chunks call it.
    pub(super) id: u32,
    pub(super) group: usize,
    /// A block of the chunk that it owns: the block's number plus one, or 0.
    pub(super) block: &'m AtomicU64,
    /// The page that the CPU handed out last, plus one; or 0, if that was claimed
    /// again since, for all it knows.
    pub(super) last: &'m AtomicU64,
}

impl Place<'_> {
    /// Returns the block that it takes pages from, of a chunk that it owns.
    #[inline]
    pub(super) fn current(&self) -> Option<u32> {
        // Relaxed: a hint. Whoever takes pages out of another CPU's block is slow,
        // and right.
        let block = self.block.load(Ordering::Relaxed);
        block.checked_sub(1).map(|block| block as u32)
    }
}

impl<'m> Front<'m> {
    /// Lays a front tier for `pages` pages over words that are all zero; `None`
    /// if they are too few, or there is no CPU.
    pub(super) fn new(mut memory: &'m [AtomicU64], pages: u32, cpus: usize) -> Option<Self> {
        let chunks = pages / CHUNK;
        // Memory is given as words, and may begin within a line.
        let before = memory.as_ptr().align_offset(LINES * size_of::<u64>());
        memory = memory.get(if before < LINES { before } else { 0 }..)?;
        let mut take = |count: usize| {
            let (taken, rest) = memory.split_at_checked(count)?;
            memory = rest;
            Some(taken)
        };
        if cpus == 0 {
            return None;
        }
        let cpus = take(cpus.checked_mul(STRIDE)?)?.as_chunks().0;
        let blocks = take((chunks as usize).checked_mul(KINDS * BLOCKS)?)?;
        let states = take(chunks as usize)?;
        let listed = Lists::new(&mut memory, CHUNK_LISTS, chunks)?;
        let runs = Lists::new(&mut memory, GROUPS * BINS, chunks * BLOCKS as u32)?;
        Some(Self {
            chunks: blocks.as_chunks().0,
            states,
            cpus,
            listed,
            runs,
        })
    }

    /// Returns the chunks for a CPU to own, for pages of `group`.
    #[inline]
    pub(super) const fn ready(&self, group: usize) -> Hints<'_, 'm> {
        self.listed.of(group)
    }

    /// Returns the chunks all of whose pages are free, to be returned.
    #[inline]
    pub(super) const fn full(&self) -> Hints<'_, 'm> {
        self.listed.of(FULL)
    }

    /// Returns those of them that are released in part.
    #[inline]
    pub(super) const fn mixed(&self) -> Hints<'_, 'm> {
        self.listed.of(MIXED)
    }

    /// Returns the chunks that have a free page which no CPU has claimed: where the last
    /// pages are. Whoever makes a word of a chunk other than zero puts it in; it is found
    /// to have none only by who looks.
    #[inline]
    pub(super) const fn nonempty(&self) -> Hints<'_, 'm> {
        self.listed.of(NONEMPTY)
    }

    /// Returns the blocks of `group` that have a run of the lengths of `bin`.
    #[inline]
    pub(super) const fn runs(&self, group: usize, bin: usize) -> Hints<'_, 'm> {
        self.runs.of(group * BINS + bin)
    }

    /// Returns the first bin from `bin` on in which there may be a block of `group`.
    #[inline]
    pub(super) fn bin_from(&self, group: usize, bin: usize) -> Option<usize> {
        let first = group * BINS;
        let found = self.runs.first_of(first + bin..first + BINS)?;
        Some(found - first)
    }

    /// Returns how many chunks there can be.
    pub(super) const fn chunks(&self) -> u32 {
        self.states.len() as u32
    }

    /// Returns where a CPU takes pages of `group` from.
    #[inline]
    pub(super) fn place(&self, cpu: usize, group: usize) -> Option<Place<'m>> {
        let (cpu, line) = match self.cpus.get(cpu) {
            Some(line) => (cpu, line),
            None => self.shared_line(cpu)?,
        };
        Some(Place {
            id: (cpu * GROUPS + group) as u32,
            group,
            block: line.get(..GROUPS)?.get(group)?,
            last: line.get(LAST)?,
        })
    }

    /// Returns the line that a CPU beyond the last shares with another.
    #[cold]
    fn shared_line(&self, cpu: usize) -> Option<(usize, &'m [AtomicU64; STRIDE])> {
        let cpu = cpu.checked_rem(self.cpus.len())?;
        Some((cpu, self.cpus.get(cpu)?))
    }

    /// Returns all places.
    pub(super) fn places(&self) -> impl Iterator<Item = Place<'m>> {
        let all = (0..self.cpus.len()).flat_map(|cpu| (0..GROUPS).map(move |group| (cpu, group)));
        all.filter_map(|(cpu, group)| self.place(cpu, group))
    }

    /// Returns whether the chunk's owner is `cpu`, and `page` is what that handed
    /// out last: then nobody has claimed the page since.
    #[inline]
    pub(super) fn was_last(&self, owner: u32, cpu: usize, page: u32) -> bool {
        let line = self.cpus.get(cpu);
        // Relaxed: what this CPU wrote itself is what counts.
        owner as usize / GROUPS == cpu
            && line.is_some_and(|line| {
                line.get(LAST)
                    .is_some_and(|last| last.load(Ordering::Relaxed) == u64::from(page) + 1)
            })
    }

    #[inline]
    pub(super) fn state(&self, chunk: u32) -> State {
        let state = self.states.get(chunk as usize);
        // SeqCst: read after a change of a word, where whoever changes the state
        // looks at the words afterwards.
        state.map_or(State::TREAP, |state| State(state.load(Ordering::SeqCst)))
    }

    /// Returns a block's word.
    #[inline]
    pub(super) fn word(&self, bits: Bits, block: u32) -> Option<&'m AtomicU64> {
        let chunk = self.chunks.get(block as usize / BLOCKS)?;
        chunk.get(bits as usize * BLOCKS + block as usize % BLOCKS)
    }

    /// Returns the words of a chunk's blocks, or none if there is no such chunk.
    #[inline]
    pub(super) fn words(&self, bits: Bits, chunk: u32) -> &'m [AtomicU64] {
        let begin = bits as usize * BLOCKS;
        let chunk = self.chunks.get(chunk as usize);
        chunk
            .and_then(|chunk| chunk.get(begin..begin + BLOCKS))
            .unwrap_or(&[])
    }

    /// Returns the pages of a block that a CPU has claimed.
    #[inline]
    pub(super) fn claimed_of(&self, block: u32) -> u64 {
        let claimed = self.word(Bits::Claimed, block);
        // Relaxed: whoever may ask for a page of it was handed the page.
        claimed.map_or(0, |claimed| claimed.load(Ordering::Relaxed))
    }

    /// Returns whether some of these pages, which are one block's and the caller's, are
    /// not backed.
    #[inline]
    pub(super) fn is_released(&self, page: u32, count: u32) -> bool {
        let state = self.states.get((page / CHUNK) as usize);
        // Relaxed: whoever released a page of this wrote it before, and gave the page
        // back after. Of most chunks nothing was, and then the marks are not read.
        state.is_some_and(|state| {
            State(state.load(Ordering::Relaxed)).may_be_released() && self.is_marked(page, count)
        })
    }

    #[cold]
    fn is_marked(&self, page: u32, count: u32) -> bool {
        let released = self.word(Bits::Released, page / BLOCK);
        let pages = mask(page % BLOCK, count.min(BLOCK - page % BLOCK));
        released.is_some_and(|word| word.load(Ordering::Relaxed) & pages != 0)
    }
}

//! The treap against a sorted list of the same spans.
//!
//! The pages are cells of 16, and each span lies in one cell: so it may change there
//! in any way, and stays between its neighbours, which is all that the treap asks for.

use crate::input::Input;
use crate::span::{Kinds, Pool, Slot, SlotId};
use crate::treap_core::{Query, Treap};

const CELL: u32 = 16;
const CELLS: u32 = 64;
const SLOTS: usize = 48;

/// The five kinds of free span, each of which may have a seam.
const KINDS: [Kinds; 5] = [
    Kinds::DUST,
    Kinds::RESIDENT,
    Kinds::RESIDENT_HUGE,
    Kinds::RELEASED,
    Kinds::RELEASED_HUGE,
];

/// A span of the list.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    len: u32,
    kinds: Kinds,
    id: SlotId,
}

/// A treap, and a sorted list of what is in it.
struct Pair<'m> {
    pool: Pool<'m>,
    treap: Treap,
    list: Vec<Entry>,
    inserts: u64,
    removals: u64,
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut slots = [Slot::VACANT; SLOTS];
    let mut pair = Pair {
        pool: Pool::new(&mut slots, |what| panic!("{what:?}")),
        treap: Treap::new(input.number()),
        list: Vec::new(),
        inserts: 0,
        removals: 0,
    };
    while input.has_more() {
        match input.below(8) {
            0..=3 => pair.insert(&mut input),
            4 => pair.erase(&mut input),
            5 => pair.treap.seed(input.number()),
            _ => pair.mutate(&mut input),
        }
        pair.check(&mut input);
    }
}

/// A range in a cell, and its kinds.
fn shape(cell: u32, input: &mut Input<'_>) -> (u32, u32, Kinds) {
    let from = input.below(CELL);
    let len = input.up_to(CELL - from);
    let kinds = input.pick(&KINDS);
    let seam = if input.any() {
        Kinds::SEAM
    } else {
        Kinds::empty()
    };
    (cell * CELL + from, len, kinds.union(seam))
}

impl Pair<'_> {
    fn insert(&mut self, input: &mut Input<'_>) {
        let cell = input.below(CELLS);
        let (start, len, kinds) = shape(cell, input);
        let at = self.list.partition_point(|entry| entry.start / CELL < cell);
        let is_taken = self.list.get(at).is_some_and(|e| e.start / CELL == cell);
        if is_taken {
            return;
        }
        let Some(id) = self.pool.take(start, start + len) else {
            assert_eq!(self.list.len(), SLOTS);
            return;
        };
        self.pool.at_mut(id).kinds = kinds;
        self.treap.insert(&mut self.pool, id);
        let entry = Entry {
            start,
            len,
            kinds,
            id,
        };
        self.list.insert(at, entry);
        self.inserts += 1;
    }

    fn erase(&mut self, input: &mut Input<'_>) {
        if let Some(at) = input.index(&self.list) {
            let entry = self.list.remove(at);
            self.treap.erase(&mut self.pool, entry.id);
            self.pool.give(entry.id);
            self.removals += 1;
        }
    }

    fn mutate(&mut self, input: &mut Input<'_>) {
        if let Some(at) = input.index(&self.list) {
            let entry = &mut self.list[at];
            let (start, len, kinds) = shape(entry.start / CELL, input);
            (entry.start, entry.len, entry.kinds) = (start, len, kinds);
            self.treap.mutate(&mut self.pool, entry.id, |slot| {
                (slot.start, slot.len, slot.kinds) = (start, len, kinds);
            });
        }
    }

    /// Compares every search with the list, for one query and one page.
    fn check(&self, input: &mut Input<'_>) {
        let (treap, pool) = (&self.treap, &self.pool);
        assert_eq!(treap.fault(pool), None);
        assert_eq!(
            (treap.inserts(), treap.removals()),
            (self.inserts, self.removals)
        );
        let page = input.below(CELL * CELLS + 1);
        let pages = input.below(CELL + 2);
        let query = Query {
            pages,
            kinds: Kinds::from_bits_truncate(input.any()),
        };
        let admits =
            |entry: &&Entry| entry.len >= query.pages && entry.kinds.intersects(query.kinds);

        let mut at = treap.first(pool, query);
        for expected in self.list.iter().filter(admits) {
            assert_eq!(at, Some(expected.id), "{query:?}");
            at = treap.next(pool, expected.id, query);
        }
        assert_eq!(at, None, "{query:?}");

        let fits = self.list.iter().find(|entry| entry.len >= pages);
        assert_eq!(treap.first_fit(pool, pages), fits.map(|e| e.id));
        let floor = self.list.iter().rfind(|entry| entry.start <= page);
        assert_eq!(treap.floor(pool, page), floor.map(|e| e.id));
        let mut admitted = self.list.iter().filter(admits);
        let from = admitted.clone().find(|e| e.start + e.len > page);
        assert_eq!(treap.first_from(pool, page, query), from.map(|e| e.id));
        let before = admitted.rfind(|e| e.start < page);
        assert_eq!(treap.last_before(pool, page, query), before.map(|e| e.id));
        for (at, entry) in self.list.iter().enumerate() {
            assert_eq!(treap.is_lowest(entry.id), at == 0);
        }
    }
}

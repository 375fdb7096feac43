//! The treap against a sorted list, with the whole tree checked at each step.

use std::format;
use std::vec;
use std::vec::Vec;

use super::{Query, Treap};
use crate::backing::Corruption;
use crate::span::{Kinds, Pool, Slot, SlotId};

mod faults;
mod shapes;

fn corrupted(what: Corruption) -> ! {
    panic!("{what:?}")
}

/// Seven filters: what each of Go's six pairs of mask and match stands for, and
/// the seams.
const FILTERS: [Kinds; 7] = [
    Kinds::ANY,
    Kinds::RELEASABLE.union(Kinds::DUST),
    Kinds::RELEASED.union(Kinds::RELEASED_HUGE),
    Kinds::RESIDENT_HUGE,
    Kinds::RESIDENT.union(Kinds::DUST),
    Kinds::empty(),
    Kinds::SEAM,
];

/// A tree, and a sorted list of what is in it.
struct Pair<'m> {
    pool: Pool<'m>,
    treap: Treap,
    list: Vec<(u32, u32, Kinds, SlotId)>,
}

impl<'m> Pair<'m> {
    fn new(slots: &'m mut [Slot], seed: u64) -> Self {
        Self {
            pool: Pool::new(slots, corrupted),
            treap: Treap::new(seed),
            list: Vec::new(),
        }
    }

    fn insert(&mut self, start: u32, len: u32, kinds: Kinds) -> SlotId {
        let id = self.pool.take(start, start + len).expect("a slot is left");
        self.pool.at_mut(id).kinds = kinds;
        self.treap.insert(&mut self.pool, id);
        let at = self.list.partition_point(|&(other, ..)| other < start);
        self.list.insert(at, (start, len, kinds, id));
        self.check();
        id
    }

    fn erase(&mut self, at: usize) {
        let (.., id) = self.list.remove(at);
        self.treap.erase(&mut self.pool, id);
        self.pool.give(id);
        self.check();
    }

    /// The positions in the list that the query admits.
    fn admitted(&self, query: Query) -> Vec<SlotId> {
        let admits = |&&(_, len, kinds, _): &&(u32, u32, Kinds, SlotId)| {
            len >= query.pages && kinds.intersects(query.kinds)
        };
        self.list
            .iter()
            .filter(admits)
            .map(|entry| entry.3)
            .collect()
    }

    /// Compares every search with the list.
    fn check(&self) {
        assert_eq!(self.treap.fault(&self.pool), None);
        for kinds in FILTERS {
            for pages in [0, 1, 3, 7] {
                let query = Query { pages, kinds };
                let expected = self.admitted(query);
                let up = walk(self.treap.first(&self.pool, query), |id| {
                    self.treap.next(&self.pool, id, query)
                });
                let mut down = walk(self.treap.last(&self.pool, query), |id| {
                    self.treap.prev(&self.pool, id, query)
                });
                down.reverse();
                assert_eq!(up, expected, "upward, {query:?}");
                assert_eq!(down, expected, "downward, {query:?}");
            }
        }
        for pages in 1..12 {
            let query = Query {
                pages,
                kinds: Kinds::ANY,
            };
            let expected = self.admitted(query).first().copied();
            assert_eq!(self.treap.first_fit(&self.pool, pages), expected);
        }
    }

    /// Compares the searches from a page with the list.
    fn check_from(&self, page: u32) {
        let below = self.list.iter().rfind(|entry| entry.0 <= page);
        assert_eq!(
            self.treap.floor(&self.pool, page),
            below.map(|entry| entry.3)
        );
        for kinds in FILTERS {
            let query = Query { pages: 2, kinds };
            let admitted = self.admitted(query);
            let up = admitted.iter().find(|&&id| self.pool.at(id).end() > page);
            let down = admitted.iter().rfind(|&&id| self.pool.at(id).start < page);
            assert_eq!(self.treap.first_from(&self.pool, page, query), up.copied());
            assert_eq!(
                self.treap.last_before(&self.pool, page, query),
                down.copied()
            );
        }
    }
}

fn walk(first: Option<SlotId>, next: impl Fn(SlotId) -> Option<SlotId>) -> Vec<SlotId> {
    let mut seen = Vec::new();
    let mut at = first;
    while let Some(id) = at {
        seen.push(id);
        at = next(id);
    }
    seen
}

/// Kinds in an order that has nothing to do with that of the addresses.
fn some_kind(at: u32) -> Kinds {
    let kind = [
        Kinds::DUST,
        Kinds::RESIDENT,
        Kinds::RESIDENT_HUGE,
        Kinds::RELEASED,
        Kinds::RELEASED_HUGE,
    ][(at.wrapping_mul(2_654_435_761) >> 7) as usize % 5];
    if at % 7 < 3 { kind | Kinds::SEAM } else { kind }
}

#[test]
fn the_kinds_of_a_filter_are_those_it_names() {
    let mut slots = vec![Slot::VACANT; 16];
    let mut pair = Pair::new(&mut slots, 1);
    for (at, kinds) in [
        Kinds::RELEASED,
        Kinds::RESIDENT_HUGE,
        Kinds::RESIDENT,
        Kinds::RELEASED_HUGE,
        Kinds::DUST,
        Kinds::RESIDENT_HUGE,
        Kinds::RESIDENT,
        Kinds::RESIDENT,
    ]
    .into_iter()
    .enumerate()
    {
        pair.insert(at as u32 * 10, 8, kinds);
    }
    let census = FILTERS.map(|kinds| pair.admitted(Query::kinds(kinds)).len());
    assert_eq!(census, [8, 6, 2, 2, 4, 0, 0]);
}

#[test]
fn first_fit_is_the_lowest_span_that_is_long_enough() {
    let lengths = [2, 1, 8, 7, 4, 5, 5, 5000];
    for seed in 1..=10 {
        let mut slots = vec![Slot::VACANT; 8];
        let mut pair = Pair::new(&mut slots, seed);
        for (at, len) in lengths.into_iter().enumerate() {
            pair.insert(at as u32 * 10_000, len, Kinds::RESIDENT);
        }
        let start = |pages| {
            let id = pair.treap.first_fit(&pair.pool, pages)?;
            Some(pair.pool.at(id).start)
        };
        assert_eq!(start(5), Some(20_000), "seed {seed}");
        assert_eq!(start(2), Some(0), "seed {seed}");
        assert_eq!(start(9), Some(70_000), "seed {seed}");
        assert_eq!(start(5001), None, "seed {seed}");
    }
}

#[test]
fn an_empty_tree_and_a_tree_of_one_find_what_is_there() {
    let mut slots = vec![Slot::VACANT; 1];
    let mut pair = Pair::new(&mut slots, 1);
    pair.check();
    pair.check_from(0);
    let id = pair.insert(5, 3, Kinds::RESIDENT);
    for page in 0..10 {
        pair.check_from(page);
    }
    assert_eq!(pair.treap.first_fit(&pair.pool, 1), Some(id));
    pair.erase(0);
    assert_eq!(pair.treap.first_fit(&pair.pool, 1), None);
}

#[test]
fn positions_of_other_spans_stay_good_when_one_is_erased() {
    let everything = Query::kinds(Kinds::ANY);
    for erased in 0..20_usize {
        let mut slots = vec![Slot::VACANT; 20];
        let mut pair = Pair::new(&mut slots, 7);
        for at in 0..20 {
            pair.insert(at * 10, 1 + at % 5, some_kind(at));
        }
        let neighbours = |at: usize| pair.list.get(at).map(|entry| entry.3);
        let (before, after) = (
            erased.checked_sub(1).and_then(neighbours),
            neighbours(erased + 1),
        );
        pair.erase(erased);
        if let Some(before) = before {
            assert_eq!(pair.treap.next(&pair.pool, before, everything), after);
        }
        if let Some(after) = after {
            assert_eq!(pair.treap.prev(&pair.pool, after, everything), before);
        }
    }
}

#[test]
fn all_spans_can_be_erased_through_positions_taken_before() {
    let everything = Query::kinds(Kinds::ANY);
    let mut slots = vec![Slot::VACANT; 64];
    let mut pair = Pair::new(&mut slots, 3);
    for at in 0..64 {
        pair.insert((at * 37 % 64) * 10, 1 + at % 9, some_kind(at));
    }
    let mut at = pair.treap.first(&pair.pool, everything);
    while let Some(id) = at {
        at = pair.treap.next(&pair.pool, id, everything);
        pair.treap.erase(&mut pair.pool, id);
    }
    assert!(pair.treap.root.is_none() && pair.treap.lowest.is_none());
    assert_eq!((pair.treap.inserts(), pair.treap.removals()), (64, 64));
}

#[test]
fn random_inserts_erases_and_changes_in_place_agree_with_a_sorted_list() {
    for seed in 1..=8_u64 {
        let mut slots = vec![Slot::VACANT; 128];
        let mut pair = Pair::new(&mut slots, seed);
        let mut random = super::Random::new(seed);
        let mut pick = |below: u32| random.next() % below;
        for step in 0..600 {
            match pick(4) {
                0 | 1 if pair.list.len() < 100 => {
                    let start = pick(200) * 16;
                    if pair.list.iter().all(|entry| entry.0 / 16 != start / 16) {
                        pair.insert(start, 1 + pick(10), some_kind(step));
                    }
                }
                2 if !pair.list.is_empty() => {
                    let at = pick(pair.list.len() as u32) as usize;
                    pair.erase(at);
                }
                _ if !pair.list.is_empty() => {
                    // Anywhere between the neighbours, at any length there.
                    let at = pick(pair.list.len() as u32) as usize;
                    let cell = pair.list[at].0 / 16 * 16;
                    let start = cell + pick(8);
                    let len = 1 + pick(16 - (start - cell));
                    let kinds = some_kind(pick(1000));
                    let id = pair.list[at].3;
                    pair.treap.mutate(&mut pair.pool, id, |slot| {
                        (slot.start, slot.len, slot.kinds) = (start, len, kinds);
                    });
                    pair.list[at] = (start, len, kinds, id);
                    pair.check();
                }
                _ => {}
            }
            pair.check_from(pick(3300));
        }
    }
}

#[test]
fn a_changed_span_leaves_the_tree_as_if_it_had_been_built_so() {
    // Every combination of lengths and kinds of one of nine spans.
    for (old, new) in (0..60).flat_map(|old| (0..60).map(move |new| (old, new))) {
        let shape = |code: u32| (1 + code % 12, some_kind(code));
        let built = |code: u32, target: u32| {
            let mut slots = vec![Slot::VACANT; 9];
            let mut pool = Pool::new(&mut slots, corrupted);
            let mut treap = Treap::new(11);
            let mut changed = None;
            for at in 0..9 {
                let (len, kinds) = if at == 4 { shape(code) } else { shape(at) };
                let id = pool.take(at * 20, at * 20 + len).expect("a slot is left");
                pool.at_mut(id).kinds = kinds;
                treap.insert(&mut pool, id);
                changed = if at == 4 { Some(id) } else { changed };
            }
            let (len, kinds) = shape(target);
            let id = changed.expect("the fifth is there");
            treap.mutate(&mut pool, id, |slot| (slot.len, slot.kinds) = (len, kinds));
            assert_eq!(treap.fault(&pool), None);
            format!("{:?}", &slots[..])
        };
        assert_eq!(built(old, new), built(new, new));
    }
}

#[test]
fn a_tree_of_many_spans_is_about_two_logarithms_deep() {
    let count = 10_000_u32;
    let mut slots = vec![Slot::VACANT; count as usize];
    let mut pool = Pool::new(&mut slots, corrupted);
    let mut treap = Treap::new(1);
    for at in 0..count {
        let id = pool.take(at * 2, at * 2 + 1).expect("a slot is left");
        pool.at_mut(id).kinds = Kinds::RESIDENT;
        treap.insert(&mut pool, id);
    }
    let mut total = 0;
    let mut at = treap.first(&pool, Query::kinds(Kinds::ANY));
    while let Some(id) = at {
        let mut up = pool.at(id).parent;
        while let Some(parent) = up {
            total += 1;
            up = pool.at(parent).parent;
        }
        at = treap.next(&pool, id, Query::kinds(Kinds::ANY));
    }
    // 2 ln n is 18.4; measured means for random priorities are 16.4.
    let mean = total / count;
    assert!((12..22).contains(&mean), "mean depth {mean}");
}

#[cfg(debug_assertions)]
mod in_debug_builds {
    use super::*;

    #[test]
    #[should_panic = "starts a span already"]
    fn a_key_that_is_there_is_refused() {
        let mut slots = vec![Slot::VACANT; 2];
        let mut pair = Pair::new(&mut slots, 1);
        pair.insert(4, 1, Kinds::RESIDENT);
        pair.insert(4, 2, Kinds::RESIDENT);
    }

    #[test]
    #[should_panic = "is not in the tree"]
    fn erasing_a_span_that_is_not_there_is_refused() {
        let mut slots = vec![Slot::VACANT; 2];
        let mut pair = Pair::new(&mut slots, 1);
        pair.insert(4, 1, Kinds::RESIDENT);
        let stranger = pair.pool.take(4, 5).expect("a slot is left");
        pair.treap.erase(&mut pair.pool, stranger);
    }

    #[test]
    #[should_panic = "is not in the tree"]
    fn changing_a_span_that_is_not_there_is_refused() {
        let mut slots = vec![Slot::VACANT; 2];
        let mut pair = Pair::new(&mut slots, 1);
        pair.insert(4, 1, Kinds::RESIDENT);
        let stranger = pair.pool.take(9, 10).expect("a slot is left");
        pair.treap
            .mutate(&mut pair.pool, stranger, |slot| slot.len = 2);
    }

    #[test]
    #[should_panic = "the order is broken"]
    fn a_change_that_passes_a_neighbour_is_refused() {
        let mut slots = vec![Slot::VACANT; 3];
        let mut pair = Pair::new(&mut slots, 1);
        for at in 0..3 {
            pair.insert(at * 10, 1, Kinds::RESIDENT);
        }
        let id = pair.list[0].3;
        pair.treap
            .mutate(&mut pair.pool, id, |slot| slot.start = 25);
    }
}

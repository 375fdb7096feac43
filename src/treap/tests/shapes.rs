//! Every tree of up to eight nodes, and everything that can be done to each.
//!
//! A treap's shape is given by its priorities alone: the least is the root, and so
//! on to both sides. So each shape comes of some order of priorities, and which node
//! was inserted last, and where the finger is, are the only history there is.

use std::println;
use std::vec;
use std::vec::Vec;

use super::super::Random;
use super::{FILTERS, Kinds, Pair, Query, Slot, some_kind};

/// The most nodes.
const NODES: usize = 8;
/// From a node's first page to the next one's.
const STRIDE: u32 = 16;
/// How many shapes there are of 0 nodes, of 1, and so on.
const CATALAN: [usize; NODES + 1] = [1, 1, 2, 5, 14, 42, 132, 429, 1430];

/// Ranks of priority of nodes in address order, which make every shape once.
fn shapes(nodes: usize) -> Vec<Vec<u32>> {
    let mut shapes = Vec::new();
    if nodes == 0 {
        return vec![Vec::new()];
    }
    for root in 0..nodes {
        for low in shapes_below(root, 1) {
            for high in shapes_below(nodes - 1 - root, 1 + root as u32) {
                let root: &[u32] = &[0];
                shapes.push([&low[..], root, &high[..]].concat());
            }
        }
    }
    shapes
}

/// The same with ranks from `from` on.
fn shapes_below(nodes: usize, from: u32) -> Vec<Vec<u32>> {
    let mut shapes = shapes(nodes);
    for rank in shapes.iter_mut().flatten() {
        *rank += from;
    }
    shapes
}

/// Seeds whose first priorities are in order.
fn seeds() -> [u64; NODES] {
    core::array::from_fn(|rank| {
        let is_of_rank = |&seed: &u64| Random::new(seed).next() >> 29 == rank as u32;
        (1..).find(is_of_rank).expect("one in eight is")
    })
}

fn span(at: usize) -> (u32, u32, Kinds) {
    let at = at as u32;
    (at * STRIDE + 3, 1 + at * 5 % 7, some_kind(at * 3 + 1))
}

impl Pair<'_> {
    /// Inserts the node at this place with this seed, checking nothing.
    fn add(&mut self, at: usize, seed: u64) {
        let (start, len, kinds) = span(at);
        let id = self.pool.take(start, start + len).expect("a slot is left");
        self.pool.at_mut(id).kinds = kinds;
        self.treap.seed(seed);
        self.treap.insert(&mut self.pool, id);
        let place = self.list.partition_point(|entry| entry.0 < start);
        self.list.insert(place, (start, len, kinds, id));
    }

    /// What [`check`](Pair::check) asks, but only of the first and the last each.
    fn check_ends(&self) {
        assert_eq!(self.treap.fault(&self.pool), None);
        for kinds in FILTERS {
            for pages in [0, 4] {
                let query = Query { pages, kinds };
                let mut admitted = self
                    .list
                    .iter()
                    .filter(|entry| entry.1 >= pages && entry.2.intersects(kinds))
                    .map(|entry| entry.3);
                let (first, last) = (
                    self.treap.first(&self.pool, query),
                    self.treap.last(&self.pool, query),
                );
                assert_eq!(first, admitted.next(), "first of {query:?}");
                assert_eq!(last, admitted.next_back().or(first), "last of {query:?}");
            }
        }
        for pages in 1..12 {
            let fit = self.list.iter().find(|entry| entry.1 >= pages);
            let found = self.treap.first_fit(&self.pool, pages);
            assert_eq!(found, fit.map(|entry| entry.3), "{pages} pages");
        }
        let lowest = self.list.first().map(|entry| entry.3);
        assert!(lowest.is_none_or(|id| self.treap.is_lowest(id)));
    }

    /// Searches from every page that makes a difference.
    fn check_from_all(&self) {
        for &(start, len, ..) in &self.list {
            for page in [start - 1, start, start + 1, start + len - 1, start + len] {
                self.check_from(page);
            }
        }
    }

    /// Changes the node at this place in every way, and back.
    fn change_all(&mut self, at: usize) -> u32 {
        let mut count = 0;
        let was = self.list[at];
        let id = was.3;
        for start in [0, 4] {
            for (len, kinds) in [
                (1, Kinds::DUST),
                (4, Kinds::RESIDENT | Kinds::SEAM),
                (9, Kinds::RELEASED_HUGE),
                (11, Kinds::RELEASED),
            ] {
                let start = at as u32 * STRIDE + start;
                for (start, len, kinds) in [(start, len, kinds), (was.0, was.1, was.2)] {
                    self.treap.mutate(&mut self.pool, id, |slot| {
                        (slot.start, slot.len, slot.kinds) = (start, len, kinds);
                    });
                    self.list[at] = (start, len, kinds, id);
                    self.check_ends();
                    count += 1;
                }
            }
        }
        count
    }
}

/// Calls `then` with each tree of so many nodes of which the node `last` came last,
/// with the finger at `finger` before that.
fn build(ranks: &[u32], seeds: &[u64], last: usize, finger: usize, then: impl FnOnce(&mut Pair)) {
    let mut slots = vec![Slot::VACANT; ranks.len()];
    let mut pair = Pair::new(&mut slots, 1);
    let seed = |at: usize| seeds[ranks[at] as usize];
    for at in (0..ranks.len()).filter(|&at| at != last) {
        pair.add(at, seed(at));
    }
    pair.treap.finger = pair.list.get(finger).map(|entry| entry.3);
    if last < ranks.len() {
        pair.add(last, seed(last));
    }
    then(&mut pair);
}

/// Whether the tree has the shape that the ranks make.
fn has_shape(pair: &Pair, ranks: &[u32]) -> bool {
    pair.list.iter().enumerate().all(|(at, entry)| {
        let up = pair.pool.at(entry.3).parent;
        let up = up.map(|up| pair.list.iter().position(|other| other.3 == up));
        // The greater of the nearest that are less, on either side.
        let low = ranks[..at].iter().rposition(|&rank| rank < ranks[at]);
        let high = ranks[at..].iter().position(|&rank| rank < ranks[at]);
        let beside = [low, high.map(|high| at + high)];
        let above = beside
            .into_iter()
            .flatten()
            .max_by_key(|&other| ranks[other]);
        up == above.map(Some)
    })
}

#[test]
fn every_tree_of_up_to_eight_spans_is_what_a_sorted_list_is() {
    let seeds = seeds();
    let (mut inserts, mut erases, mut changes) = (0, 0, 0);
    for (nodes, count) in CATALAN.into_iter().enumerate() {
        let shapes = shapes(nodes);
        assert_eq!(shapes.len(), count);
        for ranks in &shapes {
            build(ranks, &seeds, nodes, 0, |pair| {
                assert!(has_shape(pair, ranks), "{ranks:?}");
                pair.check();
                pair.check_from_all();
                for at in 0..nodes {
                    changes += pair.change_all(at);
                }
            });
            for at in 0..nodes {
                for finger in 0..nodes.max(2) - 1 {
                    build(ranks, &seeds, at, finger, |pair| {
                        assert!(has_shape(pair, ranks), "{ranks:?}, {at} last");
                        pair.check_ends();
                        inserts += 1;
                    });
                }
                for finger in 0..nodes {
                    build(ranks, &seeds, nodes, 0, |pair| {
                        pair.treap.finger = Some(pair.list[finger].3);
                        let (.., id) = pair.list.remove(at);
                        pair.treap.erase(&mut pair.pool, id);
                        pair.pool.give(id);
                        let left: Vec<u32> = [&ranks[..at], &ranks[at + 1..]].concat();
                        assert!(has_shape(pair, &left), "{ranks:?} without {at}");
                        pair.check_ends();
                        erases += 1;
                    });
                }
            }
        }
    }
    println!(
        "figures: treap: {} shapes of up to {NODES} spans, {inserts} inserts, {erases} erases, {changes} changes",
        CATALAN.iter().sum::<usize>()
    );
}

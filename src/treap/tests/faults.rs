//! Every rule of the tree broken once: [`Treap::fault`] must see it.

use std::vec;

use super::super::Treap;
use super::{Kinds, Pair, Pool, Slot, SlotId};

/// Does this to a tree of eight spans, from the lowest to the highest, and returns
/// whether it is found.
fn found(damage: impl FnOnce(&mut Treap, &mut Pool<'_>, [SlotId; 8])) -> bool {
    let mut slots = vec![Slot::VACANT; 8];
    let mut pair = Pair::new(&mut slots, 7);
    let ids = core::array::from_fn(|at| pair.insert(at as u32 * 10, 5, Kinds::RESIDENT));
    damage(&mut pair.treap, &mut pair.pool, ids);
    pair.treap.fault(&pair.pool).is_some()
}

/// A node that is not the root, and the one above.
fn inner(pool: &Pool<'_>, ids: [SlotId; 8]) -> (SlotId, SlotId) {
    let above = |id: SlotId| pool.at(id).parent.map(|parent| (id, parent));
    ids.into_iter().find_map(above).expect("not only a root")
}

#[test]
fn a_tree_without_damage_has_no_fault() {
    assert!(!found(|_, _, _| {}));
}

#[test]
fn a_parent_that_is_not_returned_is_a_fault() {
    assert!(found(|_, pool, ids| {
        let (id, _) = inner(pool, ids);
        pool.at_mut(id).parent = None;
    }));
}

#[test]
fn a_root_with_a_parent_is_a_fault() {
    assert!(found(|treap, pool, ids| {
        let root = treap.root.expect("a root");
        let (id, _) = inner(pool, ids);
        pool.at_mut(root).parent = Some(id);
    }));
}

#[test]
fn a_priority_below_its_parents_is_a_fault() {
    assert!(found(|_, pool, ids| {
        let (id, above) = inner(pool, ids);
        pool.at_mut(id).priority = 0;
        pool.at_mut(above).priority = 1;
    }));
}

#[test]
fn nodes_out_of_order_are_a_fault() {
    assert!(found(|_, pool, ids| {
        let (id, above) = inner(pool, ids);
        let starts = [pool.at(id).start, pool.at(above).start];
        pool.at_mut(id).start = starts[1];
        pool.at_mut(above).start = starts[0];
    }));
}

#[test]
fn spans_that_overlap_are_a_fault() {
    assert!(found(|treap, pool, ids| {
        // The root's own length is in no summary.
        let root = treap.root.expect("a root");
        assert!(ids[7] != root, "nothing is above it");
        pool.at_mut(root).len = 11;
    }));
}

#[test]
fn a_stale_summary_is_a_fault() {
    assert!(found(|_, pool, ids| {
        let (id, _) = inner(pool, ids);
        pool.at_mut(id).len = 4;
        let others = ids.into_iter().filter(|&other| other != id);
        others.for_each(|other| pool.at_mut(other).len = 3);
    }));
    assert!(found(|_, pool, ids| {
        let (id, _) = inner(pool, ids);
        pool.at_mut(id).kinds = Kinds::RELEASED;
    }));
}

#[test]
fn another_lowest_span_than_the_lowest_is_a_fault() {
    assert!(found(|treap, _, ids| treap.lowest = Some(ids[1])));
    assert!(found(|treap, _, _| treap.lowest = None));
}

#[test]
fn a_finger_outside_of_the_tree_is_a_fault() {
    let mut slots = vec![Slot::VACANT; 9];
    let mut pair = Pair::new(&mut slots, 7);
    pair.insert(0, 5, Kinds::RESIDENT);
    pair.insert(10, 5, Kinds::RESIDENT);
    let loose = pair.pool.take(20, 25).expect("a slot is left");
    pair.treap.finger = Some(loose);
    assert_eq!(pair.treap.fault(&pair.pool), Some(loose));
}

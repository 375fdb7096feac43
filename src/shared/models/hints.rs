//! Hints that others clear while they are set.

use std::boxed::Box;
use std::vec::Vec;

use loom::sync::Arc;
use loom::thread;

use super::super::atomic::AtomicU64;
use super::super::hints::{Lists, words_for};
use super::explore;

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

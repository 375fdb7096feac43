//! Pages that are released while others look at their marks.

use loom::sync::Arc;
use loom::thread;

use super::{BLOCKS, Model, explore, quiet};

/// Releases a page of the first block, as `release_inside` does; says whether there was
/// one.
fn release_one(model: &Model) -> bool {
    let claimed = model.front.claim_resident(0, 1, 1);
    if let Some(pages) = claimed {
        model.front.note_released(pages);
        model.front.give_run_back(pages);
    }
    claimed.is_some()
}

#[test]
fn a_page_that_was_released_meanwhile_is_not_released_again() {
    explore(|| {
        let model = Model::new([1, 0], quiet());
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || release_one(&model))
        };
        let one = release_one(&model);
        let two = other.join().expect("it did not fail");
        assert!(one != two);
        assert_eq!(model.free_pages(), [0]);
    });
}

#[test]
fn a_chunk_that_is_released_in_part_meanwhile_goes_back_as_no_backed_one() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], quiet());
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || release_one(&model))
        };
        let taken = model.front.take_resident(0);
        let released = other.join().expect("it did not fail");
        assert!(taken != released);
        let listed = [model.front.full(), model.front.mixed()].map(|list| list.first());
        assert!(taken || listed.contains(&Some(0)), "it would never go back");
    });
}

#[test]
fn whoever_is_handed_a_page_sees_whether_it_was_released() {
    explore(|| {
        let model = Model::new([1, 0], quiet());
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || release_one(&model))
        };
        let page = model.front.claim_anywhere();
        let seen = page.is_some_and(|page| model.front.is_released(page, 1));
        let released = other.join().expect("it did not fail");
        // Either the page was out while somebody looked for it, or it is released by
        // now just if it was seen to be.
        assert!(page.is_none() || seen == released);
    });
}

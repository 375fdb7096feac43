//! Chunks that are listed, left and returned.

use loom::sync::Arc;
use loom::thread;

use super::super::atomic::Ordering;
use super::super::front::Bits;
use super::{BLOCKS, CHUNK, Model, explore, quiet, ready};

#[test]
fn a_ready_chunk_is_claimed_by_one_cpu() {
    explore(|| {
        let model = Model::new([u64::MAX, 0], ready());
        model.front.ready(0).set(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.claim_ready(0, model.place(1).id))
        };
        let mine = model.front.claim_ready(0, model.place(0).id);
        let theirs = other.join().expect("it did not fail");
        assert!(mine.is_some() != theirs.is_some(), "{mine:?} {theirs:?}");
        let owner = if mine.is_some() { 0 } else { 1 };
        assert_eq!(model.front.state(0).owner(), Some(model.place(owner).id));
        assert_eq!(model.front.ready(0).first(), None);
    });
}

#[test]
fn a_chunk_is_listed_while_its_stale_hint_is_cleared() {
    explore(|| {
        // One page below what is listed, but a hint says that it is.
        let model = Model::new([(1 << 8) - 2, 0], quiet());
        model.front.ready(0).set(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert_eq!(model.front.free_page(0), Some(Ok(()))))
        };
        let claimed = model.front.claim_ready(0, model.place(1).id);
        other.join().expect("it did not fail");
        if claimed.is_none() {
            assert!(model.front.state(0).is_ready(0));
            assert_eq!(
                model.front.ready(0).first(),
                Some(0),
                "nobody would find it"
            );
        }
    });
}

#[test]
fn a_chunk_that_is_left_while_its_pages_are_freed_is_listed() {
    explore(|| {
        // One page below what is listed, in one block; the free makes it enough.
        let model = Model::owned([(1 << 8) - 2, 0], 0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert_eq!(model.front.free_page(0), Some(Ok(()))))
        };
        model.front.leave(0);
        other.join().expect("it did not fail");
        assert!(model.front.state(0).is_ready(0));
        assert_eq!(model.front.ready(0).first(), Some(0));
    });
}

#[test]
fn a_page_that_is_freed_while_somebody_finds_none_is_found() {
    explore(|| {
        let model = Model::new([0; BLOCKS], quiet());
        model.front.nonempty().set(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert_eq!(model.front.free_page(0), Some(Ok(()))))
        };
        let found = model.front.claim_anywhere();
        other.join().expect("it did not fail");
        let later = model.front.claim_anywhere();
        assert!(found.is_some() != later.is_some(), "{found:?}, {later:?}");
    });
}

#[test]
fn the_last_free_of_a_chunk_and_its_return_do_not_miss_each_other() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], quiet());
        model.front.relist(1);
        let other = {
            let model = Arc::clone(&model);
            // Out of the second block: the first is taken whole and put back.
            thread::spawn(move || {
                if let Some(page) = model.front.take_run(2, 0) {
                    assert_eq!(model.front.free_run(page, 2), Some(Ok(())));
                }
            })
        };
        let taken = model.front.take_whole(0);
        other.join().expect("it did not fail");
        if taken {
            assert_eq!(model.free_pages(), []);
        } else {
            assert_eq!(model.free_pages().len(), CHUNK as usize);
            assert_eq!(
                model.front.full().first(),
                Some(0),
                "it would never go back"
            );
            assert!(model.front.state(0).is_ready(0), "nobody would use it");
        }
    });
}

#[test]
fn a_free_that_the_return_of_its_chunk_overtakes_is_a_free() {
    explore(|| {
        let mut free = [u64::MAX; BLOCKS];
        free[0] = 0;
        let model = Model::new(free, quiet());
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.free_page(0))
        };
        // All other pages of the block are freed at once.
        model.front.words(Bits::Free, 0)[0].fetch_or(!1, Ordering::SeqCst);
        model.return_it();
        let freed = other.join().expect("it did not fail");
        assert_eq!(freed, Some(Ok(())));
        assert!(model.is_one_s());
    });
}

#[test]
fn a_second_free_beside_a_return_changes_nothing() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], quiet());
        // Whether it is told to be one is a matter of luck: the page is free.
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let _ = model.front.free_page(0);
            })
        };
        model.return_it();
        other.join().expect("it did not fail");
        assert!(model.is_one_s());
    });
}

#[test]
fn a_chunk_that_cannot_be_taken_whole_is_listed_as_it_was() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], ready());
        model.front.ready(0).set(0);
        model.front.relist(1);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.take_run(2, 0))
        };
        let taken = model.front.take_whole(0);
        let run = other.join().expect("it did not fail");
        assert!(taken != run.is_some());
        assert!(taken || model.front.state(0).is_ready(0));
    });
}

#[test]
fn a_chunk_with_a_claimed_page_does_not_go_back() {
    explore(|| {
        let model = Model::new([u64::MAX; BLOCKS], ready());
        model.front.ready(0).set(0);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.take(model.place(1)))
        };
        let returned = model.front.take_whole(0);
        let page = other.join().expect("it did not fail");
        assert!(returned != page.is_some());
        let left = model.free_pages().len() as u32;
        assert_eq!(left, if returned { 0 } else { CHUNK - 1 });
    });
}

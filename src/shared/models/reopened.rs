//! A chunk comes back while the lists of what it was are cleared.

use loom::sync::Arc;
use loom::thread;

use super::super::front::BINS;
use super::{BLOCKS, CHUNK, Model, State, explore};

#[test]
fn a_chunk_that_is_opened_while_it_is_unlisted_is_listed() {
    explore(|| {
        // It went to the treap, and nobody has looked since.
        let model = Model::new([0; BLOCKS], State::TREAP);
        model.front.runs(0, BINS - 1).set(0);
        model.front.runs(0, BINS - 1).set(1);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.front.take_run(2, 0))
        };
        model.front.open(0, model.place(0));
        let run = other.join().expect("it did not fail");
        // Of all that is left a request finds every run.
        let mut found = 0;
        while model.front.take_run(16, 0).is_some() {
            found += 1;
        }
        let all = CHUNK / 16;
        assert_eq!(found, if run.is_some() { all - 1 } else { all });
    });
}

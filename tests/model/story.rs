//! A sequence of operations from a fresh heap to an empty one, and the words for
//! where it went wrong.

use std::collections::BTreeMap;
use std::str::FromStr;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::pair::Differs;
use super::{Kind, Model, Op, Outcome, Pair, Setup, operations, picture, setups};

/// How often each verb ended in each way.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<(&'static str, Outcome), u32>);

impl Seen {
    pub(crate) fn note(&mut self, op: &Op, outcome: Outcome) {
        *self.0.entry((op.verb(), outcome)).or_default() += 1;
    }

    pub(crate) fn count(&self, verb: &'static str, outcome: Outcome) -> u32 {
        self.0.get(&(verb, outcome)).copied().unwrap_or(0)
    }
}

/// Runs a sequence on a fresh heap and on the model, then frees everything.
///
/// # Errors
///
/// How they differ, with every step before it drawn: before, operation, after.
pub(crate) fn run<K: Kind>(setup: &Setup, ops: &[Op], seen: &mut Seen) -> Result<(), Differs> {
    let mut books = setup.books();
    let mut pair = Pair::<K::Heap<'_>>::new(setup, &mut books)?;
    let mut late = setup.late.clone();
    let mut story = Vec::new();
    for op in ops {
        let before = pair.model.clone();
        match op.apply(&mut pair, &mut late) {
            Ok(outcome) => {
                seen.note(op, outcome);
                story.push((before, op, outcome));
            }
            Err(differs) => {
                let last = format!("{op:?}");
                return Err(told(
                    setup,
                    &story,
                    &[&before, &pair.model],
                    &last,
                    &differs,
                ));
            }
        }
    }
    let before = pair.model.clone();
    pair.finish().map_err(|differs| {
        let last = "free all that is left";
        told(setup, &story, &[&before, &pair.model], last, &differs)
    })
}

/// The story of a failure: each state on a line, each operation between two.
fn told(
    setup: &Setup,
    story: &[(Model, &Op, Outcome)],
    ends: &[&Model; 2],
    last: &str,
    differs: &str,
) -> String {
    let mut text = format!("{differs}\n{setup:?}\n");
    for (before, op, outcome) in story {
        text += &format!("[{}]\n    {op:?} -> {outcome:?}\n", picture(before));
    }
    let [before, after] = ends.map(picture);
    text + &format!("[{before}]\n    {last} -> differs\n[{after}] (the model)\n")
}

/// So many stories with these page sizes, the same at every run: for suites that
/// replay each many times. No faults, no bad luck: those are the suite's.
pub(crate) fn recorded(physical: u64, huge: u64, count: u32, most: usize) -> Vec<(Setup, Vec<Op>)> {
    let stories = setups(physical, huge).prop_flat_map(|setup| {
        let ops = operations(&setup, most);
        (Just(setup), ops)
    });
    let mut runner = runner(1, [physical, huge]);
    (0..count)
        .map(|_| {
            let story = stories.new_tree(&mut runner).expect("a story");
            let (setup, mut ops) = story.current();
            ops.retain(|op| !matches!(op, Op::Fault { .. }));
            (setup, ops)
        })
        .collect()
}

/// A source of the same cases at every run, others for each salt;
/// `SPANHEAP_SEED` and `SPANHEAP_CASES` choose other ones, and more.
pub(crate) fn runner(cases: u32, salt: [u64; 2]) -> TestRunner {
    let config = Config {
        cases: self::cases(cases),
        failure_persistence: None,
        max_shrink_iters: 5_000,
        ..Config::default()
    };
    let mut seed = [0x5E; 32];
    let number = from_environment::<u64>("SPANHEAP_SEED").unwrap_or(0);
    for (bytes, word) in seed.chunks_mut(8).zip([number, salt[0], salt[1]]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// So many cases, unless the environment wants another number.
pub(crate) fn cases(usual: u32) -> u32 {
    from_environment("SPANHEAP_CASES").unwrap_or(usual)
}

fn from_environment<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

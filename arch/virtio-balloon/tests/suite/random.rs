//! Random devices under random loads.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use spanheap_virtio_balloon::Pieces;

use crate::case::{Case, Op, PAGES, run};
use crate::common::PATIENCE;
use crate::fake::{Act, MUST_TELL_HOST, OOM, REPORTING, STATS};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1..40_u32, any::<bool>()).prop_map(|(pages, zeroed)| Op::Alloc { pages, zeroed }),
        6 => any::<usize>().prop_map(Op::Free),
        4 => Just(Op::Release),
        2 => prop_oneof![0..PAGES, Just(u32::MAX)].prop_map(Op::Target),
        3 => (0..PAGES).prop_map(Op::Poll),
        1 => (1..PAGES).prop_map(Op::Relieve),
        1 => Just(Op::TakeStats),
        1 => Just(Op::Wake),
    ]
}

/// And what no honest device does.
fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => op(),
        1 => (0..5_u16).prop_map(Op::Early),
        1 => (0..17_usize).prop_map(Op::Shrink),
        1 => Just(Op::Restless),
    ]
}

fn honest() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Obey),
        1 => any::<u32>().prop_map(Act::Length),
        1 => (1..PATIENCE).prop_map(Act::After),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => honest(),
        1 => Just(Act::Sleep),
        1 => (1..40_u32).prop_map(Act::After),
        1 => any::<u32>().prop_map(Act::Id),
        1 => any::<u16>().prop_map(Act::Jump),
        1 => Just(Act::Twice),
    ]
}

fn features() -> impl Strategy<Value = u64> {
    prop::sample::subsequence(vec![MUST_TELL_HOST, STATS, OOM, REPORTING], 0..=4)
        .prop_map(|bits| bits.into_iter().sum())
}

fn pieces() -> impl Strategy<Value = Pieces> {
    prop_oneof![Just(Pieces::WholeHugePages), Just(Pieces::Any)]
}

/// The same cases in every run, unless the environment names others.
pub(crate) fn config() -> ProptestConfig {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: number("SPANHEAP_CASES").map_or(1_000, |cases: u64| cases as u32),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(number("SPANHEAP_SEED").unwrap_or(0x5ba1_1004)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_honest_device_and_the_heap_agree_on_every_page(
        offered in features(),
        pieces in pieces(),
        script in prop::collection::vec(honest(), 0..40),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        run(Case { offered, pieces, script, ignores_reset: false, ops }, true);
    }

    #[test]
    fn whatever_a_device_does_no_owner_loses_a_byte_and_the_heap_no_page(
        offered in features(),
        pieces in pieces(),
        script in prop::collection::vec(any_act(), 0..40),
        ignores_reset in any::<bool>(),
        ops in prop::collection::vec(any_op(), 1..60),
    ) {
        run(Case { offered, pieces, script, ignores_reset, ops }, false);
    }
}

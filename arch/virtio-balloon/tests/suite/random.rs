//! Random devices under random loads, against the owners' stamps, the heap's
//! own books and the device's.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use spanheap::{PageCount, Request};
use spanheap_virtio_balloon::{Health, Options, Pieces, PollEnd};

use crate::common::{Books, Owners, PATIENCE, PER_HUGE, Ram, drain};
use crate::fake::{Act, MUST_TELL_HOST, OOM, REPORTING, STATS, VERSION_1};

const HUGE_PAGES: u32 = 12;
const PAGES: u32 = HUGE_PAGES * PER_HUGE;

#[derive(Clone, Debug)]
enum Op {
    Alloc { pages: u32, zeroed: bool },
    Free(usize),
    Release,
    Target(u32),
    Poll(u32),
    Relieve(u32),
    TakeStats,
    Wake,
}

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

struct Case {
    offered: u64,
    pieces: Pieces,
    script: Vec<Act>,
    ignores_reset: bool,
    ops: Vec<Op>,
}

/// Runs a case; `honest` devices must come out of it in use.
fn run(case: Case, honest: bool) {
    let (ram, mut owners) = (Ram::new(HUGE_PAGES), Owners::default());
    let fake = ram.fake(VERSION_1 | case.offered);
    let mut books = Books::new(&ram);
    let options = Options::DEFAULT.pieces(case.pieces);
    let (heap, started) = books.try_heap(&ram, &fake, case.pieces, options);
    started.unwrap();
    fake.state().script = case.script.into();
    fake.state().ignores_reset = case.ignores_reset;
    let balloon = heap.backing();
    for op in case.ops {
        match op {
            Op::Alloc { pages, zeroed } => {
                let request = Request::pages(PageCount::new(pages));
                let request = if zeroed { request.zeroed() } else { request };
                if let Ok(span) = heap.alloc(request) {
                    owners.own(&heap, span);
                }
            }
            Op::Free(which) if !owners.spans.is_empty() => {
                owners.free(&heap, which % owners.spans.len());
            }
            Op::Free(_) => {}
            Op::Release => drop(heap.release_all()),
            Op::Target(units) => fake.state().num_pages = units,
            Op::Poll(budget) => {
                let done = balloon.poll(&heap, PageCount::new(budget));
                let broken = matches!(done.end, PollEnd::Broken(_));
                let moved = done.inflated.get() + done.deflated.get();
                assert!(moved <= budget || broken, "{done:?}");
            }
            Op::Relieve(pages) => drop(balloon.relieve(&heap, PageCount::new(pages))),
            Op::TakeStats => drop(fake.take_stats()),
            // Only what a broken device was asked is asleep for ever.
            Op::Wake if matches!(balloon.stats().health, Health::Broken { .. }) => fake.wake(),
            Op::Wake => {}
        }
        owners.look(&heap);
        heap.check().unwrap();
        let owned: u32 = owners
            .spans
            .iter()
            .map(|(span, _)| span.count().get())
            .sum();
        let (stats, own) = (heap.stats(), balloon.stats());
        assert_eq!(stats.in_use.get(), owned + own.held.get());
        if own.health == Health::Working {
            let books = u64::from(own.held.get()) + u64::from(own.inflated.get());
            assert_eq!(fake.state().ballooned.len() as u64, books);
        }
    }
    if honest {
        assert_eq!(balloon.stats().health, Health::Working);
    }
    // In the end the device lets go, and all that it need not be told of is
    // there again.
    if matches!(balloon.stats().health, Health::Broken { .. }) {
        fake.wake();
    }
    fake.state().script.clear();
    fake.state().ignores_reset = false;
    fake.state().num_pages = 0;
    let end = balloon.poll(&heap, PageCount::new(u32::MAX)).end;
    owners.look(&heap);
    while !owners.spans.is_empty() {
        owners.free(&heap, 0);
    }
    let own = balloon.stats();
    let told = case.offered & MUST_TELL_HOST == 0 || end == PollEnd::Reached;
    if told {
        assert_eq!(own.held, PageCount::ZERO);
        assert_eq!(drain(&heap, &mut owners), PAGES);
    } else {
        // None is lost: what is not free is held, or refused.
        let stats = heap.stats();
        assert_eq!(stats.idle.get() + own.held.get(), PAGES);
        assert!(drain(&heap, &mut owners) <= stats.idle.get());
    }
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
        ops in prop::collection::vec(op(), 1..60),
    ) {
        run(Case { offered, pieces, script, ignores_reset, ops }, false);
    }
}

//! A device and a load as data, and what must hold of them: the owners' stamps, the
//! heap's own books and the device's.

use spanheap::{PageCount, Request};
use spanheap_virtio_balloon::{Health, Options, Pieces, PollEnd};

use super::common::{Books, Owners, PER_HUGE, Ram, drain};
use super::fake::{Act, MUST_TELL_HOST, VERSION_1};

const HUGE_PAGES: u32 = 12;
pub(crate) const PAGES: u32 = HUGE_PAGES * PER_HUGE;

/// What is done.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Alloc {
        pages: u32,
        zeroed: bool,
    },
    Free(usize),
    Release,
    Target(u32),
    Poll(u32),
    Relieve(u32),
    TakeStats,
    Wake,
    /// The device answers on a queue what nobody has asked, if the queue is there.
    Early(u16),
    /// Its configuration is no longer than so many bytes from now on.
    Shrink(usize),
    /// It wants everything and nothing, by turns.
    Restless,
}

/// What the device is like, and what is done.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) offered: u64,
    pub(crate) pieces: Pieces,
    pub(crate) script: Vec<Act>,
    pub(crate) ignores_reset: bool,
    pub(crate) ops: Vec<Op>,
}

/// Runs a case; `honest` devices must come out of it in use.
pub(crate) fn run(case: Case, honest: bool) {
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
            Op::Early(index) => drop(fake.try_answer_early(index)),
            Op::Shrink(bytes) => {
                let mut state = fake.state();
                state.config_bytes = bytes.min(state.config_bytes);
            }
            Op::Restless => fake.state().restless ^= true,
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
    fake.state().restless = false;
    fake.state().num_pages = 0;
    let end = balloon.poll(&heap, PageCount::new(u32::MAX)).end;
    owners.look(&heap);
    while !owners.spans.is_empty() {
        owners.free(&heap, 0);
    }
    let (stats, own) = (heap.stats(), balloon.stats());
    let drained = drain(&heap, &mut owners);
    // It may break as late as that.
    let works = end == PollEnd::Reached && balloon.stats().health == Health::Working;
    if case.offered & MUST_TELL_HOST == 0 || works {
        assert_eq!(own.held, PageCount::ZERO);
        assert_eq!(drained, PAGES);
    } else {
        // None is lost: what is not free is held, or refused.
        assert_eq!(stats.idle.get() + own.held.get(), PAGES);
        assert!(drained <= stats.idle.get());
    }
}

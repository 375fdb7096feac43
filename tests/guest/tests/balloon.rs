//! The host's memory follows the heap's counters.
//!
//! What the guest counts as released must be what QEMU no longer has, by its
//! share of the host's memory (Pss), which the runner reads while the guest
//! waits. Where the host has huge pages, those behind memory in use stay.

#![no_std]
#![no_main]

use spanheap::{PageCount, ReleaseEnd, Request, Span};
use spanheap_guest::balloon::{HUGE, Heap, PAGE, fill, start, verify};
use spanheap_guest::host::{self, HostMemory};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::{case, kernel, pointer, println};
use spanheap_virtio_balloon::{Health, PollEnd};

kernel!(run);

/// What is touched and released.
const MOVED: PageCount = PageCount::new(256 * HUGE);
/// What stays in use meanwhile.
const LIVE: PageCount = PageCount::new(64 * HUGE);
const ROUNDS: usize = 5;

fn run(memory: &BootMemory) {
    let heap = start(memory);

    let live = heap.alloc(LIVE).expect("memory");
    fill(heap, &live, 7);
    // What the machine had never used costs nothing; so that it all does.
    let rest = heap.alloc(MOVED).expect("memory");
    fill(heap, &rest, 0);
    heap.free(rest).expect("in use");
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);

    case(
        "released memory is the host's, and comes back right",
        || falls(heap, &live),
    );
    case("the host gets what it wants, and gives it back", || {
        wanted(heap, &live)
    });
    case("without memory left, the balloon gives some back", || {
        relieved(heap, &live)
    });
    assert_eq!(heap.backing().stats().health, Health::Working);
    heap.check().expect("sound books");
}

/// Whether `bytes` is `expected` but for so many percent.
fn about(bytes: i64, expected: u64, percent: i64) -> bool {
    let expected = expected as i64;
    (bytes - expected).abs() * 100 <= expected * percent
}

fn difference(high: HostMemory, low: HostMemory) -> i64 {
    high.pss as i64 - low.pss as i64
}

/// Touches memory and releases it, and looks at the host's before, when it is
/// touched, and after. Tries more often if the host was busy with other things
/// meanwhile, which its free memory shows and QEMU's share does not.
fn falls(heap: &Heap, live: &Span) {
    let moved = heap.stats().bytes(MOVED);
    let rose = (0..3).any(|_| {
        let rounds = [(); ROUNDS].map(|()| round(heap, live));
        let fall = median(rounds.map(|round| round.fall));
        let rise = median(rounds.map(|round| round.rise));
        let available = median(rounds.map(|round| round.available));
        println!(
            "    counted {} KiB, fell {} KiB, rose {} KiB; the host's free memory rose by {} KiB",
            moved >> 10,
            fall >> 10,
            rise >> 10,
            available >> 10
        );
        assert!(about(fall, moved, 1), "the fall is not what was counted");
        assert!(about(rise, moved, 1), "the rise is not what was touched");
        about(available, moved, 10)
    });
    assert!(rose, "the host has not got what QEMU has lost");

    let zeroed = heap.alloc(Request::pages(MOVED).zeroed()).expect("memory");
    for page in heap
        .window()
        .bytes_of(zeroed.range())
        .step_by(PAGE as usize)
    {
        // SAFETY: the pages are in use, and the test's.
        assert_eq!(unsafe { pointer::<u64>(page).read_volatile() }, 0);
    }
    heap.free(zeroed).expect("in use");
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
}

/// What one round of touching and releasing did to the host's memory.
#[derive(Clone, Copy)]
struct Round {
    fall: i64,
    rise: i64,
    available: i64,
}

fn round(heap: &Heap, live: &Span) -> Round {
    let empty = host::memory();
    let span = heap.alloc(MOVED).expect("memory");
    let seed = heap.stats().unused_calls;
    fill(heap, &span, seed);
    verify(heap, &span, seed);
    let full = host::memory();
    heap.free(span).expect("in use");
    let before = heap.stats().released.get();
    let release = heap.release_all();
    assert_eq!((release.end, release.pages), (ReleaseEnd::Drained, MOVED));
    assert_eq!(heap.stats().released.get(), before + MOVED.get());
    let after = host::memory();

    // What is in huge pages now is what is in use; none where the host has no
    // huge pages.
    assert!(
        about(after.huge as i64, empty.huge, 2) || after.huge > empty.huge,
        "huge pages of live memory were split: {empty:?}, then {after:?}"
    );
    println!(
        "    Pss {}, {}, {} MiB, of it in huge pages {}, {}, {} MiB",
        empty.pss >> 20,
        full.pss >> 20,
        after.pss >> 20,
        empty.huge >> 20,
        full.huge >> 20,
        after.huge >> 20
    );
    verify(heap, live, 7);
    Round {
        fall: difference(full, after),
        rise: difference(full, empty),
        available: after.available as i64 - full.available as i64,
    }
}

fn median(mut values: [i64; ROUNDS]) -> i64 {
    values.sort_unstable();
    values[ROUNDS / 2]
}

/// Follows the host's target until it is reached.
fn follow(heap: &Heap) {
    for _ in 0..1000 {
        let poll = heap.backing().poll(heap, PageCount::new(u32::MAX));
        if poll.end == PollEnd::Reached && poll.inflated.get() + poll.deflated.get() == 0 {
            return;
        }
    }
    panic!("the target is not reached: {:?}", heap.backing().stats());
}

/// How much the host has taken when it wants the machine to be of this size.
const TAKEN: PageCount = PageCount::new(300 * HUGE);

fn wanted(heap: &Heap, live: &Span) {
    let whole = host::size();
    let span = heap.alloc(TAKEN).expect("memory");
    fill(heap, &span, 1);
    heap.free(span).expect("in use");
    let full = host::memory();
    let taken = heap.stats().bytes(TAKEN);
    host::want(whole - taken);
    follow(heap);
    assert_eq!(heap.backing().stats().held, TAKEN);
    assert_eq!(host::size(), whole - taken);
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    let fell = difference(full, host::memory());
    println!("    wanted {} KiB, fell {} KiB", taken >> 10, fell >> 10);
    assert!(about(fell, taken, 2), "the host has not got what it wanted");
    verify(heap, live, 7);

    host::want(whole);
    follow(heap);
    assert_eq!(heap.backing().stats().held, PageCount::ZERO);
    assert_eq!(host::size(), whole);
    let span = heap.alloc(TAKEN).expect("memory again");
    fill(heap, &span, 2);
    verify(heap, &span, 2);
    verify(heap, live, 7);
    heap.free(span).expect("in use");
}

fn relieved(heap: &Heap, live: &Span) {
    let whole = host::size();
    host::want(whole - heap.stats().bytes(TAKEN));
    follow(heap);
    assert_eq!(heap.backing().stats().held, TAKEN);
    // More than is left, and less than there is.
    let count = (heap.stats().idle.get() / HUGE + 100) as usize;
    let mut pieces = [const { None }; 512];
    for (number, place) in pieces[..count].iter_mut().enumerate() {
        let piece = heap
            .alloc(PageCount::new(HUGE))
            .expect("out of the balloon");
        fill(heap, &piece, number as u64);
        *place = Some(piece);
    }
    let held = heap.backing().stats().held;
    println!(
        "    {count} pieces, {} of them the balloon's",
        (TAKEN.get() - held.get()) / HUGE
    );
    assert!(held < TAKEN);
    for (number, piece) in pieces.iter().flatten().enumerate() {
        verify(heap, piece, number as u64);
    }
    verify(heap, live, 7);
    heap.check().expect("sound books");
}

//! How fast the reporting queue gives memory back, beside the host's own
//! `madvise` over pieces of the same size, by turns.
//!
//! What is timed is what a kernel waits for: the heap's search and books, the
//! driver's descriptors, and QEMU's work on them. A huge page that is in use
//! lies between any two that are released, so that each is a descriptor of its
//! own. A round counts only if QEMU's memory fell by what was claimed, and only
//! where the host has huge pages: without them, clearing 512 entries of a page
//! table is all that is measured.

#![no_std]
#![no_main]

use spanheap::{PageCount, ReleaseEnd, Request};
use spanheap_guest::balloon::{HUGE, HUGE_BYTES, Heap, fill, start};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::{host, kernel, println};

kernel!(run);

const PIECES: usize = 256;
const CLAIM: u64 = PIECES as u64 * HUGE_BYTES;
const ROUNDS: usize = 5;

fn run(memory: &BootMemory) {
    let heap = start(memory);
    let clock = Hpet::start();
    let huge = Request::pages(PageCount::new(HUGE)).aligned(HUGE_BYTES);

    // Every second one stays; the machine never touches those.
    let mut holes = [const { None }; PIECES];
    for hole in &mut holes {
        *hole = Some(heap.alloc(huge.clone()).expect("memory"));
        let _between = heap.alloc(huge.clone()).expect("memory");
    }
    for hole in holes.iter().flatten() {
        heap.free(*hole).expect("in use");
    }
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);

    let (mut guest, mut host, mut void) = (0, 0, 0);
    for round in 0..ROUNDS {
        let spans = [(); PIECES].map(|()| heap.alloc(huge.clone()).expect("memory"));
        for span in &spans {
            fill(heap, span, round as u64);
        }
        for span in spans {
            heap.free(span).expect("in use");
        }
        let full = host::memory();
        let took = release(heap, &clock);
        let after = host::memory();
        let alone = host::discard(PIECES as u64, HUGE_BYTES);

        let (fell, in_huge) = (full.pss - after.pss, full.huge - after.huge);
        println!(
            "    round {round}: guest {} GiB/s, host alone {} GiB/s, Pss fell by {} of {} MiB, {} of it in huge pages",
            gibibytes_per_second(took),
            gibibytes_per_second(alone),
            fell >> 20,
            CLAIM >> 20,
            in_huge >> 20
        );
        // Whatever the speed, what was claimed must be true.
        assert!(
            fell * 100 >= CLAIM * 99,
            "the host got less than was claimed"
        );
        void += u32::from(in_huge * 100 < CLAIM * 99);
        guest = guest.max(gibibytes_per_second(took));
        host = host.max(gibibytes_per_second(alone));
    }
    if void > 0 {
        println!("  reporting: not measured, the host gives QEMU no transparent huge pages");
    } else {
        println!(
            "  reporting, 2 MiB a descriptor, best of {ROUNDS}: {guest} GiB/s; madvise on the host: {host} GiB/s; {} %",
            guest * 100 / host.max(1)
        );
    }
}

/// Releases all that is idle, and returns how many nanoseconds that took.
fn release(heap: &Heap, clock: &Hpet) -> u64 {
    let begin = clock.ticks();
    let release = heap.release_all();
    let end = clock.ticks();
    assert_eq!(release.end, ReleaseEnd::Drained);
    assert_eq!(heap.stats().bytes(release.pages), CLAIM);
    clock.nanoseconds(end - begin)
}

fn gibibytes_per_second(nanoseconds: u64) -> u64 {
    (CLAIM * 1_000_000_000 / nanoseconds.max(1)) >> 30
}

/// The machine's high precision event timer: 100 MHz in QEMU, by the host's
/// clock.
struct Hpet(*mut u64);

impl Hpet {
    const AT: usize = 0xfed0_0000;
    /// Registers, in words of 8 bytes.
    const CAPABILITIES: usize = 0;
    const CONFIGURATION: usize = 2;
    const COUNTER: usize = 30;

    fn start() -> Self {
        let clock = Self(core::ptr::with_exposed_provenance_mut(Self::AT));
        let on = clock.0.wrapping_add(Self::CONFIGURATION);
        // SAFETY: a PC has its timer there, the low 4 GiB are mapped one to one,
        // and nothing else uses it.
        unsafe { on.write_volatile(1) };
        clock
    }

    fn ticks(&self) -> u64 {
        // SAFETY: as in `start`.
        unsafe { self.0.wrapping_add(Self::COUNTER).read_volatile() }
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        // SAFETY: as in `start`.
        let capabilities = unsafe { self.0.wrapping_add(Self::CAPABILITIES).read_volatile() };
        let femtoseconds = capabilities >> 32;
        ticks * femtoseconds / 1_000_000
    }
}

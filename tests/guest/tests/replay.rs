//! A recorded page trace, replayed inside the guest over the balloon.
//!
//! The runner hands over a tape as a module, and the kernel does what it says:
//! allocates, frees, releases everything idle, and is measured. Or it leaves it to a
//! scavenger when to release what, by the trace's time; then, once the trace has
//! ended, all is freed, and without another call to the heap everything must be the
//! host's again within the policy's deadline. Every page is
//! stamped when it is handed out, and its stamp verified when it is freed or, if
//! it is never freed, at the end; by then everything idle is released, so that a
//! release that took a live page's memory does not go unseen.
//!
//! Whenever it is measured, what QEMU has of the host's memory beyond what it had
//! at the beginning must lie between what is in use, since all of that was written
//! to, and what the heap counts as resident. And it must be the latter, if the
//! host's pages are those that the heap commits: single pages, or huge pages where
//! the host has them, since one that is touched brings all of it.

#![no_std]
#![no_main]

mod live;

use core::slice;

use spanheap::{PageCount, Policy, ReleaseEnd, Scavenger, Stats};
use spanheap_guest::balloon::{self, Heap, PAGE, start_with};
use spanheap_guest::host::{self, HostMemory, SLACK, Sample};
use spanheap_guest::memory::BootMemory;
use spanheap_guest::{case, kernel, pointer, println};
use spanheap_guest_tape::{Event, Tape};
use spanheap_virtio_balloon::Health;

use live::Live;

kernel!(run);

fn run(memory: &BootMemory) {
    // A slot for each page: nearly every block of such a trace is one.
    let heap = start_with(memory, balloon::pieces(memory), 1);
    let module = memory.module().expect("a tape, as a module");
    let length = (module.end - module.start) as usize;
    // SAFETY: the module is in the direct map, and is not the heap's nor
    // anything else's, so that nothing writes to it.
    let bytes = unsafe { slice::from_raw_parts(pointer::<u8>(module.start), length) };
    let tape = Tape::new(bytes).expect("a tape");
    assert_eq!(tape.page_bytes(), PAGE);
    if memory.command_line().contains("scavenge") {
        case("the host gets back what a scavenger thinks right", || {
            scavenge(heap, &tape)
        });
    } else {
        case("the host's memory follows a recorded trace", || {
            play(heap, &tape)
        });
    }
}

fn play(heap: &Heap, tape: &Tape<'_>) {
    let mut live = Live::new(heap, tape.seats());
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    let mut scales = Scales::new(heap);
    let mut verified = PageCount::ZERO;
    let mut events = 0;
    for event in tape.events() {
        match event.expect("a tape that was written whole") {
            Event::Alloc { seat, pages } => live.alloc(seat, pages),
            Event::Free { seat } => live.free(seat),
            Event::FreePart { seat, part } => live.free_part(seat, part),
            Event::Release => assert_eq!(heap.release_all().end, ReleaseEnd::Drained),
            Event::Sample { at_ms } => scales.weigh(at_ms, live.pages()),
            Event::Alive { seat, part } => {
                live.alive(seat, part);
                verified = PageCount::new(verified.get() + part.count().get());
            }
        }
        events += 1;
    }
    println!(
        "    {events} events, {} pages live at the end",
        verified.get()
    );
    assert_eq!(verified, live.pages(), "not all that lives was verified");
    scales.conclude();
    assert_eq!(heap.backing().stats().health, Health::Working);
    heap.check().expect("sound books");
}

/// Plays a tape, but for its releases.
fn scavenge(heap: &Heap, tape: &Tape<'_>) {
    let mut live = Live::new(heap, tape.seats());
    assert_eq!(heap.release_all().end, ReleaseEnd::Drained);
    let mut scales = Scales::new(heap);
    let mut scavenger = Scavenger::new(Policy::BALANCED);
    // Nanoseconds of the trace's time: now, and when the scavenger wants to be called.
    let (mut now, mut next) = (0, 0);
    for event in tape.events() {
        match event.expect("a tape that was written whole") {
            Event::Alloc { seat, pages } => live.alloc(seat, pages),
            Event::Free { seat } => live.free(seat),
            Event::FreePart { seat, part } => live.free_part(seat, part),
            Event::Release => {}
            Event::Sample { at_ms } => {
                now = at_ms * NS_PER_MS;
                while next <= now {
                    next = scavenger.poll(&mut &*heap, next);
                }
                scales.weigh(at_ms, live.pages());
            }
            Event::Alive { seat, part } => live.free_part(seat, part),
        }
    }
    assert_eq!(
        live.pages(),
        PageCount::ZERO,
        "not all that lives was freed"
    );

    let policy = scavenger.policy();
    let deadline = now + policy.deadline_ns + policy.deadline_ns / 8;
    let mut polls = 0;
    while next <= deadline && heap.stats().huge_resident > 0 {
        now = next;
        next = scavenger.poll(&mut &*heap, now);
        polls += 1;
        // Often enough for a picture.
        if polls % 8 == 0 {
            scales.weigh(now / NS_PER_MS, PageCount::ZERO);
        }
    }
    scales.weigh(now / NS_PER_MS, PageCount::ZERO);
    println!(
        "    idle after another {polls} polls, at {} ms",
        now / NS_PER_MS
    );
    assert_eq!(
        heap.stats().huge_resident,
        0,
        "not all of it within the deadline"
    );
    scales.conclude();
    assert!(scales.last.host <= SLACK, "the host has not got it back");
    assert_eq!(heap.backing().stats().health, Health::Working);
    heap.check().expect("sound books");
}

const NS_PER_MS: u64 = 1_000_000;

/// What the heap counts on one side, what the host counts on the other; each less
/// what it was before the first event.
struct Scales<'h> {
    heap: &'h Heap,
    before: Stats,
    host_before: HostMemory,
    /// When most was resident.
    fullest: Weights,
    last: Weights,
    /// How much more the host had than is in use, at the least.
    least_over_use: i64,
    /// How much more the host had than is resident, at the least and at the most.
    over_resident: [i64; 2],
}

/// Bytes at one moment.
#[derive(Clone, Copy, Default)]
struct Weights {
    resident: i64,
    host: i64,
    /// What of the host's is in huge pages.
    huge: i64,
}

impl<'h> Scales<'h> {
    fn new(heap: &'h Heap) -> Self {
        Self {
            heap,
            before: heap.stats(),
            host_before: host::memory(),
            fullest: Weights::default(),
            last: Weights::default(),
            least_over_use: 0,
            over_resident: [0; 2],
        }
    }

    /// Tells the runner what the heap counts, and weighs it against what the host
    /// does. So many pages live.
    fn weigh(&mut self, at_ms: u64, live: PageCount) {
        let now = self.heap.stats();
        assert_eq!(now.in_use.get() - self.before.in_use.get(), live.get());
        assert_eq!(now.in_use.get() + now.idle.get(), now.sys.get());
        let idle = PageCount::new(now.idle.get() - now.released.get());
        let host = host::sample(Sample {
            at_ms,
            in_use: now.bytes(live),
            idle: now.bytes(idle),
            released: now.bytes(now.released),
        });
        let more = |now: u64, before: u64| now as i64 - before as i64;
        let weights = Weights {
            resident: more(now.bytes(now.resident()), now.bytes(self.before.resident())),
            host: more(host.pss, self.host_before.pss),
            huge: more(host.huge, self.host_before.huge),
        };
        let over_use = weights.host - now.bytes(live) as i64;
        self.least_over_use = self.least_over_use.min(over_use);
        let over = weights.host - weights.resident;
        let [least, most] = self.over_resident;
        self.over_resident = [least.min(over), most.max(over)];
        if weights.resident > self.fullest.resident {
            self.fullest = weights;
        }
        self.last = weights;
    }

    fn conclude(&self) {
        let Self { fullest, last, .. } = self;
        let [least, most] = self.over_resident;
        println!(
            "    resident {} MiB at most, QEMU had {} MiB then; at the end {}, and {} MiB",
            fullest.resident >> 20,
            fullest.host >> 20,
            last.resident >> 20,
            last.host >> 20
        );
        println!(
            "    at any time, QEMU had from {} to {} KiB more than was resident",
            least >> 10,
            most >> 10
        );
        assert!(fullest.resident > 0, "nothing was weighed");
        assert!(most <= SLACK, "released memory is still the host's burden");
        assert!(self.least_over_use >= -SLACK, "memory in use is not there");
        let single = self.before.geometry.physical_bytes() == PAGE;
        if single || fullest.huge >= fullest.resident - SLACK {
            assert!(least >= -SLACK, "resident memory is not there");
        } else {
            println!("    less, since the host has too few huge pages");
        }
    }
}

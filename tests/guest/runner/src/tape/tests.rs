//! A small trace, event by event, and all of the one that ships.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// An event of the trace format.
enum Recorded {
    Alloc(u64),
    /// How many blocks were allocated since, itself included.
    Free(u64),
    /// The same, and the part.
    Part(u64, u64, u64),
    /// Milliseconds.
    Time(u64),
}

/// Writes a trace with this header's counts, and reads it.
fn trace(header: &str, events: &[Recorded]) -> Trace {
    let mut bytes = format!("PAGETRACE 1\n{{{header},\"source\":\"\"}}\n").into_bytes();
    let integers = events.iter().flat_map(|event| match *event {
        Recorded::Alloc(pages) => vec![pages << 4],
        Recorded::Free(back) => vec![back << 2 | 1],
        Recorded::Part(back, start, pages) => vec![back << 2 | 2, start, pages],
        Recorded::Time(ms) => vec![ms << 3 | 3],
    });
    for mut integer in integers {
        while integer > 0x7f {
            bytes.push(integer as u8 | 0x80);
            integer >>= 7;
        }
        bytes.push(integer as u8);
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&bytes).unwrap();
    trace::read(packed.finish().unwrap().as_slice()).unwrap()
}

fn part(start: u32, end: u32) -> PageRange {
    PageRange::between(Page::new(start), Page::new(end)).unwrap()
}

#[test]
fn time_becomes_samples_and_releases_and_what_lives_is_named() {
    use Recorded::{Alloc, Free, Part, Time};
    let trace = trace(
        r#""page_size":4096,"events":7,"allocs":3,"frees":4,"partial_frees":3,"peak_live_pages":20,"ms":290"#,
        &[
            Alloc(8),
            Time(30),
            Alloc(4),
            // In parts: two of the first, which leaves three pieces of it...
            Part(2, 2, 1),
            Part(2, 5, 1),
            Time(195),
            // ... and all of the second, whose seat is taken again.
            Part(1, 0, 4),
            Alloc(14),
            Time(20),
            Time(10),
            Free(1),
            Time(35),
        ],
    );
    let [first, second] = [0, 1].map(Seat::new);
    let alloc = |seat, pages| Event::Alloc {
        seat,
        pages: PageCount::new(pages),
    };
    let mut expected = vec![
        Event::Sample { at_ms: 0 },
        alloc(first, 8),
        Event::Sample { at_ms: 25 },
        alloc(second, 4),
        Event::FreePart {
            seat: first,
            part: part(2, 3),
        },
        Event::FreePart {
            seat: first,
            part: part(5, 6),
        },
    ];
    expected.extend((2..=9).map(|number| Event::Sample { at_ms: 25 * number }));
    expected.extend([
        Event::FreePart {
            seat: second,
            part: part(0, 4),
        },
        alloc(second, 14),
        Event::Sample { at_ms: 250 },
        Event::Release,
        Event::Sample { at_ms: 250 },
        Event::Free { seat: second },
        Event::Sample { at_ms: 275 },
        Event::Sample { at_ms: 290 },
        Event::Release,
        Event::Sample { at_ms: 290 },
        Event::Alive {
            seat: first,
            part: part(0, 2),
        },
        Event::Alive {
            seat: first,
            part: part(3, 5),
        },
        Event::Alive {
            seat: first,
            part: part(6, 8),
        },
    ]);
    assert_eq!(events(&trace), expected);
}

#[test]
fn every_page_of_the_shipped_trace_is_allocated_freed_or_alive_once() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../replay/traces")
        .join("redis.pagetrace.gz");
    let trace = trace::read(File::open(file).unwrap()).unwrap();
    // Which pages live, by seat and place in the block.
    let mut live = BTreeSet::new();
    let mut pages = vec![0; trace.seats as usize];
    let mut times = Vec::new();
    let mut releases = 0;
    for event in events(&trace) {
        match event {
            Event::Alloc { seat, pages: count } => {
                pages[seat.index()] = count.get();
                for page in 0..count.get() {
                    assert!(live.insert((seat, page)));
                }
            }
            Event::Free { seat } => {
                for page in 0..pages[seat.index()] {
                    assert!(live.remove(&(seat, page)));
                }
            }
            // What is alive at the end is taken away, too, so that nothing is
            // left.
            Event::FreePart { seat, part } | Event::Alive { seat, part } => {
                for page in part.pages() {
                    assert!(live.remove(&(seat, page.number())));
                }
            }
            Event::Sample { at_ms } => times.push(at_ms),
            Event::Release => releases += 1,
        }
    }
    assert!(live.is_empty());
    assert!(times.is_sorted());
    assert_eq!(releases, trace.header.ms / RELEASE_EVERY_MS + 1);
    let distances = times.windows(2).map(|pair| pair[1] - pair[0]);
    assert_eq!(distances.max(), Some(SAMPLE_EVERY_MS));
    assert_eq!(times.last(), Some(&trace.header.ms));
}

#[test]
fn the_file_holds_what_the_guest_will_read() {
    use Recorded::{Alloc, Free};
    let trace = trace(
        r#""page_size":4096,"events":2,"allocs":1,"frees":1,"partial_frees":0,"peak_live_pages":3,"ms":0"#,
        &[Alloc(3), Free(1)],
    );
    let written = Tape::write(&trace).unwrap();
    let mut bytes = Vec::new();
    // By the name that QEMU is given.
    let mut file = File::open(written.path()).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    let tape = spanheap_guest_tape::Tape::new(&bytes).unwrap();
    assert_eq!((tape.page_bytes(), tape.seats()), (4096, 1));
    let read: Vec<_> = tape.events().map(Result::unwrap).collect();
    assert_eq!(read, events(&trace));
}

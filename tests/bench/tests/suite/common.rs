//! Small ranges, a made-up trace, and terms that take no time.

use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use spanheap_bench::contest::{Job, Terms, run};
use spanheap_bench::figure::Full;
use spanheap_bench::meter::Effort;
use spanheap_bench::options::range;
use spanheap_bench::results::{Place, Results};
use spanheap_bench::work::Work;
use spanheap_bench::work::play::Recording;
use spanheap_replay::trace;

/// Sixteen huge pages.
pub(crate) const PAGES: u32 = 16 * 512;

/// All works in a range.
pub(crate) const WORKS: [Work; 9] = [
    Work::Hot,
    Work::Bulk,
    Work::Half,
    Work::Mixed(Full(70)),
    Work::Huge,
    Work::PairTwo,
    Work::RandomTwo,
    Work::Pass,
    Work::SetUp,
];

/// Everyone, everything, once.
pub(crate) fn terms() -> Terms {
    Terms {
        effort: Effort {
            pairs: 1024,
            most_pages: PAGES,
            patience: Duration::from_secs(60),
        },
        all_locked: true,
        contenders: Vec::new(),
    }
}

/// The results of everything, once.
pub(crate) fn results() -> &'static Results {
    static RESULTS: OnceLock<Results> = OnceLock::new();
    RESULTS.get_or_init(|| run(&[small(&WORKS), made_up(true)], &terms(), |_, _| {}))
}

/// Works in a small range.
pub(crate) fn small(works: &[Work]) -> Job {
    range(PAGES, PAGES, works.to_vec()).expect("a small range")
}

/// A job of a made-up trace: blocks of 1 to 16 pages, every other one freed,
/// some of them in two parts.
pub(crate) fn made_up(with_parts: bool) -> Job {
    let mut events = Vec::new();
    let mut event = |numbers: &[u64]| {
        for &number in numbers {
            leb128(&mut events, number);
        }
    };
    let (blocks, mut pages, mut peak) = (300_u64, 0, 0);
    let (mut frees, mut partial) = (0, 0);
    for block in 0..blocks {
        let size = block % 16 + 1;
        event(&[((size << 2) | (block % 4)) << 2]);
        pages += size;
        peak = peak.max(pages);
        // Time passes, a millisecond for each block.
        event(&[1 << 3 | 3]);
        if block % 2 == 1 {
            if with_parts && size > 3 {
                event(&[1 << 2 | 2, 1, 2]);
                event(&[1 << 2 | 2, 0, 1]);
                event(&[1 << 2 | 2, 3, size - 3]);
                (frees, partial) = (frees + 3, partial + 3);
            } else {
                event(&[1 << 2 | 1]);
                frees += 1;
            }
            pages -= size;
        }
    }
    let events_in_all = blocks * 2 + frees;
    let header = format!(
        "PAGETRACE 1\n{{\"page_size\":4096,\"events\":{events_in_all},\"allocs\":{blocks},\
         \"frees\":{frees},\"partial_frees\":{partial},\"peak_live_pages\":{peak},\
         \"ms\":{blocks},\"source\":\"made up\"}}\n"
    );
    let mut file = GzEncoder::new(Vec::new(), Compression::fast());
    file.write_all(header.as_bytes()).expect("memory");
    file.write_all(&events).expect("memory");
    let file = file.finish().expect("memory");
    let trace = trace::read(file.as_slice()).expect("a possible trace");
    let recording = Recording::new("made-up".into(), trace).expect("a small trace");
    Job {
        place: Place::Trace("made-up".into()),
        ground: recording.ground,
        recording: Some(recording),
        works: vec![Work::Play],
        rounds: 1,
    }
}

fn leb128(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

//! Files that are no traces: a typed error, one line, exit code 2, no panic.

use crate::common::{self, Writer, gzip, random_trace, refused, replay};
use spanheap_replay::trace::{EventFault, TraceError, read};

fn error_of(bytes: &[u8]) -> TraceError {
    match read(bytes) {
        Ok(trace) => panic!("read as a trace: {trace:?}"),
        Err(error) => error,
    }
}

/// The error of a trace whose last event is wrong.
fn fault_of(trace: &Writer) -> EventFault {
    match error_of(&trace.gzip()) {
        TraceError::Event { number, fault } => {
            assert_eq!(number, trace.events, "the event is named");
            fault
        }
        other => panic!("{other:?}"),
    }
}

fn small() -> Writer {
    let mut trace = Writer::new(4096);
    let block = trace.alloc(300);
    trace.tick(12);
    trace.alloc(7);
    trace.free_part(block, 100, 50);
    trace
}

#[test]
fn the_small_trace_itself_is_good() {
    let trace = read(&small().gzip()[..]).unwrap();
    assert_eq!(trace.ops.len(), 3);
    assert_eq!(trace.header.peak_live_pages, 307);
}

#[test]
fn every_kind_of_bad_file_is_one_line_and_exit_code_2() {
    let good = small().gzip();
    let mut damaged = good.clone();
    // In the checksum at the end.
    let last = damaged.len() - 6;
    damaged[last] ^= 0x10;
    let mut counts = small();
    counts.allocs += 1;
    let mut endless = small();
    endless.bytes.extend([0xff; 12]);
    let mut unknown = small();
    unknown.bytes.extend([9 << 2 | 1]);
    let mut outside = small();
    outside.free_part(1, 5, 3);
    let mut bomb = small();
    bomb.events = u64::MAX;
    let mut block = small();
    block.alloc(1 << 40);
    let mut memory = Writer::new(2 << 20);
    memory.alloc(1 << 30);
    let mut window = Writer::new(4096);
    for _ in 0..8 {
        window.alloc((1 << 32) - 1);
    }
    let cases: [(&str, Vec<u8>, &str); 17] = [
        ("nothing", vec![], "empty"),
        ("gzip-of-nothing", gzip(b""), "empty"),
        ("text", b"no trace at all".to_vec(), "not gzip"),
        ("other", gzip(b"something else altogether"), "PAGETRACE"),
        ("version", gzip(b"PAGETRACE 2\n{}\n"), "version"),
        ("header", gzip(b"PAGETRACE 1\n{\"events\":1}\n"), "header"),
        ("cut-early", good[..7].to_vec(), "truncated"),
        ("cut-late", good[..good.len() - 3].to_vec(), "truncated"),
        ("damaged", damaged, "corrupt"),
        ("integer", endless.gzip(), "64 bits"),
        ("counts", counts.gzip(), "allocations"),
        ("unknown", unknown.gzip(), "never allocated"),
        ("outside", outside.gzip(), "no longer, of the block"),
        ("bomb", bomb.gzip(), "more than"),
        ("block", block.gzip(), "more pages than"),
        ("memory", memory.gzip(), "MiB are available"),
        ("window", window.gzip(), "larger than a heap can manage"),
    ];
    for (name, bytes, why) in cases {
        let path = common::file(&format!("bad-{name}"), &bytes);
        let told = refused(&replay(&path).output().unwrap());
        assert!(told.contains(why), "{name}: {told}");
    }
    let told = refused(&replay(&common::scratch("no-such-file")).output().unwrap());
    assert!(told.contains("cannot be opened"), "{told}");
    let folder = replay(std::path::Path::new("/")).output().unwrap();
    assert!(refused(&folder).contains("cannot be read"));
}

#[test]
fn a_file_cut_anywhere_is_truncated() {
    let good = small().gzip();
    assert!(matches!(error_of(&good[..0]), TraceError::Empty));
    for len in 1..good.len() {
        let error = error_of(&good[..len]);
        assert!(
            matches!(error, TraceError::Truncated(_)),
            "{len}: {error:?}"
        );
    }
    // And one that was cut before it was compressed.
    let plain = small().plain();
    for len in 0..plain.len() {
        let error = error_of(&gzip(&plain[..len]));
        let told = matches!(
            error,
            TraceError::Empty | TraceError::Truncated(_) | TraceError::Count { .. }
        );
        assert!(told, "{len}: {error:?}");
    }
}

#[test]
fn no_damaged_byte_makes_the_reader_panic_or_believe_the_impossible() {
    let trace = random_trace(11, 4096, 300);
    let packed = trace.gzip();
    let good = read(&packed[..]).unwrap();
    for at in 0..packed.len() {
        for bit in [0, 3, 7] {
            let mut damaged = packed.clone();
            damaged[at] ^= 1 << bit;
            // There are bits that do not matter: fields of the gzip header, and
            // what fills its last byte. What is read in spite of one that was
            // damaged is the trace as it was.
            if let Ok(read) = read(&damaged[..]) {
                assert_eq!(read.ops, good.ops, "byte {at}, bit {bit}");
                assert_eq!(read.header, good.header, "byte {at}, bit {bit}");
            }
        }
    }
    let plain = trace.plain();
    for at in 0..plain.len() {
        for bit in 0..8 {
            let mut damaged = plain.clone();
            damaged[at] ^= 1 << bit;
            // Some of these are possible traces, too; what counts is the answer.
            let _ = read(&gzip(&damaged)[..]);
        }
    }
}

#[test]
fn garbage_behind_the_end_is_not_overlooked() {
    let mut bytes = small().gzip();
    bytes.extend(b"garbage of some length");
    assert!(matches!(error_of(&bytes), TraceError::Corrupt(_)));
}

#[test]
fn impossible_frees_are_named() {
    let mut trace = small();
    trace.bytes.extend([3 << 2 | 1]);
    trace.events += 1;
    assert_eq!(fault_of(&trace), EventFault::UnknownBlock);

    let mut trace = small();
    trace.bytes.extend([1]);
    trace.events += 1;
    assert_eq!(fault_of(&trace), EventFault::UnknownBlock);

    let mut trace = small();
    trace.free(1);
    trace.free(1);
    assert_eq!(fault_of(&trace), EventFault::FreedBefore);

    let mut trace = small();
    trace.free(1);
    trace.free_part(1, 0, 1);
    assert_eq!(fault_of(&trace), EventFault::FreedBefore);

    let mut trace = small();
    trace.free(0);
    assert_eq!(fault_of(&trace), EventFault::FreedInPart);
}

#[test]
fn impossible_parts_are_named() {
    for (first, pages) in [
        (300, 1),
        (299, 2),
        (100, 1),
        (99, 2),
        (149, 2),
        (0, 300),
        (u64::MAX, 1),
        (1, u64::MAX),
        (u64::from(u32::MAX), 1),
    ] {
        let mut trace = small();
        trace.free_part(0, first, pages);
        let fault = fault_of(&trace);
        assert_eq!(fault, EventFault::OutsideBlock, "{first} + {pages}");
    }
    let mut trace = small();
    trace.free_part(0, 0, 0);
    assert_eq!(fault_of(&trace), EventFault::EmptyPart);
}

#[test]
fn a_block_of_which_every_part_was_freed_is_gone() {
    let mut trace = small();
    trace.free_part(0, 0, 100);
    trace.free_part(0, 150, 150);
    assert!(read(&trace.gzip()[..]).is_ok());
    trace.free_part(0, 0, 1);
    assert_eq!(fault_of(&trace), EventFault::FreedBefore);
}

#[test]
fn impossible_blocks_and_times_are_named() {
    let mut trace = small();
    trace.alloc(0);
    assert_eq!(fault_of(&trace), EventFault::NoPages);

    let mut trace = small();
    trace.alloc(1 << 32);
    assert_eq!(fault_of(&trace), EventFault::TooManyPages);

    let mut trace = small();
    for _ in 0..8 {
        trace.integer(u64::MAX >> 3 << 3 | 3);
        trace.events += 1;
    }
    assert_eq!(fault_of(&trace), EventFault::TooMuchTime);

    let mut trace = small();
    trace.cpu(1 << 32);
    assert_eq!(fault_of(&trace), EventFault::BadCpu);

    let mut trace = small();
    trace.events += 1;
    trace.bytes.extend([0xff; 9]);
    trace.bytes.push(2);
    assert_eq!(fault_of(&trace), EventFault::LongInteger);
}

#[test]
fn a_header_that_says_something_else_than_the_events_is_refused() {
    type Change = fn(&mut Writer);
    let changes: [(&str, Change); 7] = [
        ("events", |trace| trace.events += 1),
        ("allocations", |trace| trace.allocs -= 1),
        ("whole frees", |trace| trace.frees += 1),
        ("whole frees", |trace| trace.partial_frees -= 1),
        ("pages alive at the peak", |trace| {
            trace.peak_live_pages += 1
        }),
        ("milliseconds", |trace| trace.ms -= 1),
        ("partial frees", |trace| {
            trace.frees += 1;
            trace.partial_frees += 1;
        }),
    ];
    for (which, change) in changes {
        let mut trace = small();
        change(&mut trace);
        match error_of(&trace.gzip()) {
            TraceError::Count { what, .. } => assert_eq!(what, which),
            other => panic!("{which}: {other:?}"),
        }
    }
    // More operations than events end the reading at once.
    let mut trace = small();
    trace.events = 2;
    assert!(matches!(
        error_of(&trace.gzip()),
        TraceError::TooLong { limit: 2 }
    ));
}

#[test]
fn page_sizes_that_nobody_has_are_refused() {
    for size in [0, 1, 512, 4095, 4097, 4 << 20, 1 << 62, u64::MAX] {
        let mut trace = small();
        trace.page_size = size;
        let error = error_of(&trace.gzip());
        assert!(
            matches!(error, TraceError::PageSize(_)),
            "{size}: {error:?}"
        );
    }
}

#[test]
fn a_header_without_end_is_not_read_to_its_end() {
    let mut plain = b"PAGETRACE 1\n".to_vec();
    plain.resize(1 << 20, b' ');
    assert!(matches!(error_of(&gzip(&plain)), TraceError::Header(_)));
    let plain = vec![b'P'; 1 << 20];
    assert!(matches!(error_of(&gzip(&plain)), TraceError::Foreign(_)));
}

#[test]
fn what_a_header_says_cannot_move_a_terminals_cursor() {
    let mut plain = small().plain();
    let text = String::from_utf8(plain[..].iter().copied().take_while(u8::is_ascii).collect());
    let text = text
        .unwrap()
        .replace("made by hand", r"made\u001b[2J by\n hand");
    let rest = plain.split_off(plain.iter().take_while(|byte| byte.is_ascii()).count());
    let mut plain = text.into_bytes();
    plain.extend(rest);
    let trace = read(&gzip(&plain)[..]).unwrap();
    assert_eq!(trace.header.source, "made[2J by hand");
}

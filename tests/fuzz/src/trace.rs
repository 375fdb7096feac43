//! The trace reader on any bytes, and on traces of which a few bytes are wrong.
//!
//! Either an error, or a trace that can be replayed from beginning to end, exactly as
//! its counts say. The bytes are a file as it is; or what is compressed in one, which
//! is compressed here, because no fuzzer guesses checksums; or events, with the header
//! that they deserve, or nearly so.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::input::Input;
use crate::trace_reader::{Op, Trace, read};

/// Runs one input.
pub fn run(data: &[u8]) {
    // What a file begins with is none of the other two.
    let read = match data.split_first() {
        Some((0, plain)) => read(&gzip(plain)[..]),
        Some((1, steps)) => read(&gzip(&written(Input::new(steps)))[..]),
        _ => read(data),
    };
    match read {
        Ok(trace) => replay(&trace),
        Err(error) => assert!(!error.to_string().contains('\n'), "one line: {error}"),
    }
}

/// Packs bytes as a file, without making them fewer.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(plain).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// What a header says of the events behind it.
#[derive(Default)]
struct Header {
    events: u64,
    allocs: u64,
    frees: u64,
    partial_frees: u64,
    live: u64,
    peak: u64,
    ms: u64,
}

/// A block that was allocated, and some pages of it that were not freed.
struct Block {
    number: u64,
    from: u64,
    to: u64,
    is_whole: bool,
}

/// Writes events that may be possible, and a header that may be right.
fn written(mut input: Input<'_>) -> Vec<u8> {
    let mut header = Header::default();
    let mut bytes = Vec::new();
    let mut blocks: Vec<Block> = Vec::new();
    let is_wrong = input.below(4) == 3;
    while input.has_more() {
        header.events += 1;
        let block = input.index(&blocks);
        match (input.below(16), block) {
            (0..=5, _) | (6..=12, None) => {
                let pages = match input.below(16) {
                    0 => (input.number() & 0xffff_ffff).max(1),
                    _ => u64::from(input.up_to(64)),
                };
                leb128(&mut bytes, pages << 4 | u64::from(input.below(4)) << 2);
                blocks.push(Block {
                    number: header.allocs,
                    from: 0,
                    to: pages,
                    is_whole: true,
                });
                header.allocs += 1;
                header.live += pages;
                header.peak = header.peak.max(header.live);
            }
            (6..=9, Some(at)) if blocks[at].is_whole => {
                let block = blocks.swap_remove(at);
                leb128(&mut bytes, (header.allocs - block.number) << 2 | 1);
                header.frees += 1;
                header.live -= block.to;
            }
            (6..=12, Some(at)) => {
                let block = &mut blocks[at];
                let most = (block.to - block.from).min(64) as u32;
                let start = block.from + u64::from(input.below(most));
                let pages = u64::from(input.up_to(most)).min(block.to - start);
                leb128(&mut bytes, (header.allocs - block.number) << 2 | 2);
                leb128(&mut bytes, start);
                leb128(&mut bytes, pages);
                header.frees += 1;
                header.partial_frees += 1;
                header.live -= pages;
                block.is_whole = false;
                // What is left below it is left for ever, if there is more above.
                match start + pages < block.to {
                    true => block.from = start + pages,
                    false => block.to = start,
                }
                if block.from == block.to {
                    blocks.swap_remove(at);
                }
            }
            (13, _) => {
                let ms = u64::from(input.below(5000));
                leb128(&mut bytes, ms << 3 | 3);
                header.ms += ms;
            }
            (14, _) => leb128(&mut bytes, u64::from(input.below(8)) << 3 | 7),
            _ if is_wrong => leb128(&mut bytes, input.number()),
            _ => header.events -= 1,
        }
    }
    let mut off = [0; 6];
    if is_wrong {
        off[input.below(6) as usize] = 1;
    }
    let mut file = format!(
        "PAGETRACE 1\n{{\"page_size\":4096,\"events\":{},\"allocs\":{},\"frees\":{},\
         \"partial_frees\":{},\"peak_live_pages\":{},\"ms\":{},\"source\":\"made\"}}\n",
        header.events + off[0],
        header.allocs + off[1],
        header.frees + off[2],
        header.partial_frees + off[3],
        header.peak + off[4],
        header.ms + off[5],
    )
    .into_bytes();
    file.extend(bytes);
    file
}

fn leb128(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Does what the trace says, with a list of pieces for every seat.
fn replay(trace: &Trace) {
    let mut seats: Vec<Option<Vec<(u32, u32)>>> = vec![None; trace.seats as usize];
    let (mut live, mut peak) = (0_u64, 0_u64);
    let (mut pieces, mut peak_pieces) = (0_u32, 0_u32);
    let (mut allocs, mut frees, mut parts) = (0, 0, 0);
    for op in &trace.ops {
        match *op {
            Op::Alloc { seat, pages, .. } => {
                assert!(pages.get() > 0);
                let before = seats[seat.index()].replace(vec![(0, pages.get())]);
                assert_eq!(before, None, "the seat is taken");
                live += u64::from(pages.get());
                pieces += 1;
                allocs += 1;
            }
            Op::Free { seat } => {
                let block = seats[seat.index()].take().expect("a block");
                assert!(block.len() == 1 && block[0].0 == 0, "it is whole");
                live -= u64::from(block[0].1);
                pieces -= 1;
                frees += 1;
            }
            Op::FreePart { seat, part } => {
                let part = trace.part(part);
                let (start, end) = (part.start().number(), part.end().number());
                let block = seats[seat.index()].as_mut().expect("a block");
                let holds = |piece: &(u32, u32)| piece.0 <= start && end <= piece.1;
                let at = block.iter().position(holds).expect("it is there");
                let (from, to) = block.swap_remove(at);
                let rest = [(from, start), (end, to)];
                let before = block.len() as u32 + 1;
                block.extend(rest.iter().filter(|rest| rest.0 < rest.1));
                pieces = pieces - before + block.len() as u32;
                if block.is_empty() {
                    seats[seat.index()] = None;
                }
                live -= u64::from(part.count().get());
                parts += 1;
            }
        }
        peak = peak.max(live);
        peak_pieces = peak_pieces.max(pieces);
    }
    let counts = trace.counts;
    assert_eq!((counts.allocs, counts.frees), (allocs, frees));
    assert_eq!(counts.partial_frees, parts);
    assert_eq!(trace.header.peak_live_pages, peak);
    assert_eq!(trace.peak_pieces, peak_pieces);
    let ops = trace.ops.len() as u32;
    assert_eq!(u64::from(ops), counts.operations());
    let ascends = |pair: &[u32]| pair[0] < pair[1];
    let ticks: Vec<u32> = trace.ticks.iter().map(|tick| tick.before).collect();
    let switches: Vec<u32> = trace.switches.iter().map(|switch| switch.before).collect();
    for list in [ticks, switches] {
        assert!(list.windows(2).all(ascends) && list.last().is_none_or(|last| *last <= ops));
    }
    let times = trace.ticks.windows(2);
    assert!(times.into_iter().all(|pair| pair[0].at_ms <= pair[1].at_ms));
    assert_eq!(
        trace.header.ms,
        trace.ticks.last().map_or(0, |tick| tick.at_ms)
    );
}

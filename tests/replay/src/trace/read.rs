//! The reader of the trace format.
//!
//! A file is nothing to trust: it may be cut, damaged or something else, and no
//! length that it claims decides how much memory is taken. What its events
//! mean, and whether they can be, is the [decoder](Decoder)'s to say.
//!
//! The format is described in `traces/README.md`.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::decode::Decoder;
use super::error::TraceError;
use super::integers::{Integers, damage};
use super::{Header, Trace};

/// The first line of a trace.
const MAGIC: &[u8] = b"PAGETRACE 1\n";
/// What comes before the version in it.
const MAGIC_STEM: &[u8] = b"PAGETRACE ";
/// The longest header that is read.
const MAX_HEADER_BYTES: u64 = 64 << 10;
/// The most events that are read: 48 times the longest trace so far. Their
/// operations take 12 bytes each, 1.5 GiB at most, however well they compress.
const MAX_EVENTS: u64 = 1 << 27;
/// The sizes of a page that anyone uses.
const PAGE_SIZES: std::ops::RangeInclusive<u64> = 1 << 10..=2 << 20;

/// Reads a trace from a gzip stream.
///
/// # Errors
///
/// If the stream is not a page trace, not a whole one, or not a possible one.
pub fn read(source: impl Read) -> Result<Trace, TraceError> {
    let mut source = BufReader::with_capacity(64 << 10, source);
    match source.fill_buf().map_err(TraceError::Io)? {
        [] => return Err(TraceError::Empty),
        [0x1f] | [0x1f, 0x8b, ..] => {}
        _ => return Err(TraceError::Foreign("it is not gzip")),
    }
    let mut input = BufReader::with_capacity(64 << 10, MultiGzDecoder::new(source));
    let header = read_header(&mut input)?;
    let mut decoder = Decoder::new();
    let mut integers = Integers::new(input);
    while let Some(first) = integers.first()? {
        decoder.event(first, &mut integers)?;
        // Whatever a header counts as events, operations are among them.
        let counts = decoder.counts();
        for (counted, limit) in [
            (counts.events, MAX_EVENTS),
            (counts.operations(), header.events),
        ] {
            if counted > limit {
                return Err(TraceError::TooLong { limit });
            }
        }
    }
    decoder.finish(header)
}

fn read_header(input: &mut impl BufRead) -> Result<Header, TraceError> {
    let mut line = Vec::new();
    let mut limited = input.by_ref().take(MAGIC.len() as u64);
    limited.read_until(b'\n', &mut line).map_err(damage)?;
    if line != MAGIC {
        return Err(if line.is_empty() {
            TraceError::Empty
        } else if MAGIC.starts_with(&line) {
            TraceError::Truncated("it ends in its first line")
        } else if line.starts_with(MAGIC_STEM) {
            TraceError::Version
        } else {
            TraceError::Foreign("it does not begin with PAGETRACE")
        });
    }
    line.clear();
    let mut limited = input.by_ref().take(MAX_HEADER_BYTES);
    limited.read_until(b'\n', &mut line).map_err(damage)?;
    if line.last() != Some(&b'\n') {
        return Err(if line.len() as u64 == MAX_HEADER_BYTES {
            TraceError::Header("it is longer than 64 KiB".into())
        } else {
            TraceError::Truncated("it ends in its header")
        });
    }
    let mut header: Header =
        serde_json::from_slice(&line).map_err(|error| TraceError::Header(error.to_string()))?;
    if !header.page_size.is_power_of_two() || !PAGE_SIZES.contains(&header.page_size) {
        return Err(TraceError::PageSize(header.page_size));
    }
    if header.events > MAX_EVENTS {
        return Err(TraceError::TooLong { limit: MAX_EVENTS });
    }
    // It is printed to terminals.
    header.source.retain(|letter| !letter.is_control());
    Ok(header)
}

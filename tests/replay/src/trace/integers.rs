//! The integers that events are made of, and what is wrong with a stream that
//! breaks off.

use std::io::{self, BufRead};

use super::error::{EventFault, TraceError};

/// The integers of a stream of events.
#[derive(Debug)]
pub(super) struct Integers<R> {
    input: R,
    /// How many events have begun.
    events: u64,
}

impl<R: BufRead> Integers<R> {
    /// Takes the stream where the events begin.
    pub(super) const fn new(input: R) -> Self {
        Self { input, events: 0 }
    }

    /// Returns how many events have begun: the number of the last, from 1.
    pub(super) const fn events(&self) -> u64 {
        self.events
    }

    /// Returns the first integer of the next event; `None` at the end.
    pub(super) fn first(&mut self) -> Result<Option<u64>, TraceError> {
        match self.byte()? {
            None => Ok(None),
            Some(byte) => {
                self.events += 1;
                self.rest(byte).map(Some)
            }
        }
    }

    /// Returns a further integer of the event that has begun.
    pub(super) fn further(&mut self) -> Result<u64, TraceError> {
        let byte = self.byte()?.ok_or(CUT)?;
        self.rest(byte)
    }

    fn byte(&mut self) -> Result<Option<u8>, TraceError> {
        let byte = self.input.fill_buf().map_err(damage)?.first().copied();
        if byte.is_some() {
            self.input.consume(1);
        }
        Ok(byte)
    }

    /// LEB128: seven bits a byte, the lowest first, while the top bit is set.
    fn rest(&mut self, first: u8) -> Result<u64, TraceError> {
        let mut value = u64::from(first & 0x7f);
        let mut last = first;
        let mut shift = 7;
        while last & 0x80 != 0 {
            last = self.byte()?.ok_or(CUT)?;
            let bits = u64::from(last & 0x7f);
            if shift > 63 || bits > u64::MAX >> shift {
                return Err(TraceError::Event {
                    number: self.events,
                    fault: EventFault::LongInteger,
                });
            }
            value |= bits << shift;
            shift += 7;
        }
        Ok(value)
    }
}

const CUT: TraceError = TraceError::Truncated("it ends inside an event");

/// Turns what the decompressor reports into what it means for the file.
pub(super) fn damage(error: io::Error) -> TraceError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => TraceError::Truncated("the compressed data end early"),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            TraceError::Corrupt("the compressed data are damaged")
        }
        _ => TraceError::Io(error),
    }
}

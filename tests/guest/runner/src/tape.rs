//! From a recorded trace to a tape for the guest.
//!
//! All that depends on time is decided here: when the guest is measured, and
//! when it releases. Both happen at multiples of a fixed time, also in the
//! middle of a gap of the trace; a release is measured on both sides, so that
//! the picture shows it as a step.
//!
//! The pages that are alive at the end follow as events of their own, so that
//! the guest need not keep books of what remains of blocks freed in part.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use spanheap::{Page, PageCount, PageRange};
use spanheap_guest_tape::{Event, Header, Seat};
use spanheap_replay::trace::{self, Op, Remains, Trace};

/// The guest is measured at multiples of this.
const SAMPLE_EVERY_MS: u64 = 25;
/// And releases everything idle at multiples of this.
pub(crate) const RELEASE_EVERY_MS: u64 = 250;

const _: () = assert!(RELEASE_EVERY_MS.is_multiple_of(SAMPLE_EVERY_MS));

/// Returns what the guest is to do for a trace.
pub(crate) fn events(trace: &Trace) -> Vec<Event> {
    let mut events = vec![Event::Sample { at_ms: 0 }];
    let mut blocks = Blocks::new(trace.seats);
    let mut ticks = trace.ticks.iter().peekable();
    let mut next_ms = SAMPLE_EVERY_MS;
    let mut pass = |events: &mut Vec<Event>, at_ms| {
        while next_ms <= at_ms {
            events.push(Event::Sample { at_ms: next_ms });
            if next_ms.is_multiple_of(RELEASE_EVERY_MS) {
                release(events, next_ms);
            }
            next_ms += SAMPLE_EVERY_MS;
        }
    };
    for (number, op) in (0..).zip(&trace.ops) {
        while let Some(tick) = ticks.next_if(|tick| tick.before == number) {
            pass(&mut events, tick.at_ms);
        }
        events.push(blocks.operation(trace, *op));
    }
    for tick in ticks {
        pass(&mut events, tick.at_ms);
    }
    let at_ms = trace.header.ms;
    events.push(Event::Sample { at_ms });
    release(&mut events, at_ms);
    events.extend(blocks.alive());
    events
}

fn release(events: &mut Vec<Event>, at_ms: u64) {
    events.extend([Event::Release, Event::Sample { at_ms }]);
}

/// What is known of the blocks that live.
struct Blocks {
    /// Of each seat: how many pages its block has, while it lives.
    pages: Vec<Option<PageCount>>,
    /// Whether a part of it was freed, which `remains` knows about then.
    parted: Vec<bool>,
    remains: Remains,
}

impl Blocks {
    fn new(seats: u32) -> Self {
        Self {
            pages: vec![None; seats as usize],
            parted: vec![false; seats as usize],
            remains: Remains::new(),
        }
    }

    fn operation(&mut self, trace: &Trace, op: Op) -> Event {
        match op {
            Op::Alloc { seat, pages, .. } => {
                self.pages[seat.index()] = Some(pages);
                self.parted[seat.index()] = false;
                let seat = named(seat);
                Event::Alloc { seat, pages }
            }
            Op::Free { seat } => {
                self.pages[seat.index()] = None;
                let seat = named(seat);
                Event::Free { seat }
            }
            Op::FreePart { seat, part } => {
                let part = trace.part(part);
                let index = seat.index();
                if !std::mem::replace(&mut self.parted[index], true) {
                    let pages = self.pages[index].expect("a block that lives");
                    self.remains.begin(seat, pages);
                }
                let took = self.remains.take(seat, part);
                took.expect("the reader of the trace has seen to it");
                if self.remains.is_gone(seat) {
                    self.pages[index] = None;
                }
                let seat = named(seat);
                Event::FreePart { seat, part }
            }
        }
    }

    /// Returns what lives, seat by seat.
    fn alive(&self) -> impl Iterator<Item = Event> {
        (0..).zip(&self.pages).flat_map(|(index, pages)| {
            let parted = self.parted[index as usize];
            let whole = pages
                .filter(|_| !parted)
                .and_then(|pages| PageRange::new(Page::new(0), pages));
            let parts = pages
                .filter(|_| parted)
                .map(|_| self.remains.of(trace::Seat::new(index)));
            let seat = Seat::new(index);
            let parts = parts.into_iter().flatten().chain(whole);
            parts.map(move |part| Event::Alive { seat, part })
        })
    }
}

fn named(seat: trace::Seat) -> Seat {
    Seat::new(seat.index() as u32)
}

/// A file with a tape in it. No directory names it, so that nothing is left of
/// it however this ends.
pub(crate) struct Tape {
    file: File,
}

impl Tape {
    /// Writes what the guest is to do for a trace.
    pub(crate) fn write(trace: &Trace) -> io::Result<Self> {
        let events = events(trace);
        let number = |number: u64| u32::try_from(number).map_err(io::Error::other);
        let header = Header {
            page_bytes: number(trace.page_bytes())?,
            seats: trace.seats,
            events: number(events.len() as u64)?,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend(events.into_iter().flat_map(Event::encode));
        let mut file = tempfile::tempfile()?;
        file.write_all(&bytes)?;
        Ok(Self { file })
    }

    /// Returns where QEMU finds it, while this lives.
    pub(crate) fn path(&self) -> PathBuf {
        let (process, file) = (std::process::id(), self.file.as_raw_fd());
        format!("/proc/{process}/fd/{file}").into()
    }
}

#[cfg(test)]
mod tests;

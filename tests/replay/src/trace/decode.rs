//! From integers to operations that are possible.
//!
//! Every event is checked against what the trace has established so far, and
//! what was counted is compared with the header at the end. What comes out is
//! a trace that can be replayed as it stands.
//!
//! Invariant: a seat is in `vacant` or in `seat_of`, never in both; `remains`
//! knows exactly the live blocks that are parted.

use std::io::BufRead;

use spanheap::{Page, PageCount, PageRange};

use super::error::{EventFault, TraceError};
use super::integers::Integers;
use super::remains::Remains;
use super::{Class, Counts, Header, Op, Seat, Switch, Tick, Trace};

/// What is known of a seat that is, or was, taken.
#[derive(Clone, Copy, Debug)]
struct Sitting {
    pages: PageCount,
    /// A part of the block was freed: [`Remains`] knows what is left.
    parted: bool,
}

/// What the events so far amount to.
#[derive(Debug)]
pub(super) struct Decoder {
    counts: Counts,
    ops: Vec<Op>,
    ticks: Vec<Tick>,
    switches: Vec<Switch>,
    parts: Vec<PageRange>,
    /// Of each block ever allocated, in order: its seat while it lives.
    seat_of: Vec<Option<Seat>>,
    seats: Vec<Sitting>,
    vacant: Vec<Seat>,
    remains: Remains,
    live_pages: u64,
    peak_live_pages: u64,
    pieces: u32,
    peak_pieces: u32,
    at_ms: u64,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            counts: Counts::default(),
            ops: Vec::new(),
            ticks: Vec::new(),
            switches: Vec::new(),
            parts: Vec::new(),
            seat_of: Vec::new(),
            seats: Vec::new(),
            vacant: Vec::new(),
            remains: Remains::new(),
            live_pages: 0,
            peak_live_pages: 0,
            pieces: 0,
            peak_pieces: 0,
            at_ms: 0,
        }
    }

    /// Returns what was counted so far.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes one event, of which `first` is the first integer.
    pub(super) fn event<R: BufRead>(
        &mut self,
        first: u64,
        integers: &mut Integers<R>,
    ) -> Result<(), TraceError> {
        self.counts.events = integers.events();
        let rest = first >> 2;
        let done = match first & 3 {
            0 => self.alloc(rest),
            1 => self.free(rest),
            2 => {
                let start = integers.further()?;
                let pages = integers.further()?;
                self.free_part(rest, start, pages)
            }
            _ if rest & 1 == 0 => self.tick(rest >> 1),
            _ => self.switch(rest >> 1),
        };
        let number = integers.events();
        done.map_err(|fault| TraceError::Event { number, fault })
    }

    fn alloc(&mut self, rest: u64) -> Result<(), EventFault> {
        let class = match rest & 3 {
            0 => Class::Unmovable,
            1 => Class::Movable,
            2 => Class::Reclaimable,
            _ => Class::Other,
        };
        let pages = u32::try_from(rest >> 2).map_err(|_| EventFault::TooManyPages)?;
        if pages == 0 {
            return Err(EventFault::NoPages);
        }
        let pages = PageCount::new(pages);
        let sitting = Sitting {
            pages,
            parted: false,
        };
        let seat = match self.vacant.pop() {
            Some(seat) => {
                self.seats[seat.index()] = sitting;
                seat
            }
            None => {
                // No more seats than events, which fit.
                let seat = Seat::new(self.seats.len() as u32);
                self.seats.push(sitting);
                seat
            }
        };
        self.seat_of.push(Some(seat));
        self.live_pages += u64::from(pages.get());
        self.peak_live_pages = self.peak_live_pages.max(self.live_pages);
        self.pieces += 1;
        self.peak_pieces = self.peak_pieces.max(self.pieces);
        self.counts.allocs += 1;
        self.ops.push(Op::Alloc { seat, pages, class });
        Ok(())
    }

    /// Finds a block by how many were allocated since, itself included.
    fn block(&self, back: u64) -> Result<(usize, Seat), EventFault> {
        let allocs = self.seat_of.len();
        let number = usize::try_from(back)
            .ok()
            .filter(|&back| back > 0)
            .and_then(|back| allocs.checked_sub(back))
            .ok_or(EventFault::UnknownBlock)?;
        match self.seat_of[number] {
            Some(seat) => Ok((number, seat)),
            None => Err(EventFault::FreedBefore),
        }
    }

    fn free(&mut self, back: u64) -> Result<(), EventFault> {
        let (number, seat) = self.block(back)?;
        let Sitting { pages, parted } = self.seats[seat.index()];
        if parted {
            return Err(EventFault::FreedInPart);
        }
        self.leave(number, seat);
        self.live_pages -= u64::from(pages.get());
        self.pieces -= 1;
        self.counts.frees += 1;
        self.ops.push(Op::Free { seat });
        Ok(())
    }

    fn free_part(&mut self, back: u64, start: u64, pages: u64) -> Result<(), EventFault> {
        let (number, seat) = self.block(back)?;
        if pages == 0 {
            return Err(EventFault::EmptyPart);
        }
        let part = u32::try_from(start)
            .ok()
            .zip(u32::try_from(pages).ok())
            .and_then(|(start, pages)| PageRange::new(Page::new(start), PageCount::new(pages)))
            .ok_or(EventFault::OutsideBlock)?;
        let whole = self.seats[seat.index()];
        if part.end().number() > whole.pages.get() {
            return Err(EventFault::OutsideBlock);
        }
        if !whole.parted {
            self.remains.begin(seat, whole.pages);
            self.seats[seat.index()].parted = true;
        }
        let more = self
            .remains
            .take(seat, part)
            .map_err(|_| EventFault::OutsideBlock)?;
        self.pieces = self.pieces.saturating_add_signed(more);
        self.peak_pieces = self.peak_pieces.max(self.pieces);
        self.live_pages -= u64::from(part.count().get());
        if self.remains.is_gone(seat) {
            self.leave(number, seat);
        }
        self.counts.partial_frees += 1;
        // No more parts than events, which fit.
        let index = self.parts.len() as u32;
        self.parts.push(part);
        self.ops.push(Op::FreePart { seat, part: index });
        Ok(())
    }

    fn leave(&mut self, number: usize, seat: Seat) {
        self.seat_of[number] = None;
        self.vacant.push(seat);
    }

    fn tick(&mut self, ms: u64) -> Result<(), EventFault> {
        self.at_ms = self.at_ms.checked_add(ms).ok_or(EventFault::TooMuchTime)?;
        let before = self.ops.len() as u32;
        match self.ticks.last_mut() {
            Some(last) if last.before == before => last.at_ms = self.at_ms,
            _ => self.ticks.push(Tick {
                before,
                at_ms: self.at_ms,
            }),
        }
        Ok(())
    }

    fn switch(&mut self, cpu: u64) -> Result<(), EventFault> {
        let cpu = u32::try_from(cpu).map_err(|_| EventFault::BadCpu)?;
        let before = self.ops.len() as u32;
        match self.switches.last_mut() {
            Some(last) if last.before == before => last.cpu = cpu,
            _ => self.switches.push(Switch { before, cpu }),
        }
        Ok(())
    }

    /// Compares what was counted with what the header says.
    pub(super) fn finish(self, header: Header) -> Result<Trace, TraceError> {
        let counts = self.counts;
        let same = |what, header, found| {
            if header == found {
                Ok(())
            } else {
                let (header, found) = (header, found);
                Err(TraceError::Count {
                    what,
                    header,
                    found,
                })
            }
        };
        same("allocations", header.allocs, counts.allocs)?;
        // Frees of a part are among the frees. Every Linux recording has more
        // of them than its header says, and exactly as many whole frees.
        let whole = header.frees.saturating_sub(header.partial_frees);
        same("whole frees", whole, counts.frees)?;
        if header.partial_frees > counts.partial_frees {
            same("partial frees", header.partial_frees, counts.partial_frees)?;
        }
        same(
            "pages alive at the peak",
            header.peak_live_pages,
            self.peak_live_pages,
        )?;
        same("milliseconds", header.ms, self.at_ms)?;
        // Some recorders count time and CPU changes as events, others do not.
        if header.events != counts.operations() {
            same("events", header.events, counts.events)?;
        }
        Ok(Trace {
            header,
            counts,
            ops: self.ops,
            ticks: self.ticks,
            switches: self.switches,
            seats: self.seats.len() as u32,
            peak_pieces: self.peak_pieces,
            parts: self.parts,
        })
    }
}
